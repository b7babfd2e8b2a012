"""Eight kinds of input: each makes valid ones, mutates one of them, and gives it to the functions that commands read it
with."""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from safetensors.torch import save_file

from archrank.cli import main as command
from archrank.datasets.benchmark import read_benchmark, write_benchmark
from archrank.datasets.custom.files import read_custom
from archrank.datasets.splits import make_split
from archrank.eval.predictor import Predictor
from archrank.eval.runners.run import run
from archrank.eval.search.plan import SearchTask
from archrank.eval.search.traces import read_searches, write_search
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.files import table_bytes
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.records import parse_record
from archrank.eval.trials.results import as_frame, latest
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.suite import read_suite
from archrank.eval.trials.trial import key_of, make_plan
from archrank.reports.stores import alike, cells, progress, read, repeat_trial
from tests.tools.fuzz.mutate import changed, columns_of, damage, encoded, garble, json_of

__all__ = ["Kind"]

COMMAND_SHARE = 0.005
"""How often an input is given to the command line itself too, which takes far longer than what it calls."""


class Kind:
    """A kind of input. Made once, before processes are forked: `folder` holds the valid inputs."""

    name: ClassVar[str]
    share: ClassVar[int]
    """inputs of this kind in a hundred"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """Write a mutated input into an empty folder and read it. Returns what was said of it where reading goes on
        without it; raises ArchrankError where not."""
        raise NotImplementedError


def commanded(words: list[str], rng: random.Random) -> None:
    """Now and then the command itself: it ends with an exit code, and shows no control character."""
    if rng.random() > COMMAND_SHARE:
        return
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown), contextlib.suppress(SystemExit):
        command(words)
    if acting := [sign for sign in shown.getvalue() if (ord(sign) < 32 or 127 <= ord(sign) < 160) and sign != "\n"]:
        raise AssertionError(f"`archrank {words[0]}` prints the control character {acting[0]!r}")


class Records(Kind):
    """Records of a store: trials and, one in ten, searches."""

    name, share = "records", 16

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.trials = [
            json.loads(path.read_text()) for path in sorted((store_of(folder).folder / "trials").glob("*.json"))
        ]
        task = SearchTask(
            "evolution", {"population": 10}, "", "", "synthetic3", "0" * 64, "quality", "quality", 4, 2, "quick"
        )
        self.search = json.loads(
            write_search(folder / "searched", task, [[0, 1, 2, 3], [3, 2, 1]], 1.5, {"torch": "2"}).read_text()
        )

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """A record: mostly under the key of what it says, so that it is read, and reported where it can be."""
        if rng.random() < 0.1:
            return self.searched(scratch, rng)
        record = rng.choice(self.trials)
        if rng.random() < 0.8:
            record = changed(record, rng)
            if isinstance(record, dict) and isinstance(record.get("trial"), dict):
                record |= {"schema": 1, "digest": None, "key": key_of(record["trial"])} if rng.random() < 0.9 else {}
            data = encoded(json.dumps(record))
        else:
            data = json_of(record, rng)
        key = str(record.get("key")) if isinstance(record, dict) else "0" * 64
        (scratch / "trials").mkdir()
        (scratch / "trials" / (f"{key}.json" if key.isalnum() and len(key) < 99 else "0.json")).write_bytes(data)
        found = read([scratch])
        records, _ = latest(found.records)
        as_frame(records), progress(records), alike(records, "protocol"), cells(records), found.problems()
        for one in records:
            repeat_trial(one), one.plain(), one.text()
        for words in (["status"], ["failures", "--traceback"], ["show", key[:12]], ["compare", "gcn", "path"]):
            commanded([*words, "--store", str(scratch)], rng)
        return found.problems()

    def searched(self, scratch: Path, rng: random.Random) -> list[str]:
        """A record of a search."""
        search = changed(self.search, rng)
        if isinstance(search, dict) and isinstance(search.get("task"), dict):
            with contextlib.suppress(TypeError, ValueError):
                search["key"] = SearchTask(**search["task"]).key
        key = search.get("key") if isinstance(search, dict) else None
        (scratch / "searches").mkdir()
        name = key if isinstance(key, str) and len(key) == 64 and key.isalnum() else "0" * 64
        (scratch / "searches" / f"{name}.json").write_bytes(
            encoded(json.dumps(search)) if rng.random() < 0.8 else json_of(search, rng)
        )
        searches, problems = read_searches([scratch])
        for one in searches:
            one.planned.label  # noqa: B018
        return problems


class Predictions(Kind):
    """Parquet files of predictions and encodings beside a trial whose record names no digest."""

    name, share = "predictions", 22

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        store = store_of(folder)
        self.record = next(one for one in store.records() if one.status == "done").model_copy(
            update={"predictions": None, "encodings": None}
        )
        rows, scores = store.predictions(self.record)
        self.good = {
            "predictions": table_bytes({"index": rows.astype(np.int32), "prediction": scores}),
            "encodings": table_bytes(
                {
                    "index": rows.astype(np.int32),
                    "encoding": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(4.0 * len(rows))), 4),
                }
            ),
        }
        self.tables = {kind: pq.read_table(pa.BufferReader(data)) for kind, data in self.good.items()}

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """A file with other bytes or other columns."""
        store, kind = Store(scratch), rng.choice(("predictions", "encodings"))
        data = parquet_of(self.tables[kind], self.good[kind], rng)
        (scratch / kind).mkdir()
        store.path(self.record.key, kind).write_bytes(data)
        if (damage := store.damage(self.record)) is not None:
            return [damage]
        (store.predictions if kind == "predictions" else store.encodings)(self.record, 200)
        return []


class Predictors(Kind):
    """Files of saved predictors."""

    name, share = "predictors", 14

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        benchmark = synthetic(40, seed=3)
        path = folder / "p.safetensors"
        Predictor("gcn[dim=4,layers=1]", benchmark.space, recipe="quick").fit(
            benchmark.graphs[:12], benchmark.target()[:12]
        ).save(path)
        self.data = path.read_bytes()
        size = int.from_bytes(self.data[:8], "little")
        self.header, self.weights = json.loads(self.data[8 : 8 + size]), self.data[8 + size :]

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """A file whose bytes, tensors, or header, which says what to build, are others."""
        path, header = scratch / "p.safetensors", self.header
        match rng.randrange(5):
            case 0:
                path.write_bytes(damage(self.data, rng))
            case 1:
                self.other_tensors(path, rng)
            case 2:
                self.framed(path, json_of(header, rng))
            case _:
                said = json.loads(header["__metadata__"]["archrank"])
                text = json_of(said, rng).decode("utf-8", "replace")
                self.framed(path, json.dumps(header | {"__metadata__": {"archrank": text}}).encode())
        Predictor.load(path)
        return []

    def framed(self, path: Path, header: bytes) -> None:
        """A file with this header."""
        path.write_bytes(len(header).to_bytes(8, "little") + header + self.weights)

    def other_tensors(self, path: Path, rng: random.Random) -> None:
        """A whole file in which a tensor has other values, another shape or type, or another name."""
        from safetensors.torch import load

        tensors = load(self.data)
        name = rng.choice(sorted(tensors))
        tensor = tensors.pop(name)
        kinds: list[Callable[[], torch.Tensor]] = [
            lambda: tensor.to(rng.choice((torch.float64, torch.int8, torch.bool, torch.float16, torch.int64))),
            lambda: tensor.reshape(-1),
            lambda: tensor[:1],
            lambda: torch.full_like(tensor, rng.choice((0, 1, 100, -1))),
            lambda: tensor.float() * float("nan"),
            lambda: tensor.unsqueeze(0),
            lambda: tensor[:0],
        ]
        if rng.random() < 0.9:
            with contextlib.suppress(IndexError, RuntimeError):
                tensors[rng.choice((name, name, name, "probe/ops", "x\n"))] = rng.choice(kinds)().contiguous()
        save_file({key: value.clone() for key, value in tensors.items()}, path, self.header["__metadata__"])


class Specs(Kind):
    """Encoders and heads as they are written."""

    name, share = "specs", 24
    GOOD = (
        "path",
        "gcn[dim=8,layers=1]",
        "path+ridge",
        "path[longest=3]+gp",
        "bag_of_ops+mlp[hidden=(32,32)]",
        "adjacency+ridge,gcn",
        "gcn[backend=dense]",
        "flowerformer[layers=3,dim=16]",
        "g*",
        "parameters",
        "{name}.py:Class[a=1]",
        "package.module:Class",
        "path+xgboost[trees=20]",
        "cate[dim=8]+linear",
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.benchmark = synthetic(60, seed=3)

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """A text; where it is an encoder, the plan of a run with it."""
        text = garble(rng.choice(self.GOOD), rng)
        specs = parse_list(text)
        for spec in specs:
            spec.label, spec.reference, spec.address, spec.head_identity  # noqa: B018
            spec.layers()
        make_plan(specs, benchmarks=[self.benchmark], budgets=[12], seeds=1, recipe="quick")
        return []


class Suites(Kind):
    """Suites and, one in four, recipes."""

    name, share = "suites", 10
    SUITE: ClassVar[dict[str, Any]] = {
        "benchmarks": ["digits101"],
        "optional": ["nasbench201"],
        "encoders": ["path+ridge", {"name": "gcn", "dim": 8}],
        "budgets": [20, 78],
        "seeds": 2,
        "targets": ["test_accuracy"],
        "protocol": "clean",
        "recipe": "common",
    }
    RECIPE: ClassVar[dict[str, Any]] = {"lr": 0.001, "updates": 100, "batch": 32, "loss": "mse", "weight_decay": 0.01}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        parse_list("path,gcn")

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """A file, and the plan of what it asks for."""
        suite, path = rng.random() < 0.75, scratch / rng.choice(("s.yaml", "s.yml"))
        good = self.SUITE if suite else self.RECIPE
        if rng.random() < 0.5:
            with contextlib.suppress(yaml.YAMLError, ValueError):
                path.write_bytes(encoded(yaml.safe_dump(changed(good, rng), allow_unicode=True)))
        if not path.exists():
            data = encoded(garble(yaml.safe_dump(good), rng))
            path.write_bytes(damage(data, rng) if rng.random() < 0.3 else data)
        if not suite:
            find_recipe(path)
            return []
        found = read_suite(str(path))
        benchmarks, _ = found.available_locally()
        make_plan(
            parse_list(found.encoders),
            benchmarks=benchmarks,
            budgets=found.budgets,
            seeds=found.seeds,
            targets=found.targets,
            protocol=found.protocol,
            recipe=found.recipe,
            optional=found.optional,
        )
        commanded(["plan", "--suite", str(path), "--store", str(scratch / "store")], rng)
        return []


class Tables(Kind):
    """Tables of one's own: CSV, TSV and Parquet."""

    name, share = "tables", 5

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        names, edges = (
            ["in conv out", "in conv pool out", "in out", "in pool out"],
            ["0>1 1>2", "0>1 1>3 0>2 2>3", "0>1", "0>1;1>2"],
        )
        self.frame = pd.DataFrame(
            {
                "arch": list("abcd"),
                "ops": names,
                "edges": edges,
                "seed": [0, 0, 1, 1],
                "accuracy": [90.5, 91.0, 93.25, 89.0],
                "latency": [1.5, 2.0, 1.0, 1.25],
            }
        )
        lists = self.frame.assign(
            ops=[text.split() for text in names], edges=[[0, 1, 1, 2], [0, 1, 1, 3, 0, 2, 2, 3], [0, 1], [0, 1, 1, 2]]
        )
        self.table = pa.Table.from_pandas(lists, preserve_index=False)
        self.parquet = whole(self.table)

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """A table, imported."""
        kind = rng.choice(("csv", "csv", "tsv", "parquet"))
        path = scratch / f"own.{kind}"
        if kind == "parquet":
            path.write_bytes(parquet_of(self.table, self.parquet, rng))
        else:
            text = self.frame.to_csv(index=False, sep="\t" if kind == "tsv" else ",")
            data = encoded(garble(text, rng))
            path.write_bytes(damage(data, rng) if rng.random() < 0.3 else data)
        frame, card = read_custom(path)
        write_benchmark(scratch / "made", frame, card)
        return []


class Benchmarks(Kind):
    """Benchmarks as they lie on disk: a card and its table."""

    name, share = "benchmarks", 4

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        shapes = [([0, 1, 3], [0, 1, 1, 2]), ([0, 2, 1, 3], [0, 1, 1, 3, 0, 2, 2, 3]), ([0, 3], [0, 1])] * 4
        scores = np.linspace(0.5, 0.7, len(shapes))
        frame = pd.DataFrame(
            {
                "arch": [f"a{at}" for at in range(len(shapes))],
                "ops": [ops for ops, _ in shapes],
                "edges": [edges for _, edges in shapes],
                "key": [f"k{at}" for at in range(len(shapes))],
                "accuracy": scores,
                "run0": scores - 0.01,
                "latency": 3 - scores,
            }
        )
        metric = {"unit": "%", "direction": "max", "description": "made up"}
        card = {
            "name": "tiny",
            "title": "Tiny",
            "default_target": "accuracy",
            "facts": {"best": {"accuracy": 0.7}, "notes": ["made up"]},
            "metrics": {"accuracy": metric | {"repeats": ["run0"]}, "latency": metric | {"direction": "min"}},
            "space": {
                "name": "tiny",
                "ops": ["in", "x", "y", "out"],
                "max_nodes": 4,
                "roles": {"input": 0, "output": 3},
            },
        }
        path = write_benchmark(folder, frame, card)
        self.parquet, self.table, self.card = (
            path.read_bytes(),
            pq.read_table(path),
            json.loads(path.with_suffix(".json").read_text()),
        )

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """A card or a table that is another; the card mostly names the digest of the table."""
        from hashlib import sha256

        data, card = self.parquet, self.card
        spoilt = rng.random() < 0.5
        if spoilt:
            data = parquet_of(self.table, data, rng)
            card = {name: said for name, said in card.items() if name != "content"} | {
                "sha256": sha256(data).hexdigest()
            }
        (scratch / "tiny.parquet").write_bytes(data)
        (scratch / "tiny.json").write_bytes(encoded(json.dumps(card)) if spoilt else json_of(card, rng))
        benchmark = read_benchmark(scratch / "tiny.json")
        benchmark.about, benchmark.content_hash, benchmark.graphs, benchmark.depth  # noqa: B018
        for name in benchmark.targets:
            benchmark.target(name), benchmark.direction(name), benchmark.unit(name), benchmark.repeats(name)
        make_split(benchmark, "clean", 0, benchmark.default_target)
        commanded(["data", "info", str(scratch / "tiny.json")], rng)
        return []


def store_of(folder: Path) -> Store:
    """A small store as a run leaves it, made once."""
    store = folder / "store"
    if not store.exists():
        benchmark = synthetic(40, seed=3)
        run(
            make_plan(
                parse_list("gcn[dim=4,layers=1],path+ridge"),
                benchmarks=[benchmark],
                budgets=[12],
                seeds=1,
                recipe="quick",
            ),
            store,
            workers=0,
        )
        failed = json.loads(sorted((store / "trials").glob("*.json"))[0].read_text())
        failed["trial"]["seed"] = 1
        failed |= {
            "schema": 1,
            "digest": None,
            "status": "failed",
            "metrics": {},
            "predictions": None,
            "encodings": None,
            "key": key_of(failed["trial"]),
            "error": {"type": "ValueError", "message": "made up", "traceback": "Traceback:\n  made up"},
        }
        parse_record(json.dumps(failed).encode())
        (store / "trials" / f"{failed['key']}.json").write_text(json.dumps(failed))
    return Store(store)


def parquet_of(table: pa.Table, good: bytes, rng: random.Random) -> bytes:
    """A Parquet file with other bytes or other columns."""
    if rng.random() < 0.4:
        return damage(good, rng)
    for _ in range(rng.choice((1, 1, 2))):
        if table.num_columns and table.num_rows:
            with contextlib.suppress(pa.ArrowException):
                table = columns_of(table, rng)
    try:
        data = whole(table)
    except (pa.ArrowException, ValueError, UnicodeError):
        return damage(good, rng)
    return damage(data, rng) if rng.random() < 0.1 else data


def whole(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())
