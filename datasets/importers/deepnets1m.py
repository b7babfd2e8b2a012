"""DeepNets-1M (Knyazev et al., NeurIPS 2021): whole networks of up to about 600 nodes, with accuracy, robustness, speed
and convergence.

Graph: the network's computational graph as published, operation on node, fifteen primitives. Of the published
shortest-path lengths only the ones (real edges) are kept. `eval` holds the 500 val and 500 test networks (names
`val/0`, `test/0`), which protocol `ppuda` trains and tests on.

Reads the official HDF5 file with its meta data (the JSON file, or the official archive it comes in) and the two label
files; needs the extra `archrank[hdf5]`. Graphs were written from the published loader and tested on a file made in that
layout; the labels are the real ones.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import flat, metric, number
from archrank.datasets.importers.source import Download, Importer, Source
from archrank.datasets.io.bounded import JSON_LIMIT, open_file, parse_json, read_json, read_stream, tar_members, tell
from archrank.datasets.keys import graph_keys

if TYPE_CHECKING:
    import pandas as pd

PRIMITIVES = (
    "max_pool",
    "avg_pool",
    "sep_conv",
    "dil_conv",
    "conv",
    "msa",
    "cse",
    "sum",
    "concat",
    "input",
    "bias",
    "bn",
    "ln",
    "pos_enc",
    "glob_avg",
)
GRAPHS, META, PACKED_META = "deepnets1m_eval.hdf5", "deepnets1m_eval_meta.json", "deepnets1m_meta.tar.gz"
LABELS = {"cifar10": "results_cifar10.json", "imagenet": "results_imagenet.json"}
PARTS = {"val": 500, "test": 500}
LARGEST = 2000
PROPERTIES = {
    "val": ("val_acc", "accuracy on the validation images", "%", "max"),
    "val_noise": ("val_acc_noise", "accuracy on corrupted validation images", "%", "max"),
    "time": ("time", "inference time, in the published unit", "", "min"),
    "converge_time": (
        "converge_time",
        "epochs to convergence over epochs trained (2 on CIFAR-10: never)",
        "ratio",
        "min",
    ),
}
TITLES = {"cifar10": "CIFAR-10", "imagenet": "ImageNet (top-5)"}


def locate(root: Path, variant: str = "") -> Path | None:
    """The folder with graphs, meta data and labels below a data folder, or None."""
    folder = root / "deepnets1m"
    meta = (folder / META).is_file() or (folder / PACKED_META).is_file()
    return folder if meta and all((folder / name).is_file() for name in (GRAPHS, *LABELS.values())) else None


def files(path: Path, variant: str = "") -> list[Path]:
    """The files that are read."""
    meta = META if (path / META).is_file() else PACKED_META
    return [path / name for name in (GRAPHS, meta, *LABELS.values())]


def primitive(name: str, where: str) -> int:
    """Op id of a published node name such as `conv_3x3`, `sep_conv_5x5`, `max_pool_3x3` or `fc-b`."""
    word = name
    if name.startswith("conv_"):
        word = "conv"
    elif name.find("conv_") > 0 or name.find("pool_") > 0:
        word = name[:-4]
    elif name == "fc-b":
        word = "bias"
    if word not in PRIMITIVES:
        raise DataError(f"{where}: unknown operation '{name[:40]}'; known: {', '.join(PRIMITIVES)}")
    return PRIMITIVES.index(word)


def graph(adjacency: Any, nodes: Any, names: dict[int, str], where: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Op ids and edges of a published pair: shortest-path lengths [N, N] and node rows [N, >= 1] that begin with a
    name's number."""
    lengths, rows = np.asarray(adjacency), np.asarray(nodes)
    count = len(rows)
    if not 2 <= count <= LARGEST or lengths.shape != (count, count) or rows.ndim != 2:
        raise DataError(
            f"{where}: adjacency {lengths.shape} and nodes {rows.shape} do not fit; at most {LARGEST} nodes"
        )
    edges = np.argwhere(lengths == 1)
    if (edges[:, 0] > edges[:, 1]).all():  # written from target to source
        edges = edges[:, ::-1]
    if (edges[:, 0] >= edges[:, 1]).any():
        u, v = edges[edges[:, 0] >= edges[:, 1]][0]
        raise DataError(
            f"{where}: edge {u} -> {v} goes backwards; the nodes are not in topological order (a cycle has none)"
        )
    kinds = rows[:, 0].astype(int).tolist()
    if unknown := [kind for kind in kinds if kind not in names]:
        raise DataError(f"{where}: node kind {unknown[0]} is not in the meta data")
    return [primitive(names[kind], where) for kind in kinds], sorted((int(u), int(v)) for u, v in edges)


def _meta(folder: Path) -> Any:
    if (folder / META).is_file():
        return read_json(folder / META, JSON_LIMIT)
    path = folder / PACKED_META
    for name, stream in tar_members(path, META):
        if PurePosixPath(name).name == META:
            where = f"{path}: {META}"
            return parse_json(read_stream(stream, JSON_LIMIT, where), where)
    raise DataError(f"{path}: holds no {META}")


def _own(group: Any, name: str, where: str) -> Any:
    """A member of an HDF5 group that lies in the file itself: soft and external links are refused."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise DataError(f"{where}: '{name}' is a link, or not there; refused")
    return group[name]


def _numbers(group: Any, name: str, most: int, where: str) -> Any:
    """The values of an HDF5 data set of at most `most` plain numbers that are stored in the file itself."""
    stored = _own(group, name, where)
    if stored.size > most or stored.dtype.kind not in "iuf" or stored.external or stored.is_virtual:
        raise DataError(
            f"{where}: '{name}' holds {stored.size:,} x {stored.dtype.itemsize} bytes; at most {most:,} plain numbers, stored in the "
            "file itself, are read"
        )
    return stored[()]


def _names(meta: Any, part: str, where: str) -> dict[int, str]:
    try:
        return {int(number): str(name) for number, name in meta[part]["meta"]["primitives_ext"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(
            f"{where}: lacks '{part}' / 'meta' / 'primitives_ext'; is this the official meta data?"
        ) from None


def labels(folder: Path, part: str) -> dict[str, dict[str, float]]:
    """Scores of one part by network number: columns such as `cifar10_val`. A property that was not published is left
    out."""
    scores: dict[str, dict[str, float]] = {}
    for data_set, file in LABELS.items():
        table = read_json(folder / file)
        entries = table.get(part) if isinstance(table, dict) else None
        if not isinstance(entries, dict):
            raise DataError(f"{folder / file}: has no part '{part}'; is this the official label file?")
        for name, entry in entries.items():
            row = scores.setdefault(name, {})
            for short, (field, *_) in PROPERTIES.items():
                if field in entry:
                    row[f"{data_set}_{short}"] = number(entry[field], f"{folder / file}: {part} {name}: {field}")
            row["parameters"] = (
                number(entry["params"], f"{folder / file}: {part} {name}: params")
                if data_set == "cifar10"
                else row.get("parameters", float("nan"))
            )
    return scores


def read(path: Path, variant: str = "") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card: the val networks in order, then the test networks."""
    import pandas as pd

    try:
        import h5py
    except ImportError:
        raise DataError(
            f"{path / GRAPHS}: reading HDF5 needs h5py; install it with `pip install 'archrank[hdf5]'`"
        ) from None
    meta = _meta(path)
    names: list[str] = []
    graphs: list[tuple[list[int], list[tuple[int, int]]]] = []
    scores: list[dict[str, float]] = []
    try:
        with open_file(path / GRAPHS) as file, h5py.File(file, "r") as store:
            for part in PARTS:
                _own(store, part, f"{path / GRAPHS}: {part}")
                kinds, measured = _names(meta, part, str(path / META)), labels(path, part)
                for position in range(len(store[part])):
                    where = f"{path / GRAPHS}: {part}/{position}"
                    if str(position) not in measured:
                        raise DataError(f"{where}: has no labels in {', '.join(LABELS.values())}")
                    entry = _own(store[part], str(position), where)
                    adjacency, nodes = (
                        _numbers(entry, name, most, where)
                        for name, most in (("adj", LARGEST**2), ("nodes", LARGEST * 64))
                    )
                    graphs.append(graph(adjacency, nodes, kinds, where))
                    names.append(f"{part}/{position}")
                    scores.append(measured[str(position)])
                    tell(len(names), sum(PARTS.values()))
    except (OSError, KeyError, TypeError, RuntimeError) as error:
        raise DataError(f"{path / GRAPHS}: not the official HDF5 layout ({str(error)[:100]}); fetch it again") from None
    frame = pd.DataFrame(scores)
    frame.insert(0, "arch", names)
    frame.insert(1, "ops", pd.Series([ops for ops, _ in graphs]))
    frame.insert(2, "edges", pd.Series([flat(edges) for _, edges in graphs]))
    frame.insert(3, "key", graph_keys([ops for ops, _ in graphs], [edges for _, edges in graphs]))
    metrics = {
        f"{data_set}_{short}": metric(f"{TITLES[data_set]}: {description}", unit, direction)
        for data_set in LABELS
        for short, (_, description, unit, direction) in PROPERTIES.items()
    }
    metrics["parameters"] = metric("trainable parameters on CIFAR-10", "count", "min")
    card = {
        "name": "deepnets1m",
        "title": "DeepNets-1M, evaluation networks",
        "space": {
            "name": "deepnets1m",
            "ops": list(PRIMITIVES),
            "max_nodes": max(len(ops) for ops, _ in graphs),
            "cells": 1,
            "roles": {"input": PRIMITIVES.index("input"), "sum": PRIMITIVES.index("sum")},
        },
        "metrics": metrics,
        "default_target": "cifar10_val",
        "source": "github.com/facebookresearch/ppuda",
        "licence": "MIT",
        "citation": "B. Knyazev, M. Drozdzal, G. W. Taylor, A. Romero-Soriano. Parameter Prediction for Unseen Deep Architectures. NeurIPS 2021.",
        "facts": {"architectures": sum(PARTS.values())},
    }
    return frame, card


_PPUDA = "https://raw.githubusercontent.com/facebookresearch/ppuda/main/data/"
IMPORTER = Importer(
    "deepnets1m",
    summary="DeepNets-1M (Knyazev et al., NeurIPS 2021): whole networks of up to about 600 nodes, with accuracy, robustness, speed and convergence",
    sources=(
        Source(
            "deepnets1m",
            "DeepNets-1M, 1,000 whole networks of up to about 600 nodes: accuracy, robustness, speed, convergence",
            "deepnets1m/deepnets1m_eval.hdf5, deepnets1m_meta.tar.gz, results_cifar10.json and results_imagenet.json",
            "the PPUDA project (github.com/facebookresearch/ppuda), data/download.sh and data/results_*.json",
            downloads=tuple(
                Download(url, f"deepnets1m/{url.rsplit('/', 1)[1]}", f"md5:{digest}")
                for url, digest in (
                    (
                        "https://dl.fbaipublicfiles.com/deepnets1m/deepnets1m_eval.hdf5",
                        "1f5641329271583ad068f43e1521517e",
                    ),
                    (
                        "https://dl.fbaipublicfiles.com/deepnets1m/deepnets1m_meta.tar.gz",
                        "a42b6f513da6bbe493fc16a30d6d4e3e",
                    ),
                    (f"{_PPUDA}results_cifar10.json", "257a1f89bc1f728d7b467d43b627567f"),
                    (f"{_PPUDA}results_imagenet.json", "67017778d0d1f56d3e62041ea0e8fe0f"),
                )
            ),
        ),
    ),
    locate=locate,
    read=read,
    files=files,
)
