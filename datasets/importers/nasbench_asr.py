"""NAS-Bench-ASR (Mehrotra et al., ICLR 2021): convolutional cells for speech recognition on TIMIT, with latency on two
devices.

Graph: operation on node. A cell has three steps; each applies an operation to what the step before gave, and adds the
outputs of earlier steps through identity branches. Nodes: input, per step its operation and one `skip` per branch in
use, output. What a node reads is the sum of its predecessors, so sums need no nodes of their own.

Reads a folder of the official pickles, each a header dictionary followed by a list of rows. Written from the published
reader and tested on files made in that form; the release itself was not at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import flat, metric, number
from archrank.datasets.importers.source import Importer, Source
from archrank.datasets.io import safe_pickle
from archrank.datasets.io.bounded import read_bytes, shown
from archrank.datasets.keys import graph_keys

if TYPE_CHECKING:
    import pandas as pd

STEPS = 3
CELL_OPS = ("linear", "conv5", "conv5d2", "conv7", "conv7d2", "zero")
OPS = ("input", *CELL_OPS, "skip", "output")
SEEDS = (1234, 1235, 1236)
DEVICES = {"gtx-1080ti": "latency_gtx1080ti", "jetson-nano": "latency_jetson_nano"}
TRAINED = [f"nb-asr-e40-{seed}.pickle" for seed in SEEDS]
TIMED = [f"nb-asr-bench-{device}-fp32.pickle" for device in DEVICES]
STATIC = "nb-asr-info.pickle"


def locate(root: Path, variant: str = "") -> Path | None:
    """The folder with the training pickles below a data folder, or None."""
    folder = root / "nasbench_asr"
    return folder if all((folder / name).is_file() for name in TRAINED) else None


def files(path: Path, variant: str = "") -> list[Path]:
    """The files that are read: trainings, and latencies and parameters where they are there."""
    return [path / name for name in (*TRAINED, *TIMED, STATIC) if (path / name).is_file()]


def _rows(path: Path, kind: str, columns: list[str]) -> dict[str, list[Any]]:
    header, rows = safe_pickle.loads(read_bytes(path, safe_pickle.PICKLE_LIMIT), str(path), count=2)
    if not isinstance(header, dict) or header.get("dataset_type") != kind:
        raise DataError(f"{path}: not a file of '{kind}' information; are the files mixed up?")
    if list(header.get("columns", ()))[: len(columns)] != columns:
        raise DataError(f"{path}: its columns are {shown(header.get('columns'))}; expected {', '.join(columns)} first")
    by_column: dict[str, list[Any]] = {}
    for position, row in enumerate(rows if isinstance(rows, list) else ()):
        if not isinstance(row, (list, tuple)) or len(row) < len(columns) or not isinstance(row[0], str):
            raise DataError(f"{path}: row {position} is not a list of {', '.join(columns)}")
        if row[0] in by_column:
            raise DataError(f"{path}: row {position} repeats model {row[0][:40]}")
        by_column[row[0]] = list(row[1:])
    if not by_column:
        raise DataError(f"{path}: holds no row")
    return by_column


def graph(vector: object, where: str) -> tuple[list[int], list[tuple[int, int]], str]:
    """Op ids, edges and a readable name of [[op, branch], [op, branch, branch], ...]; DataError if it is no cell."""
    if not isinstance(vector, (list, tuple)) or len(vector) != STEPS:
        raise DataError(f"{where}: an architecture has {STEPS} steps")
    ops, edges, words = [0], [], []
    state: list[list[int]] = [[0]]
    for step, part in enumerate(vector):
        if (
            not isinstance(part, (list, tuple))
            or len(part) != step + 2
            or not all(type(value) is int for value in part)
        ):
            raise DataError(f"{where}: step {step} must be an operation and {step + 1} branches, all integers")
        op, *branches = part
        if not 0 <= op < len(CELL_OPS) or set(branches) - {0, 1}:
            raise DataError(
                f"{where}: step {step}: operation {op} or branches {branches} unknown; operations are 0 to {len(CELL_OPS) - 1}"
            )
        made = []
        for source, node_op in [
            (step, 1 + op),
            *((earlier, OPS.index("skip")) for earlier, used in enumerate(branches) if used),
        ]:
            edges += [(before, len(ops)) for before in state[source]]
            made.append(len(ops))
            ops.append(node_op)
        state.append(made)
        words.append(CELL_OPS[op] + "".join(map(str, branches)))
    edges += [(before, len(ops)) for before in state[-1]]
    return [*ops, len(OPS) - 1], edges, "-".join(words)


def read(path: Path, variant: str = "") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card, models in the order of the first training file."""
    import pandas as pd

    trained = [_rows(path / name, "training", ["model_hash", "val_per", "test_per"]) for name in TRAINED]
    models = list(trained[0])
    for name, part in zip(TRAINED, trained):
        if part.keys() != trained[0].keys():
            raise DataError(f"{path / name}: covers other models than {TRAINED[0]}")
    graphs = [graph(row[-1], f"{path / TRAINED[0]}: model {model[:40]}") for model, row in trained[0].items()]
    val = np.zeros((len(models), len(SEEDS)))
    test = np.zeros_like(val)
    for seed, (name, part) in enumerate(zip(TRAINED, trained)):
        for row, model in enumerate(models):
            where = f"{path / name}: model {model[:40]}"
            curve = np.asarray(part[model][0], np.float64).reshape(-1)
            if not curve.size or not np.isfinite(curve).all():
                raise DataError(f"{where}: its validation error rates are empty or not finite")
            val[row, seed], test[row, seed] = curve.min(), number(part[model][1], f"{where}: test_per")
    runs = {
        f"{name}_run{seed + 1}": values[:, seed]
        for name, values in (("val_per", val), ("test_per", test))
        for seed in range(len(SEEDS))
    }
    metrics = {
        "val_per": metric(
            "phoneme error rate on TIMIT validation, best of 40 epochs, mean of 3 seeds",
            "fraction",
            "min",
            repeats=[f"val_per_run{seed + 1}" for seed in range(len(SEEDS))],
        ),
        "test_per": metric(
            "phoneme error rate on TIMIT test, mean of 3 seeds",
            "fraction",
            "min",
            repeats=[f"test_per_run{seed + 1}" for seed in range(len(SEEDS))],
        ),
    }
    columns: dict[str, Any] = {"val_per": val.mean(1), "test_per": test.mean(1), **runs}
    for name, (device, column) in zip(TIMED, DEVICES.items()):
        if (path / name).is_file():
            part = _rows(path / name, "benchmarking", ["model_hash", "latency"])
            columns[column] = [
                number(part[model][0], f"{path / name}: {model[:40]}") if model in part else np.nan for model in models
            ]
            metrics[column] = metric(f"latency on {device}", "s", "min")
    if (path / STATIC).is_file():
        part = _rows(path / STATIC, "static", ["model_hash", "params"])
        columns["parameters"] = [
            number(part[model][0], f"{path / STATIC}: {model[:40]}") if model in part else np.nan for model in models
        ]
        metrics["parameters"] = metric("trainable parameters", "count", "min")
    frame = pd.DataFrame(
        {
            "arch": [name for _, _, name in graphs],
            "ops": [ops for ops, _, _ in graphs],
            "edges": [flat(edges) for _, edges, _ in graphs],
            "key": graph_keys([ops for ops, _, _ in graphs], [edges for _, edges, _ in graphs]),
            **columns,
        }
    )
    card = {
        "name": "nasbench_asr",
        "title": "NAS-Bench-ASR",
        "space": {
            "name": "nasbench_asr",
            "ops": list(OPS),
            "max_nodes": 2 + STEPS + STEPS * (STEPS + 1) // 2,
            "cells": 1,
            "roles": {"input": 0, "none": OPS.index("zero"), "skip": OPS.index("skip"), "output": len(OPS) - 1},
        },
        "metrics": metrics,
        "default_target": "val_per",
        "source": "github.com/SamsungLabs/nb-asr, release v1.1.0",
        "licence": "see the release",
        "citation": "A. Mehrotra et al. NAS-Bench-ASR: Reproducible Neural Architecture Search for Speech Recognition. ICLR 2021.",
        "facts": {"architectures": 8242},
    }
    return frame, card


IMPORTER = Importer(
    "nasbench_asr",
    summary="NAS-Bench-ASR (Mehrotra et al., ICLR 2021): convolutional cells for speech recognition on TIMIT, with latency on two devices",
    sources=(
        Source(
            "nasbench_asr",
            "NAS-Bench-ASR, 8,242 speech recognition cells on TIMIT",
            "nasbench_asr/nb-asr-e40-1234.pickle and the other six .pickle files of the release",
            "release v1.1.0 of github.com/SamsungLabs/nb-asr: nb-asr-e40-{1234,1235,1236}.pickle, nb-asr-bench-{gtx-1080ti,jetson-nano}-"
            "fp32.pickle, nb-asr-info.pickle",
        ),
    ),
    locate=locate,
    read=read,
    files=files,
)
