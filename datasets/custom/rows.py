"""The graph in each row of a table: operations and edges, text of a known search space, or an ONNX file it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from archrank.datasets.custom import edge_operations
from archrank.datasets.custom.fields import read_cells, read_edges, read_ops
from archrank.datasets.custom.graph import CustomGraph, as_value
from archrank.datasets.custom.notations import NOTATIONS, Notation
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import read_bytes, safe_member
from archrank.datasets.io.onnx import ONNX_LIMIT, parse_onnx

Place = Literal["nodes", "edges"]


@dataclass(frozen=True)
class Columns:
    """Which columns describe graphs, where the table has them: operations of the nodes and edges of each row, or
    operations of the edges; its cell numbers, its name, and the ONNX file that holds it."""

    ops: str = "ops"
    edges: str = "edges"
    edge_ops: str = "edge_ops"
    cell: str = "cell"
    arch: str = "arch"
    onnx: str = "onnx"

    @property
    def named(self) -> list[str]:
        """All of them, and `key`, which imported tables have."""
        return [self.ops, self.edges, self.edge_ops, self.cell, self.arch, self.onnx, "key"]


def read_graphs(
    raw: pd.DataFrame, path: Path, columns: Columns, ops_on: Place | None = None, space: str | None = None
) -> list[CustomGraph]:
    """The graph of each row; what is wrong with one is kept as its `problem`.

    path: the table, beside which ONNX files lie. ops_on: what the operations of `columns.ops` belong to, or which
    operations count where nodes and edges have some. space: search space of the table. DataError where columns are
    missing.
    """
    if columns.onnx in raw.columns and columns.ops not in raw.columns:
        return _each(lambda name: _onnx(path.parent, name), raw[columns.onnx])
    given = {name for name in (columns.ops, columns.edges, columns.edge_ops) if name in raw.columns}
    if not given and columns.arch in raw.columns and (notation := NOTATIONS.get(space or "")):
        return _each(lambda text: _written(notation, text), raw[columns.arch])
    labels = _labels(given, columns, ops_on)
    for needed in (labels or columns.ops, columns.edges):
        if needed not in raw.columns:
            raise DataError(f"{path}: column '{needed}' is missing (it has: {', '.join(map(str, raw.columns))[:200]})")
    cells = raw[columns.cell] if columns.cell in raw.columns else [None] * len(raw)
    read = _edge_labelled if labels else _node_labelled
    return _each(read, raw[labels or columns.ops], raw[columns.edges], cells)


def _labels(given: set[str], columns: Columns, ops_on: Place | None) -> str | None:
    """The column with operations of edges; None where those of nodes count."""
    both = {columns.ops, columns.edge_ops} <= given
    if both and ops_on is None:
        raise DataError(
            f"columns '{columns.ops}' and '{columns.edge_ops}' both hold operations; say which count (--ops-on nodes or --ops-on edges)"
        )
    if ops_on == "edges":
        return columns.edge_ops if columns.edge_ops in given else columns.ops
    return columns.edge_ops if columns.edge_ops in given and not both else None


def _each(read: Callable[..., CustomGraph], *fields: Iterable[Any]) -> list[CustomGraph]:
    parsed = []
    for row in zip(*fields):
        try:
            parsed.append(read(*row))
        except DataError as error:
            parsed.append(CustomGraph(problem=str(error)))
    return parsed


def _node_labelled(ops: Any, edges: Any, cell: Any) -> CustomGraph:
    return CustomGraph(read_ops(ops), read_edges(edges), _cell(cell))


def _edge_labelled(ops: Any, edges: Any, cell: Any) -> CustomGraph:
    pairs = read_edges(edges)
    nodes = 1 + max((node for edge in pairs for node in edge), default=-1)
    return edge_operations.on_nodes(
        CustomGraph(edges=pairs, cell=_cell(cell), edge_ops=read_ops(ops, "edge_ops"), nodes=nodes)
    )


def _cell(value: Any) -> list[int] | None:
    return None if value is None or (isinstance(value, float) and pd.isna(value)) else read_cells(value)


def _written(notation: Notation, text: Any) -> CustomGraph:
    return notation.read(str(as_value(text)).strip())


def _onnx(folder: Path, name: Any) -> CustomGraph:
    """The operators of a file in `folder`, each with the number of its weights."""
    name = str(as_value(name)).strip()
    safe_member(name, "onnx")
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{name} is a link out of the folder; refused")
    try:
        graph = parse_onnx(read_bytes(file, ONNX_LIMIT), name)
    except DataError as error:
        raise DataError(str(error).replace(f"{folder}/", "")) from None
    ends = [edge_operations.INPUT, edge_operations.OUTPUT]
    weights = [0.0, *(float(node.parameters) for node in graph.nodes), 0.0]
    return CustomGraph(
        [ends[0], *(node.name for node in graph.nodes), ends[1]], graph.edges, attrs={"parameters": weights}
    )
