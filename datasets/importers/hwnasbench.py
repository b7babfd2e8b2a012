"""HW-NAS-Bench (Li et al., ICLR 2021): latency and energy of the NAS-Bench-201 networks on six devices.

A table of its own in the space `nasbench201`, with the same architecture names, so that scores of the accuracy table
never change with the presence of this one. Reads the official pickle, or three CSV exports `hw_<data set>.csv` whose
first column is NASLib's 6-tuple.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets import nb201_cells
from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import flat, int_tuple, metric
from archrank.datasets.importers.source import Importer, Source
from archrank.datasets.io import safe_pickle
from archrank.datasets.io.bounded import read_bytes

if TYPE_CHECKING:
    import pandas as pd

DATA_SETS = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet16"}
QUANTITIES = {
    "edgegpu_latency": ("latency on an edge GPU (Jetson TX2)", "ms", "min"),
    "edgegpu_energy": ("energy on an edge GPU (Jetson TX2)", "mJ", "min"),
    "raspi4_latency": ("latency on a Raspberry Pi 4", "ms", "min"),
    "edgetpu_latency": ("latency on an Edge TPU (empty where it cannot run the network)", "ms", "min"),
    "pixel3_latency": ("latency on a Pixel 3", "ms", "min"),
    "eyeriss_latency": ("latency on the Eyeriss accelerator, simulated", "ms", "min"),
    "eyeriss_energy": ("energy on the Eyeriss accelerator, simulated", "mJ", "min"),
    "eyeriss_arithmetic_intensity": (
        "arithmetic intensity on the Eyeriss accelerator, simulated",
        "operations/bit",
        "max",
    ),
    "fpga_latency": ("latency on an FPGA, simulated", "ms", "min"),
    "fpga_energy": ("energy on an FPGA, simulated", "mJ", "min"),
}
PICKLE = "HW-NAS-Bench-v1_0.pickle"
# NASLib lists edges by source: position of (0,1) (0,2) (1,2) (0,3) (1,3) (2,3) in its tuples, and the operations by its
# ids.
_NASLIB_PLACE = (0, 1, 3, 2, 4, 5)
_NASLIB_OPS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")


def locate(root: Path, variant: str = "") -> Path | None:
    """The official pickle, else the folder with all three CSV files, below a data folder; or None."""
    folder = root / "hwnasbench"
    if (folder / PICKLE).is_file():
        return folder / PICKLE
    return folder if all(file.is_file() for file in files(folder)) else None


def files(path: Path, variant: str = "") -> list[Path]:
    """The files that are read."""
    return [path] if path.suffix == ".pickle" else [path / f"hw_{data_set}.csv" for data_set in DATA_SETS]


def arch_of(text: object, where: str) -> str:
    """The NAS-Bench-201 string of a NASLib 6-tuple such as "(4, 3, 3, 0, 0, 0)"."""
    ids = int_tuple(text, where)
    if len(ids) != 6 or any(not 0 <= op < len(_NASLIB_OPS) for op in ids):
        raise DataError(f"{where}: {ids} is not a cell: six operation ids from 0 to {len(_NASLIB_OPS) - 1}")
    words = [
        f"{_NASLIB_OPS[ids[place]]}~{source}" for place, (source, _) in zip(_NASLIB_PLACE, nb201_cells.STRING_ORDER)
    ]
    return f"|{words[0]}|+|{words[1]}|{words[2]}|+|{words[3]}|{words[4]}|{words[5]}|"


def _from_csv(path: Path, data_set: str) -> pd.DataFrame:
    import pandas as pd

    file = path / f"hw_{data_set}.csv"
    try:
        raw = pd.read_csv(BytesIO(read_bytes(file)))
    except ValueError as error:
        raise DataError(f"{file}: not a readable CSV table ({error})") from None
    if missing := [name for name in ("net", *QUANTITIES) if name not in raw.columns]:
        raise DataError(f"{file}: column '{missing[0]}' is missing")
    index = [arch_of(text, f"{file}: row {row}") for row, text in enumerate(raw["net"])]
    return raw[list(QUANTITIES)].set_axis(pd.Index(index), axis=0)


def _from_pickle(table: Any, path: Path, data_set: str) -> pd.DataFrame:
    import pandas as pd

    try:
        part = table["nasbench201"][data_set]
        index = [str(config["arch_str"]) for config in part["config"]]
        columns = {name: np.asarray(part[name], np.float64) for name in QUANTITIES}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: lacks nasbench201 / {data_set} / {error}; is this {PICKLE}?") from None
    if any(column.shape != (len(index),) for column in columns.values()):
        raise DataError(f"{path}: {data_set}: columns of different length")
    return pd.DataFrame(columns, index=index)


def read(path: Path, variant: str = "") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card, architectures in the order of the first data set."""
    import pandas as pd

    table = safe_pickle.load(path) if path.suffix == ".pickle" else None
    columns: dict[str, NDArray[np.float64]] = {}
    metrics: dict[str, Any] = {}
    archs: list[str] = []
    for data_set, short in DATA_SETS.items():
        part = _from_csv(path, data_set) if table is None else _from_pickle(table, path, data_set)
        if part.index.has_duplicates:
            raise DataError(f"{path}: {data_set}: architecture '{part.index[part.index.duplicated()][0]}' comes twice")
        archs = archs or list(part.index)
        if len(part) != len(archs) or not part.index.isin(archs).all():
            raise DataError(f"{path}: {data_set} covers other architectures than {next(iter(DATA_SETS))}")
        for quantity, (description, unit, direction) in QUANTITIES.items():
            values = pd.to_numeric(part.loc[archs, quantity], errors="coerce").to_numpy(np.float64)
            wrong = ~np.isfinite(values) | ((values <= 0) & (values != -1))
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                raise DataError(
                    f"{path}: {data_set}: {quantity} of '{archs[row]}' is {values[row]}, not a positive number"
                )
            columns[f"{short}_{quantity}"] = np.where(values == -1, np.nan, values)
            metrics[f"{short}_{quantity}"] = metric(f"{description}, {data_set} network", unit, direction)
    cells = [nb201_cells.parse(arch) for arch in archs]
    ids = {op: number for number, op in enumerate(nb201_cells.OPS)}
    frame = pd.DataFrame(
        {
            "arch": archs,
            "ops": [[0, *(ids[op] for op in cell), len(nb201_cells.OPS) - 1] for cell in cells],
            "edges": [flat(nb201_cells.EDGES)] * len(archs),
            "key": [nb201_cells.canonical(cell) for cell in cells],
            **columns,
        }
    )
    card = {
        "name": "hwnasbench201",
        "title": "HW-NAS-Bench, NAS-Bench-201 space",
        "space": {
            "name": "nasbench201",
            "ops": list(nb201_cells.OPS),
            "max_nodes": 8,
            "cells": 1,
            "roles": {"input": 0, "none": 1, "skip": 2, "output": 6},
        },
        "metrics": metrics,
        "default_target": "cifar10_edgegpu_latency",
        "source": "github.com/GATECH-EIC/HW-NAS-Bench",
        "licence": "MIT",
        "citation": "C. Li et al. HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark. ICLR 2021.",
        "facts": {"architectures": 15625, "classes": nb201_cells.CLASSES, "missing": {"cifar10_edgetpu_latency": 4699}},
    }
    return frame, card


IMPORTER = Importer(
    "hwnasbench",
    summary="HW-NAS-Bench (Li et al., ICLR 2021): latency and energy of the NAS-Bench-201 networks on six devices",
    sources=(
        Source(
            "hwnasbench201",
            "HW-NAS-Bench, latency and energy of the NAS-Bench-201 networks on six devices",
            "hwnasbench/HW-NAS-Bench-v1_0.pickle (or hwnasbench/hw_{cifar10,cifar100,ImageNet16-120}.csv)",
            "the HW-NAS-Bench project (github.com/GATECH-EIC/HW-NAS-Bench), HW-NAS-Bench-v1_0.pickle",
            version=2,
        ),
    ),
    locate=locate,
    read=read,
    files=files,
)
