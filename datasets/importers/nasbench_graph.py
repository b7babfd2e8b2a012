"""NAS-Bench-Graph (Qin et al., NeurIPS 2022): graph neural networks of four computing nodes, measured on nine graph
data sets.

One benchmark per data set, all in the one space `nasbench_graph`: the scores of one architecture on nine data sets are
not nine spaces.
Graph: operation on node, 6 nodes: raw input, four computing nodes, output. Each computing node reads one earlier node;
every node that nobody reads feeds the output. proteins was measured with five of the nine operations.

Read from the official light release: a pickled dictionary {hash: {valid_perf, perf, latency, para}}. The hash is a
decimal number: the position of the link list in `LINKS`, then the four operations' positions in `GNN_OPS`. (The
released proteins file uses the same numbering, not the base-6 one that the published code has for it.)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import flat, metric, number
from archrank.datasets.importers.source import Download, Importer, Source
from archrank.datasets.io import safe_pickle
from archrank.datasets.io.bounded import shown
from archrank.datasets.keys import graph_keys

if TYPE_CHECKING:
    import pandas as pd

LINKS = (
    (0, 0, 0, 0),
    (0, 0, 0, 1),
    (0, 0, 1, 1),
    (0, 0, 1, 2),
    (0, 0, 1, 3),
    (0, 1, 1, 1),
    (0, 1, 1, 2),
    (0, 1, 2, 2),
    (0, 1, 2, 3),
)
GNN_OPS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
OPS = ("input", *GNN_OPS, "output")
FIELDS = ("valid_perf", "perf", "latency", "para")

# Data set -> (title, score, best validation score, best test score) of the release, as fractions.
DATA_SETS: dict[str, tuple[str, str, float, float]] = {
    "cora": ("Cora", "accuracy", 0.819333, 0.831333),
    "citeseer": ("CiteSeer", "accuracy", 0.728, 0.715667),
    "pubmed": ("PubMed", "accuracy", 0.811333, 0.786),
    "cs": ("Coauthor-CS", "accuracy", 0.921333, 0.912624),
    "physics": ("Coauthor-Physics", "accuracy", 0.94, 0.930049),
    "photo": ("Amazon-Photo", "accuracy", 0.940667, 0.927896),
    "computers": ("Amazon-Computers", "accuracy", 0.919, 0.855834),
    "arxiv": ("ogbn-arxiv", "accuracy", 0.736667, 0.723865),
    "proteins": ("ogbn-proteins", "ROC-AUC", 0.853333, 0.792634),
}


def locate(root: Path, variant: str = "cora") -> Path | None:
    """The file of one data set below a data folder, or None."""
    path = root / "nasbench_graph" / f"{variant}.bench"
    return path if path.is_file() else None


def graph(code: object, where: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Op ids and edges of the architecture with this hash; DataError if no architecture has it."""
    digits = [int(digit) for digit in f"{code:05d}"] if isinstance(code, int) and 0 <= code <= 88888 else [9]
    if 9 in digits:
        raise DataError(f"{where}: {shown(code)} is not the hash of an architecture: five decimal digits from 0 to 8")
    links = LINKS[digits[0]]
    leaves = [node for node in range(1, 5) if node not in links]
    edges = sorted([(source, node) for node, source in enumerate(links, 1)] + [(leaf, 5) for leaf in leaves])
    return [0, *(digit + 1 for digit in digits[1:]), len(OPS) - 1], edges


def name_of(code: int) -> str:
    """A readable name: links and operations, such as `0112-gat-gcn-skip-fc`."""
    digits = [int(digit) for digit in f"{code:05d}"]
    return "-".join(["".join(map(str, LINKS[digits[0]])), *(GNN_OPS[digit] for digit in digits[1:])])


def read(path: Path, variant: str = "cora") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of one data set, in the order of the release."""
    import pandas as pd

    title, score, best_valid, best_test = DATA_SETS[variant]
    table = safe_pickle.load(path)
    if not isinstance(table, dict) or not table:
        raise DataError(f"{path}: the release is a dictionary of architectures; this is not it")
    rows: list[list[float]] = []
    graphs = []
    for code, entry in table.items():
        where = f"{path}: architecture {shown(code)}"
        graphs.append(graph(code, where))
        if not isinstance(entry, dict) or not entry.keys() >= set(FIELDS):
            raise DataError(f"{where}: needs {', '.join(FIELDS)}")
        rows.append([number(entry[field], f"{where}: {field}") for field in FIELDS])
    valid, test, latency, parameters = zip(*rows, strict=True)
    frame = pd.DataFrame(
        {
            "arch": [name_of(code) for code in table],
            "ops": [ops for ops, _ in graphs],
            "edges": [flat(edges) for _, edges in graphs],
            "key": graph_keys([ops for ops, _ in graphs], [edges for _, edges in graphs]),
            "valid": valid,
            "test": test,
            "latency": latency,
            "parameters": parameters,
        }
    )
    count = 2021 if variant == "proteins" else 26206
    card = {
        "name": f"nasbench_graph_{variant}",
        "title": f"NAS-Bench-Graph, {title}",
        "space": {
            "name": "nasbench_graph",
            "ops": list(OPS),
            "max_nodes": 6,
            "cells": 1,
            "roles": {"input": 0, "skip": OPS.index("skip"), "output": len(OPS) - 1},
        },
        "metrics": {
            "valid": metric(f"validation {score}, mean of 3 seeds", "fraction"),
            "test": metric(f"test {score}, mean of 3 seeds", "fraction"),
            "latency": metric("inference latency", "s", "min"),
            "parameters": metric("trainable parameters", "million", "min"),
        },
        "default_target": "valid",
        "source": "github.com/THUMNLab/NAS-Bench-Graph, light release",
        "licence": "Apache-2.0",
        "citation": "Y. Qin et al. NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search. NeurIPS 2022.",
        "facts": {"architectures": count, "classes": count, "best": {"valid": best_valid, "test": best_test}},
    }
    return frame, card


_GRAPH_DIGESTS = {
    "cora": "5e69b2f9bb08d8927d9ffd4921f8494a3cea349c9c3a461334cb9dc9e11701a8",
    "citeseer": "99c7f79b73372636305bf73fb32a58b63c57bd1871a152dd62ec72d984c8c50f",
    "pubmed": "10b4dcf6cfd3a24f6059f7d541a4a872960b4adac0b3dba26abed1bb9a3d904d",
    "cs": "71ae8469930517160b024f52db6000a4897f1aff5d765beb27bb60952ed5bd31",
    "physics": "1e309bafee0b832c8b84fa3c039c36992bc0a910238b128f26b7e9190d7f2aea",
    "photo": "5511b4dc3f63fa988792177227db7901290fb9b27fc6c02e3036b29e134ed6df",
    "computers": "fdb3dc0cf405d62322f0ab9614b2083c2a5e6576c2f43e4f2214be64bc62b1b3",
    "arxiv": "7ee21a7653297a806c0ed1be3efe6ecc06acc84e48e942da0bfde0e5d287debe",
    "proteins": "b9e7fb0902bda44fec32c948e5fde822fb22d38d674c52e43ace5197378f2d21",
}


def _nasbench_graph(data_set: str) -> Source:
    count = "2,021" if data_set == "proteins" else "26,206"
    path = f"nasbench_graph/{data_set}.bench"
    return Source(
        f"nasbench_graph_{data_set}",
        f"NAS-Bench-Graph, {count} graph neural networks on {data_set}",
        path,
        "the light release of NAS-Bench-Graph (github.com/THUMNLab/NAS-Bench-Graph)",
        variant=data_set,
        downloads=(
            Download(
                f"https://raw.githubusercontent.com/THUMNLab/NAS-Bench-Graph/main/light/{data_set}.bench",
                path,
                f"sha256:{_GRAPH_DIGESTS[data_set]}",
            ),
        ),
    )


IMPORTER = Importer(
    "nasbench_graph",
    summary="NAS-Bench-Graph (Qin et al., NeurIPS 2022): graph neural networks of four computing nodes, measured on nine graph data sets",
    sources=(*(_nasbench_graph(data_set) for data_set in _GRAPH_DIGESTS),),
    locate=locate,
    read=read,
)
