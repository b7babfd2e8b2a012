"""NAS-Bench-201 (Dong and Yang, ICLR 2020), the topology space of NATS-Bench: 15,625 cells of 6 edges and 5 operations.

Reads a CSV of one row per architecture, or the official file (see `nasbench201_pth`).

Graph: operation on node, 8 nodes: input, the six edges of the cell in the order of the architecture string
(0>1, 0>2, 1>2, 0>3, 1>3, 2>3), output. `none` and `skip_connect` stay nodes.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import DataError
from archrank.datasets.importers import nasbench201_pth
from archrank.datasets.importers.source import Importer, Source
from archrank.datasets.io.bounded import read_bytes
from archrank.datasets.nb201_cells import CLASSES, EDGES, OPS, canonical, parse

if TYPE_CHECKING:
    import pandas as pd

OFFICIAL = ("NAS-Bench-201-v1_1-096897.pth", "NAS-Bench-201-v1_0-e61699.pth")

COLUMNS = {
    "cifar10_val": ("c10_val_200_avg3", "CIFAR-10 validation accuracy, 200 epochs, mean of 3 seeds"),
    "cifar10_test": ("c10_test_200_avg3", "CIFAR-10 test accuracy, 200 epochs, mean of 3 seeds"),
    "cifar100_test": ("c100_test_200_avg3", "CIFAR-100 test accuracy, 200 epochs, mean of 3 seeds"),
    "imagenet16_test": ("in16_test_200_avg3", "ImageNet16-120 test accuracy, 200 epochs, mean of 3 seeds"),
    "cifar10_val_12": ("c10_val_12", "CIFAR-10 validation accuracy, 12 epochs"),
    "cifar10_test_12": ("c10_test_12", "CIFAR-10 test accuracy, 12 epochs"),
    "cifar100_val_12": ("c100_val_12", "CIFAR-100 validation accuracy, 12 epochs"),
    "cifar100_test_12": ("c100_test_12", "CIFAR-100 test accuracy, 12 epochs"),
    "imagenet16_val_12": ("in16_val_12", "ImageNet16-120 validation accuracy, 12 epochs"),
    "imagenet16_test_12": ("in16_test_12", "ImageNet16-120 test accuracy, 12 epochs"),
}
COSTS = {
    "parameters": ("params", "trainable parameters of the whole network", "count"),
    "flops": ("flops", "multiply-adds of the whole network on CIFAR-10", "count"),
    "train_seconds": ("c10_train_time_200_s", "training time on CIFAR-10, 200 epochs", "s"),
}


def locate(root: Path, variant: str = "") -> Path | None:
    """The table below a data folder, or the official file, or None."""
    paths = (root / "nasbench201" / name for name in ("table.csv", *OFFICIAL))
    return next((path for path in paths if path.is_file()), None)


def read(path: Path, variant: str = "") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of the table or official file at `path` (one row per architecture in official index order)."""
    if path.suffix == ".pth":
        return nasbench201_pth.read(path)
    import pandas as pd

    raw = pd.read_csv(BytesIO(read_bytes(path)))
    needed = {"arch_str", *(column for column, *_ in COLUMNS.values()), *(column for column, *_ in COSTS.values())}
    if missing := sorted(needed - set(raw.columns)):
        raise DataError(f"{path}: column '{missing[0]}' is missing; is this the NAS-Bench-201 table?")
    cells = [parse(arch) for arch in raw["arch_str"]]
    ids = {op: number for number, op in enumerate(OPS)}
    frame = pd.DataFrame(
        {
            "arch": raw["arch_str"],
            "ops": [[0, *(ids[op] for op in cell), len(OPS) - 1] for cell in cells],
            "edges": [[node for edge in EDGES for node in edge]] * len(raw),
            "key": [canonical(cell) for cell in cells],
        }
    )
    metrics: dict[str, Any] = {}
    for name, (column, description) in COLUMNS.items():
        frame[name] = raw[column]
        metrics[name] = {"unit": "%", "direction": "max", "description": description}
    for name, (column, description, unit) in COSTS.items():
        frame[name] = raw[column]
        metrics[name] = {"unit": unit, "direction": "min", "description": description}
    card = {
        "name": "nasbench201",
        "title": "NAS-Bench-201",
        "space": {
            "name": "nasbench201",
            "ops": list(OPS),
            "max_nodes": 8,
            "cells": 1,
            "roles": {"input": 0, "none": 1, "skip": 2, "output": 6},
        },
        "metrics": metrics,
        "default_target": "cifar10_val",
        "source": "github.com/D-X-Y/NAS-Bench-201, NAS-Bench-201-v1_1",
        "licence": "MIT",
        "citation": "X. Dong, Y. Yang. NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search. ICLR 2020.",
        "facts": {
            "architectures": 15625,
            "classes": CLASSES,
            "best": {
                "cifar10_test": 94.3733,
                "cifar100_test": 73.5133,
                "imagenet16_test": 47.3111,
                "cifar10_val": 91.6067,
            },
        },
    }
    return frame, card


IMPORTER = Importer(
    "nasbench201",
    summary="NAS-Bench-201 (Dong and Yang, ICLR 2020), the topology space of NATS-Bench: 15,625 cells of 6 edges and 5 operations",
    sources=(
        Source(
            "nasbench201",
            "NAS-Bench-201 (NATS-Bench topology), 15,625 cells, CIFAR-10/100 and ImageNet16-120",
            "nasbench201/NAS-Bench-201-v1_1-096897.pth or nasbench201/table.csv",
            "the NAS-Bench-201 project (github.com/D-X-Y/NAS-Bench-201), NAS-Bench-201-v1_1-096897.pth (4.7 GB) on Google Drive, or an export of "
            "it to one CSV row per architecture",
            version=2,
        ),
    ),
    locate=locate,
    read=read,
)
