"""The published trainings of NAS-Bench-301 (Zela et al., ICLR 2022): about 60,000 DARTS networks, one JSON file per
training.

Reads the folder of the release, or the zip of it: `<optimizer>/results_*.json`, wherever below, for the optimizers that
the official surrogates are fitted on. A file names the cells edge by edge (`optimized_hyperparamater_config`) and gives
`info[0].val_accuracy`, `test_accuracy` and `runtime`. Trainings of one architecture are averaged; those at another
fidelity (epochs, layers, channels) than most are left out.

Graph and names: as in `nasbench301`. Written from the official code and one published file; the release itself was not
at hand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import DataError
from archrank.datasets.importers import nasbench301
from archrank.datasets.importers.common import flat, metric, number
from archrank.datasets.importers.nasbench301 import CELL_OPS, Cell
from archrank.datasets.importers.source import Importer, Source
from archrank.datasets.io.bounded import parse_json, read_bytes, tell, zip_members

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "nb_301_v13_lc_iclr_final"
OPTIMIZERS = ("rs", "darts", "random_ws", "gdas", "pc_darts", "re", "tpe", "de", "combo", "bananas", "drnas")
LARGEST = 16 << 20
_DARTS = "NetworkSelectorDatasetInfo:darts:"
_FIDELITY = ("SimpleLearningrateSchedulerSelector:cosine_annealing:T_max", f"{_DARTS}init_channels", f"{_DARTS}layers")
_RESULT = re.compile(r"results_\w+\.json")
# First edge into each intermediate node: node 2 has two possible inputs, node 3 three, and so on.
_FIRST_EDGE = (0, 2, 5, 9)


def locate(root: Path, variant: str = "") -> Path | None:
    """The release's folder or zip below a data folder, or None."""
    paths = (root / "nasbench301" / FOLDER, root / "nasbench301" / f"{FOLDER}.zip")
    return next((path for path in paths if path.exists()), None)


def _trainings(path: Path) -> Iterator[tuple[str, Any]]:
    """Name and content of each training, one at a time."""

    def wanted(name: str) -> bool:
        parts = PurePosixPath(name).parts
        return len(parts) > 1 and parts[-2] in OPTIMIZERS and bool(_RESULT.fullmatch(parts[-1]))

    if not path.is_dir():
        for name, data in zip_members(path, ".json", LARGEST):
            if wanted(name):
                yield f"{path}: {name}", parse_json(data, f"{path}: {name}")
        return
    files = sorted(file for file in path.rglob("results_*.json") if wanted(file.as_posix()))
    for count, file in enumerate(files):
        tell(count, len(files))
        yield str(file), parse_json(read_bytes(file, LARGEST), str(file))


def cell(config: dict[str, Any], kind: str, where: str) -> Cell:
    """The cell `kind` (normal or reduce) of a configuration: eight (input node, op id) pairs; DataError if it is not
    one."""
    pairs: list[tuple[int, int]] = []
    for node, first in enumerate(_FIRST_EDGE):
        text = config.get(f"{_DARTS}inputs_node_{kind}_{node + 2}", "0_1" if node == 0 else None)
        if not isinstance(text, str) or not re.fullmatch(r"\d_\d", text):
            raise DataError(
                f"{where}: {kind} cell: the inputs of node {node + 2} are {str(text)[:20]!r}, not such as '0_2'"
            )
        for source in (int(part) for part in text.split("_")):
            op = config.get(f"{_DARTS}edge_{kind}_{first + source}")
            if op not in CELL_OPS:
                raise DataError(
                    f"{where}: {kind} cell: edge {source} > {node + 2} has operation {str(op)[:40]!r}; known: {', '.join(CELL_OPS)}"
                )
            pairs.append((source, CELL_OPS.index(op)))
    return nasbench301.check_cell(tuple(pairs), f"{where}: {kind} cell")


def read(path: Path, variant: str = "") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card, architectures in the order of their first file."""
    import pandas as pd

    runs: list[tuple[tuple[Cell, Cell], tuple[Any, ...], tuple[float, ...]]] = []
    for where, content in _trainings(path):
        try:
            config = content["optimized_hyperparamater_config"]
            info = content["info"][0]
            fidelity = tuple(config.get(name) for name in _FIDELITY)
            raw = {
                "val_accuracy": info["val_accuracy"],
                "test_accuracy": content["test_accuracy"],
                "runtime": content["runtime"],
                "model_parameters": info["model_parameters"],
            }
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise DataError(f"{where}: not a training of NAS-Bench-301 ({type(error).__name__}: {error})") from None
        cells = cell(config, "normal", where), cell(config, "reduce", where)
        runs.append((cells, fidelity, tuple(number(value, f"{where}: {name}") for name, value in raw.items())))
    if not runs:
        raise DataError(
            f"{path}: holds no <optimizer>/results_*.json of {', '.join(OPTIMIZERS)}; is this the release of NAS-Bench-301?"
        )
    common = Counter(fidelity for _, fidelity, _ in runs).most_common(1)[0][0]
    rows: dict[tuple[Cell, Cell], list[tuple[float, ...]]] = {}
    for cells, fidelity, values in runs:
        if fidelity == common:
            rows.setdefault(cells, []).append(values)
    means = [[sum(column) / len(trainings) for column in zip(*trainings)] for trainings in rows.values()]
    graphs = [nasbench301.graph(*cells) for cells in rows]
    left_out = f"; {len(runs) - sum(map(len, rows.values())):,} trainings at other epochs, layers or channels left out"
    metrics = {
        "cifar10_val": metric(f"CIFAR-10 validation accuracy, mean of its trainings{left_out}"),
        "cifar10_test": metric("CIFAR-10 test accuracy, mean of its trainings"),
        "train_seconds": metric("training time", "s", "min"),
        "parameters": metric("trainable parameters", "count", "min"),
    }
    frame = pd.DataFrame(
        {
            "arch": [nasbench301.name_of(*cells) for cells in rows],
            "ops": [ops for ops, _, _ in graphs],
            "edges": [flat(edges) for _, edges, _ in graphs],
            "key": nasbench301.keys(graphs),
            "cell": [part for _, _, part in graphs],
            **{name: [values[at] for values in means] for at, name in enumerate(metrics)},
        }
    )
    card = {
        "name": "nasbench301",
        "title": "NAS-Bench-301, published trainings",
        "space": {
            "name": "nasbench301",
            "ops": list(nasbench301.OPS),
            "max_nodes": 30,
            "cells": 2,
            "roles": nasbench301.ROLES,
        },
        "metrics": metrics,
        "default_target": "cifar10_val",
        "source": f"github.com/automl/nasbench301, {path.name}",
        "licence": "Apache-2.0",
        "citation": "A. Zela et al. Surrogate NAS Benchmarks: Going Beyond the Limited Search Spaces of Tabular NAS Benchmarks. ICLR 2022.",
        "facts": {"architectures": len(rows)},
    }
    return frame, card


IMPORTER = Importer(
    "nasbench301_release",
    summary="The published trainings of NAS-Bench-301 (Zela et al., ICLR 2022): about 60,000 DARTS networks, one JSON file per training",
    sources=(
        Source(
            "nasbench301",
            "NAS-Bench-301, about 60,000 DARTS networks trained on CIFAR-10",
            "nasbench301/nb_301_v13_lc_iclr_final or nasbench301/nb_301_v13_lc_iclr_final.zip",
            "figshare.com/articles/dataset/nasbench301_full_data/13286105, nb_301_v13_lc_iclr_final.zip",
        ),
    ),
    locate=locate,
    read=read,
)
