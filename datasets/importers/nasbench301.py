"""The DARTS space of NAS-Bench-301 (Zela et al., ICLR 2022): really trained networks and surrogate predictions, never
mixed.

`trained` reads a CSV of `Genotype(...)` text and measured accuracy, `surrogate` the JSON exports of what the official
XGBoost surrogate predicts. Graph: operation on node, both cells as one disjoint union of 30 nodes. A cell has 15: two
inputs, then for each of four intermediate nodes its two operations and their sum, then the output that joins the four
sums. `cell` is 0 in the normal cell, 1 in the reduction cell.
"""

from __future__ import annotations

import ast
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archrank.datasets.canonical import canonicalize
from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import flat, metric, number
from archrank.datasets.importers.proxies import proxies_of, proxy_metrics
from archrank.datasets.importers.source import Importer, Source
from archrank.datasets.io.bounded import JSON_LIMIT, read_bytes, read_json, shown
from archrank.datasets.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

# Position of the first seven = op id in the JSON keys.
CELL_OPS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "none",
)
OPS = ("c_{k-2}", "c_{k-1}", *CELL_OPS, "sum", "output")
ROLES = {
    "input": 0,
    "input_2": 1,
    "skip": OPS.index("skip_connect"),
    "none": OPS.index("none"),
    "sum": 10,
    "output": 11,
}
FILES = {"trained": ("darts_cells_trained.csv",), "surrogate": ("surrogate_xgb_a.json", "surrogate_xgb_b.json")}
Cell = tuple[tuple[int, int], ...]


def locate(root: Path, variant: str = "trained") -> Path | None:
    """The CSV, or the folder of the JSON files, below a data folder; or None."""
    folder = root / "nasbench301"
    files = [folder / name for name in FILES[variant] if (folder / name).is_file()]
    if not files:
        return None
    return files[0] if variant == "trained" else folder


def files(path: Path, variant: str = "trained") -> list[Path]:
    """The files that are read; a single JSON file stands for itself."""
    return [path] if path.is_file() else [path / name for name in FILES[variant] if (path / name).is_file()]


def check_cell(cell: object, where: str) -> Cell:
    """Eight (node, op id) pairs, two per intermediate node, each reading an earlier node; DataError otherwise."""
    if not isinstance(cell, (list, tuple)) or len(cell) != 8:
        raise DataError(f"{where}: a cell has eight (node, operation) pairs")
    for place, pair in enumerate(cell):
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(type(part) is int for part in pair):
            raise DataError(f"{where}: {shown(pair)} is not a (node, operation) pair")
        node, op = pair
        if not 0 <= node < 2 + place // 2:
            raise DataError(
                f"{where}: intermediate node {place // 2} reads node {node}, which does not come before it (a cycle cannot be)"
            )
        if not 0 <= op < len(CELL_OPS):
            raise DataError(f"{where}: operation {op} is unknown; known: 0 to {len(CELL_OPS) - 1}")
    return tuple(cell)


def parse_genotype(text: str, where: str) -> tuple[Cell, Cell]:
    """Both cells of `Genotype(normal=[...], normal_concat=..., reduce=[...], reduce_concat=...)`; parsed, never
    evaluated."""
    try:
        call = ast.parse(text[:5000], mode="eval").body
        if (
            not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Name)
            or call.func.id != "Genotype"
            or call.args
        ):
            raise ValueError("not a Genotype(...)")
        parts = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        raw = [[(node, CELL_OPS.index(op)) for op, node in parts[cell]] for cell in ("normal", "reduce")]
        joined = [sorted(parts[f"{cell}_concat"]) for cell in ("normal", "reduce")]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise DataError(
            f"{where}: not a readable genotype ({str(error)[:80]}); known operations: {', '.join(CELL_OPS)}"
        ) from None
    for cell, nodes in zip(("normal", "reduce"), joined):
        if nodes != [2, 3, 4, 5]:
            raise DataError(f"{where}: the {cell} cell must join nodes 2 to 5, not {shown(nodes)}")
    return check_cell(raw[0], f"{where}: normal cell"), check_cell(raw[1], f"{where}: reduction cell")


def graph(normal: Cell, reduction: Cell) -> tuple[list[int], list[tuple[int, int]], list[int]]:
    """Op ids, edges and cell numbers of the 30 nodes."""
    ops: list[int] = []
    edges: list[tuple[int, int]] = []
    for cell in (normal, reduction):
        start = len(ops)
        ops += [0, 1]
        state = [start, start + 1]
        for first in range(0, 8, 2):
            total = len(ops) + 2
            for node, op in cell[first : first + 2]:
                edges += [(state[node], len(ops)), (len(ops), total)]
                ops.append(2 + op)
            ops.append(ROLES["sum"])
            state.append(total)
        edges += [(total, len(ops)) for total in state[2:]]
        ops.append(ROLES["output"])
    return ops, edges, [0] * 15 + [1] * 15


def name_of(normal: Cell, reduction: Cell) -> str:
    """Both cells as digit pairs (node, op id): `00.15.11.01.13.03.13.32_10.02...`."""
    return "_".join(".".join(f"{node}{op}" for node, op in cell) for cell in (normal, reduction))


def _trained(path: Path) -> dict[tuple[Cell, Cell], dict[str, float]]:
    rows: dict[tuple[Cell, Cell], dict[str, float]] = {}
    lines = read_bytes(path, JSON_LIMIT).decode("utf-8", errors="replace").splitlines()
    for line, parts in enumerate(csv.reader(lines), 1):
        where = f"{path}: line {line}"
        if len(parts) != 2:
            raise DataError(f"{where}: needs a genotype and an accuracy")
        cells = parse_genotype(parts[0], where)
        try:
            score = float(parts[1])
        except ValueError:
            raise DataError(f"{where}: {shown(parts[1])} is not a number") from None
        if cells in rows:
            raise DataError(f"{where}: repeats an architecture")
        rows[cells] = {"cifar10_val": number(score, where)}
    return rows


def _surrogate(path: Path) -> dict[tuple[Cell, Cell], dict[str, float]]:
    rows: dict[tuple[Cell, Cell], dict[str, float]] = {}
    drawn: dict[tuple[Cell, Cell], list[float]] = {}
    for file in files(path, "surrogate"):
        table = read_json(file)
        while isinstance(table, dict) and len(table) == 1 and not next(iter(table)).startswith(("[", "(")):
            table = next(iter(table.values()))  # folders such as "nasbench301" / "cifar10" around the architectures
        if not isinstance(table, dict):
            raise DataError(f"{file}: needs a dictionary of architectures")
        for position, (text, entry) in enumerate(table.items()):
            where = f"{file}: entry {position}"
            try:
                normal, reduction = ast.literal_eval(text[:2000])
                raw = {"cifar10_val": entry["val_accuracy"], "flops": entry["flops"], "parameters": entry["params"]}
            except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
                raise DataError(
                    f"{where}: not a pair of cells with val_accuracy, flops and params ({str(error)[:80]})"
                ) from None
            cells = check_cell(normal, f"{where}: normal cell"), check_cell(reduction, f"{where}: reduction cell")
            values = {
                name: number(value["score"] if isinstance(value, dict) else value, f"{where}: {name}")
                for name, value in raw.items()
            }
            rows.setdefault(cells, values | proxies_of(entry, where))
            drawn.setdefault(cells, []).append(values["cifar10_val"])
    # The surrogate predicts with the noise of trainings: an architecture in both files has two values.
    return {cells: values | {"cifar10_val": sum(drawn[cells]) / len(drawn[cells])} for cells, values in rows.items()}


def read(path: Path, variant: str = "trained") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of one table, in the order of its files."""
    import pandas as pd

    rows = _trained(path) if variant == "trained" else _surrogate(path)
    if not rows:
        raise DataError(f"{path}: holds no architecture")
    graphs = [graph(*cells) for cells in rows]
    metrics = {
        "cifar10_val": metric(
            "CIFAR-10 validation accuracy, trained"
            if variant == "trained"
            else "CIFAR-10 validation accuracy, as the XGBoost surrogate of NAS-Bench-301 predicts it (no network was trained)"
        )
    }
    if variant == "surrogate":
        metrics["parameters"] = metric("trainable parameters", "million", "min")
        metrics["flops"] = metric("multiply-adds of the whole network on CIFAR-10", "million", "min")
        metrics |= proxy_metrics(rows.values())
    frame = pd.DataFrame(
        {
            "arch": [name_of(*cells) for cells in rows],
            "ops": [ops for ops, _, _ in graphs],
            "edges": [flat(edges) for _, edges, _ in graphs],
            "key": keys(graphs),
            "cell": [cell for _, _, cell in graphs],
            **{name: [values[name] for values in rows.values()] for name in metrics},
        }
    )
    trained = variant == "trained"
    card = {
        "name": f"nasbench301_{variant}",
        "title": "DARTS space, 1,000 trained networks" if trained else "NAS-Bench-301, surrogate accuracies",
        "space": {"name": "nasbench301", "ops": list(OPS), "max_nodes": 30, "cells": 2, "roles": ROLES},
        "metrics": metrics,
        "default_target": "cifar10_val",
        "source": "CSV of random DARTS cells, normal and reduction cell alike"
        if trained
        else "github.com/automl/nasbench301, XGBoost surrogate",
        "licence": "not stated" if trained else "Apache-2.0",
        "citation": "A. Zela et al. Surrogate NAS Benchmarks: Going Beyond the Limited Search Spaces of Tabular NAS Benchmarks. ICLR 2022.",
        "facts": FACTS[variant],
    }
    return frame, card


def keys(graphs: list[tuple[list[int], list[tuple[int, int]], list[int]]]) -> list[str]:
    """Isomorphism keys of the canonical graphs: without `none`, and with identities contracted where they are
    identities."""
    ops = np.array([ops for ops, _, _ in graphs], np.int64)
    adj = np.zeros((*ops.shape, ops.shape[1]), bool)
    for row, (_, edges, _) in enumerate(graphs):
        adj[row, [u for u, _ in edges], [v for _, v in edges]] = True
    cell = np.array([cell for _, _, cell in graphs], np.int64)
    space = SearchSpace("nasbench301", OPS, ops.shape[1], ROLES, cells=2)
    return list(canonicalize(space, ops, adj, np.ones_like(ops, bool), cell).key)


FACTS: dict[str, dict[str, Any]] = {
    "trained": {"architectures": 1000, "best": {"cifar10_val": 86.61}},
    "surrogate": {"architectures": 1218},
}


IMPORTER = Importer(
    "nasbench301",
    summary="The DARTS space of NAS-Bench-301 (Zela et al., ICLR 2022): really trained networks and surrogate predictions, never mixed",
    sources=(
        Source(
            "nasbench301_trained",
            "DARTS space, 1,000 random networks trained on CIFAR-10",
            "nasbench301/darts_cells_trained.csv",
            "a CSV of lines 'Genotype(...)', accuracy",
            variant="trained",
        ),
        Source(
            "nasbench301_surrogate",
            "NAS-Bench-301, 1,218 DARTS networks with accuracies predicted by its XGBoost surrogate",
            "nasbench301/surrogate_xgb_a.json and nasbench301/surrogate_xgb_b.json",
            "JSON exports {(normal, reduction): {val_accuracy, params, flops}} of the surrogate (github.com/automl/nasbench301)",
            version=2,
            variant="surrogate",
        ),
    ),
    locate=locate,
    read=read,
    files=files,
)
