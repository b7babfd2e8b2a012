"""Inputs that people write: specs, suites, tables, and benchmarks."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from archrank.datasets.benchmark import read_benchmark, write_benchmark
from archrank.datasets.custom.files import read_custom
from archrank.datasets.splits import make_split
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.suite import read_suite
from archrank.eval.trials.trial import make_plan
from tests.tools.fuzz.kinds import Kind, commanded, parquet_of, whole
from tests.tools.fuzz.mutate import changed, damage, encoded, garble, json_of


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
        actual = read_suite(str(path))
        benchmarks, _ = actual.available_locally()
        make_plan(
            parse_list(actual.encoders),
            benchmarks=benchmarks,
            budgets=actual.budgets,
            seeds=actual.seeds,
            targets=actual.targets,
            protocol=actual.protocol,
            recipe=actual.recipe,
            optional=actual.optional,
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
