"""Inputs that archrank wrote: records, predictions, and saved predictors."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from archrank.eval.predictor import Predictor
from archrank.eval.search.plan import SearchTask
from archrank.eval.search.traces import read_searches, write_search
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.files import table_bytes
from archrank.eval.trials.results import as_frame, latest
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import key_of
from archrank.reports.stores import alike, cells, progress, read, repeat_trial
from tests.tools.fuzz.kinds import Kind, commanded, parquet_of, store_of
from tests.tools.fuzz.mutate import changed, damage, encoded, json_of


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
        actual = read([scratch])
        records, _ = latest(actual.records)
        as_frame(records), progress(records), alike(records, "protocol"), cells(records), actual.problems()
        for one in records:
            repeat_trial(one), one.plain(), one.text()
        for words in (["status"], ["failures", "--traceback"], ["show", key[:12]], ["compare", "gcn", "path"]):
            commanded([*words, "--store", str(scratch)], rng)
        return actual.problems()

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
