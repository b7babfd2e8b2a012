"""NATS-Bench (Dong et al., TPAMI 2021): the official "simple" releases of its topology and size spaces.

Topology graph and names: as NAS-Bench-201. Size graph: a chain of input, five stages, output; a stage's operation is
its channels.

A release is a folder (or the official tar of it) with one bz2 pickle per architecture and `meta.pickle.pbz2`;
architectures are read one at a time. A folder that holds only some of them is a benchmark of only those, and its card
says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from archrank.datasets import nb201_cells
from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import flat, metric, number
from archrank.datasets.importers.source import Importer, Source
from archrank.datasets.io import safe_pickle
from archrank.datasets.io.bounded import MEMBER_LIMIT, read_bz2, tar_members, tell, unpack_bz2

if TYPE_CHECKING:
    import pandas as pd

FOLDERS = {"topology": "NATS-tss-v1_0-3ffb9-simple", "size": "NATS-sss-v1_0-50262-simple"}
UNPACKED_LIMIT = 64 << 30
COUNTS = {"topology": 15625, "size": 32768}
# Key of the longest training, and the shorter ones, in each space.
EPOCHS = {"topology": ("200", "12"), "size": ("90", "12", "01")}
CHANNELS = (8, 16, 24, 32, 40, 48, 56, 64)
# metric -> (data set, name of the evaluation, description)
EVALUATIONS = {
    "cifar10_val": ("cifar10-valid", "x-valid", "CIFAR-10 validation"),
    "cifar10_test": ("cifar10", "ori-test", "CIFAR-10 test"),
    "cifar100_val": ("cifar100", "x-valid", "CIFAR-100 validation"),
    "cifar100_test": ("cifar100", "x-test", "CIFAR-100 test"),
    "imagenet16_val": ("ImageNet16-120", "x-valid", "ImageNet16-120 validation"),
    "imagenet16_test": ("ImageNet16-120", "x-test", "ImageNet16-120 test"),
}
COSTS = {
    "parameters": ("params", "million", "trainable parameters"),
    "flops": ("flop", "million", "multiply-adds on CIFAR-10"),
}
SEEDS = 3


def locate(root: Path, variant: str = "topology") -> Path | None:
    """The release's folder or tar file below a data folder, or None."""
    for folder in ("natsbench", "nasbench201/nats_simple_sample"):
        for path in (root / folder / FOLDERS[variant], root / folder / f"{FOLDERS[variant]}.tar"):
            if path.is_dir() or path.is_file():
                return path
    return None


def files(path: Path, variant: str = "topology") -> list[Path]:
    """The file to watch for changes: the tar, or the folder's meta file."""
    return [path / "meta.pickle.pbz2"] if path.is_dir() else [path]


def _unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.glob("*.pickle.pbz2")):
            yield file.name, read_bz2(file)
        return
    total = 0
    for name, stream in tar_members(path, ".pickle.pbz2"):
        data = unpack_bz2(stream, min(MEMBER_LIMIT, UNPACKED_LIMIT - total), f"{path}: member '{name}'")
        total += len(data)
        yield PurePosixPath(name).name, data


def size_graph(arch: str, where: str) -> tuple[list[int], list[int]]:
    """Op ids and flat edges of a size-space string such as `8:8:16:16:32`."""
    parts = arch.split(":")
    if len(parts) != 5 or any(part not in map(str, CHANNELS) for part in parts):
        raise DataError(
            f"{where}: '{arch[:60]}' is not a size-space string: five of {', '.join(map(str, CHANNELS))} between colons"
        )
    return [0, *(1 + CHANNELS.index(int(part)) for part in parts), len(CHANNELS) + 1], flat(
        (v, v + 1) for v in range(6)
    )


def _runs(info: dict[str, Any], data_set: str, evaluation: str, where: str) -> list[float]:
    """Last-epoch accuracy of every seed that trained on the data set, in the order of the seeds."""
    runs = []
    for seed in sorted(info["dataset_seed"].get(data_set, ())):
        result = info["all_results"][data_set, seed]
        last = int(result["epochs"]) - 1
        runs.append(number(result["eval_acc1es"][f"{evaluation}@{last}"], f"{where}: {data_set}, seed {seed}"))
    return runs


def row_of(stages: dict[str, Any], variant: str, where: str) -> dict[str, Any]:
    """One architecture as a row of columns. stages: its results by the name of the training, as `EPOCHS` has them."""
    first = EPOCHS[variant][0]
    row: dict[str, Any] = {"arch": str(stages[first]["arch_str"])}
    for stage in EPOCHS[variant]:
        for name, (data_set, evaluation, _) in EVALUATIONS.items():
            column = name if stage == first else f"{name}_{int(stage)}"
            runs = _runs(stages[stage], data_set, evaluation, where)[:SEEDS]
            row[column] = sum(runs) / len(runs) if runs else np.nan
            for run in range(SEEDS):
                row[f"{column}_run{run + 1}"] = runs[run] if run < len(runs) else np.nan
    info = stages[first]
    result = info["all_results"]["cifar10-valid", min(info["dataset_seed"]["cifar10-valid"])]
    for name, (entry, _, _) in COSTS.items():
        row[name] = number(result[entry], f"{where}: {entry}")
    times = result["train_times"]
    row["train_seconds"] = number(sum(times.values()), f"{where}: train_times") if times is not None else np.nan
    return row


def read(path: Path, variant: str = "topology") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of one space, in official index order."""
    rows: dict[int, dict[str, Any]] = {}
    for number_read, (name, data) in enumerate(_unpacked(path)):
        tell(number_read, COUNTS[variant])
        where = f"{path}: {name}"
        if name.startswith("meta"):
            continue
        (stages,) = safe_pickle.loads(data, where)
        try:
            position = int(name.split(".")[0])
            rows[position] = row_of(stages, variant, where)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise DataError(
                f"{where}: not an architecture of the {variant} space ({type(error).__name__}: {error})"
            ) from None
    if not rows:
        raise DataError(f"{path}: holds no architecture (<index>.pickle.pbz2)")
    return table_of(rows, variant, str(path))


def table_of(rows: dict[int, dict[str, Any]], variant: str, where: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of the architectures in `rows`, official index -> row (see `row_of`)."""
    import pandas as pd

    frame = pd.DataFrame([rows[position] for position in sorted(rows)])
    frame = frame.dropna(axis=1, how="all")
    # A lone run is the score itself.
    alone = [name for name in frame.columns if name.endswith("_run1") and f"{name[:-1]}2" not in frame.columns]
    frame = frame.drop(columns=alone)
    archs = list(frame["arch"])
    graphs: list[tuple[list[int], list[int]]] = []
    keys = archs
    if variant == "topology":
        cells = [nb201_cells.parse(arch) for arch in archs]
        graphs = [([0, *map(nb201_cells.OPS.index, cell), 6], flat(nb201_cells.EDGES)) for cell in cells]
        keys = [nb201_cells.canonical(cell) for cell in cells]
    else:
        graphs = [size_graph(arch, where) for arch in archs]
    frame.insert(1, "ops", pd.Series([ops for ops, _ in graphs]))
    frame.insert(2, "edges", pd.Series([edges for _, edges in graphs]))
    frame.insert(3, "key", keys)
    return frame, _card(frame, variant)


def _card(frame: pd.DataFrame, variant: str) -> dict[str, Any]:
    first = EPOCHS[variant][0]
    metrics: dict[str, Any] = {}
    for stage in EPOCHS[variant]:
        for name, (_, _, description) in EVALUATIONS.items():
            column = name if stage == first else f"{name}_{int(stage)}"
            runs = [f"{column}_run{run + 1}" for run in range(SEEDS) if f"{column}_run{run + 1}" in frame.columns]
            if column not in frame.columns:
                continue
            more: dict[str, Any] = {"repeats": runs} if runs else {}
            said = f"mean of up to {len(runs)} seeds" if more else "one seed"
            metrics[column] = metric(f"{description} accuracy, {int(stage)} epochs, {said}", **more)
    for name, (_, unit, description) in COSTS.items():
        metrics[name] = metric(description, unit, "min")
    metrics["train_seconds"] = metric(f"training time on CIFAR-10 (training half), {int(first)} epochs", "s", "min")
    whole = len(frame) == COUNTS[variant]
    facts: dict[str, Any] = {"architectures": len(frame)}
    if whole and variant == "topology":
        facts = {
            "architectures": 15625,
            "classes": nb201_cells.CLASSES,
            "best": {
                "cifar10_test": 94.3733,
                "cifar100_test": 73.5133,
                "imagenet16_test": 47.3111,
                "cifar10_val": 91.6067,
            },
        }
    if variant == "topology":
        space = {
            "name": "nasbench201",
            "ops": list(nb201_cells.OPS),
            "max_nodes": 8,
            "cells": 1,
            "roles": {"input": 0, "none": 1, "skip": 2, "output": 6},
        }
    else:
        ops = ["input", *(f"channels_{count}" for count in CHANNELS), "output"]
        space = {
            "name": "natsbench_size",
            "ops": ops,
            "max_nodes": 7,
            "cells": 1,
            "roles": {"input": 0, "output": len(ops) - 1},
        }
    return {
        "name": f"natsbench_{variant}",
        "title": f"NATS-Bench {variant}" + ("" if whole else f" ({len(frame)} of {COUNTS[variant]:,} architectures)"),
        "space": space,
        "metrics": metrics,
        "default_target": "cifar10_val",
        "source": f"github.com/D-X-Y/NATS-Bench, {FOLDERS[variant]}",
        "licence": "MIT",
        "citation": "X. Dong, L. Liu, K. Musial, B. Gabrys. NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and "
        "Size. TPAMI 2021.",
        "facts": facts,
    }


IMPORTER = Importer(
    "natsbench",
    summary="NATS-Bench (Dong et al., TPAMI 2021): the official 'simple' releases of its topology and size spaces",
    sources=(
        *(
            Source(
                f"natsbench_{variant}",
                f"NATS-Bench {variant} space, {count} networks on CIFAR-10/100 and ImageNet16-120",
                f"natsbench/{folder} (the folder, or the .tar of it)",
                f"the NATS-Bench project (github.com/D-X-Y/NATS-Bench), {folder}.tar on Google Drive",
                version=2,
                variant=variant,
            )
            for variant, count, folder in (
                ("topology", "15,625", "NATS-tss-v1_0-3ffb9-simple"),
                ("size", "32,768", "NATS-sss-v1_0-50262-simple"),
            )
        ),
    ),
    locate=locate,
    read=read,
    files=files,
)
