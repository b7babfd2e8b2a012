"""Graphs of networkx, PyG and DGL, and pairs (ops, edges), as `CustomGraph`. Libraries are told apart by what they
offer, never imported.

Nothing a graph carries is dropped: numbers at every node become attributes, operations on edges become nodes (see
`edge_operations`), and what cannot be held is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from archrank.datasets.custom.graph import CustomGraph, as_list, as_value, op_of, pairs, whole, wholes
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown

# What PyG keeps beside nodes and edges: labels, and the bookkeeping of batches.
_PYG_OWN = {"x", "op", "edge_index", "cell", "y", "batch", "ptr", "num_nodes", "name"}


@dataclass(frozen=True)
class GraphReading:
    """How graphs are read. op: the attribute that holds operations. op_on: where it stands; None: on nodes, or on edges
    where only they have it. attributes: node attributes to hold; None: all that stand at every node."""

    op: str = "op"
    op_on: Literal["node", "edge"] | None = None
    attributes: Collection[str] | None = None

    def held(self, names: Collection[str]) -> list[str]:
        """Which of the node attributes of a graph are held; DataError if one that was asked for is not there."""
        if self.attributes is None:
            return sorted(names)
        if lacking := sorted(set(self.attributes) - set(names)):
            raise DataError(f"the nodes have no attribute '{lacking[0]}'")
        return sorted(self.attributes)

    def place(self, on_nodes: bool, on_edges: bool) -> str:
        """Whether operations stand on nodes or on edges."""
        if self.op_on is not None:
            return self.op_on
        if on_nodes and on_edges:
            raise DataError(
                f"nodes and edges carry operations ('{self.op}' or edge_attr), and only those of one can be held; say which with "
                "op_on='edge' or op_on='node', or remove the others"
            )
        return "edge" if on_edges else "node"


def as_graph(graph: Any, reading: GraphReading) -> CustomGraph:
    """A graph of another library, or a pair, in plain form; DataError if something of it cannot be held."""
    if hasattr(graph, "edge_index"):
        return _from_pyg(graph, reading)
    if hasattr(graph, "ndata"):
        return _from_dgl(graph, reading)
    if hasattr(graph, "nodes") and hasattr(graph, "edges"):
        return _from_networkx(graph, reading)
    if isinstance(graph, (tuple, list)) and len(graph) == 2:
        try:
            ops = [op_of(op) for op in as_list(graph[0])]
        except TypeError:
            raise DataError("a pair must be (ops, edges), edges being pairs of node positions") from None
        edges = pairs(graph[1])
        if reading.op_on == "edge":
            return CustomGraph(
                edges=edges, edge_ops=ops, nodes=1 + max((v for edge in edges for v in edge), default=-1)
            )
        return CustomGraph(ops, edges)
    raise DataError(
        f"a {type(graph).__name__} is no graph that is known here (networkx, PyG, DGL, or a pair of ops and edges)"
    )


def _from_networkx(graph: Any, reading: GraphReading) -> CustomGraph:
    if not graph.is_directed():
        raise DataError("the networkx graph is undirected; use a DiGraph with edges in the direction of the data")
    place = {label: number for number, label in enumerate(graph.nodes)}
    nodes, links = list(graph.nodes(data=True)), list(graph.edges(data=True))
    edges = [(place[u], place[v]) for u, v, _ in links]
    on = reading.place(any(reading.op in data for _, data in nodes), any(reading.op in data for *_, data in links))
    edge_ops = None
    if on == "edge":
        if bare := [(u, v) for u, v, data in links if reading.op not in data]:
            raise DataError(f"edge {bare[0][0]!r} -> {bare[0][1]!r} has no attribute '{reading.op}', which others have")
        edge_ops = [op_of(data[reading.op]) for *_, data in links]
    elif lacking := [label for label, data in nodes if reading.op not in data]:
        raise DataError(f"node {lacking[0]!r} has no attribute '{reading.op}'")
    _refuse_edge_attributes(
        {name for *_, data in links for name in data} - ({reading.op} if reading.op_on or on == "edge" else set())
    )
    names = {name for _, data in nodes for name in data} - {reading.op, "cell"}
    attrs = {name: _numbers([data.get(name) for _, data in nodes], name) for name in reading.held(names)}
    cell = [whole(data.get("cell", 0)) for _, data in nodes]
    ops = [op_of(data[reading.op]) for _, data in nodes] if on == "node" else []
    return CustomGraph(ops, edges, cell if any(cell) else None, attrs, edge_ops, len(nodes))


def _from_pyg(graph: Any, reading: GraphReading) -> CustomGraph:
    if graph.edge_index is None:
        raise DataError("the PyG graph has no edge_index; give it one of shape [2, edges] ([2, 0] if it has no edge)")
    source, target = (wholes(end) for end in graph.edge_index)
    nodes = int(graph.num_nodes or 0)
    ops, features = getattr(graph, "op", None), getattr(graph, "x", None)
    if ops is None:
        ops, features = features, None
    names = [name for name, value in graph.to_dict().items() if name not in _PYG_OWN and value is not None]
    of_edges = [name for name in names if graph.is_edge_attr(name)]
    on = reading.place(ops is not None, "edge_attr" in of_edges)
    edge_ops = None
    if on == "edge":
        if "edge_attr" not in of_edges:
            raise DataError("the PyG graph has no edge_attr")
        edge_ops = _op_ids(graph.edge_attr, "edge_attr", "edges")
    elif ops is None:
        raise DataError("the PyG graph has neither x nor op")
    _refuse_edge_attributes(set(of_edges) - ({"edge_attr"} if reading.op_on or on == "edge" else set()))
    tables = {name: graph[name] for name in names if name not in of_edges and graph.is_node_attr(name)}
    tables |= {} if features is None else {"x": features}
    attrs = {name: _numbers(as_list(column), name) for name, column in _columns(tables, reading).items()}
    cell = None if getattr(graph, "cell", None) is None else wholes(graph.cell)
    return CustomGraph(
        _op_ids(ops, "x", "ops") if on == "node" else [], list(zip(source, target)), cell, attrs, edge_ops, nodes
    )


def _from_dgl(graph: Any, reading: GraphReading) -> CustomGraph:
    source, target = (wholes(end) for end in graph.edges())
    of_edges: Mapping[str, Any] = getattr(graph, "edata", {})
    on = reading.place(reading.op in graph.ndata, reading.op in of_edges)
    stored = graph.ndata if on == "node" else of_edges
    if reading.op not in stored:
        raise DataError(f"the DGL graph has no {'ndata' if on == 'node' else 'edata'}['{reading.op}']")
    _refuse_edge_attributes(set(of_edges) - ({reading.op} if reading.op_on or on == "edge" else set()))
    tables = {name: values for name, values in graph.ndata.items() if name not in (reading.op, "cell")}
    attrs = {name: _numbers(as_list(column), name) for name, column in _columns(tables, reading).items()}
    cell = wholes(graph.ndata["cell"]) if "cell" in graph.ndata else None
    ops = [*wholes(stored[reading.op])]
    nodes = len(ops) if on == "node" else int(graph.num_nodes())
    return CustomGraph(
        list(ops) if on == "node" else [],
        list(zip(source, target)),
        cell,
        attrs,
        list(ops) if on == "edge" else None,
        nodes,
    )


def _refuse_edge_attributes(names: Collection[str]) -> None:
    if names:
        raise DataError(
            f"edges carry '{sorted(names)[0]}', which is not held; put operations and numbers on nodes, or remove it from the edges"
        )


def _op_ids(values: Any, name: str, what: str) -> list[Any]:
    """Ids [n] or [n, 1], or one-hot [n, k]."""
    rows = as_list(values)
    if rows and isinstance(rows[0], list) and len(rows[0]) > 1:
        if not all(sorted(row) == [0] * (len(row) - 1) + [1] for row in rows):
            raise DataError(f"{name} is neither ids of {what} [n] nor one-hot [n, {what}]")
        return [row.index(1) for row in rows]
    return list(wholes(rows))


def _columns(tables: Mapping[str, Any], reading: GraphReading) -> dict[str, Any]:
    """The held node attributes, those of several columns one by one: `name_0`, `name_1`, ..., each held by its own name
    or by that of its table."""
    read: dict[str, Any] = {}
    for name, table in sorted(tables.items()):
        rows = as_list(table)
        several = len(rows[0]) if rows and isinstance(rows[0], list) else 0
        if reading.attributes is None or name in reading.attributes:
            names = None
        elif not (names := {f"{name}_{at}" for at in range(several)} & set(reading.attributes)):
            continue
        columns = (
            {f"{name}_{at}" if several > 1 else name: [row[at] for row in rows] for at in range(several)}
            if several
            else {name: rows}
        )
        read |= {column: values for column, values in columns.items() if names is None or column in names}
    reading.held(set(read) | set(tables))
    return read


def _numbers(values: list[Any], name: str) -> list[float]:
    """Numbers of the nodes; DataError if some node has none, or something else."""
    numbers: list[float] = []
    for node, value in enumerate(map(as_value, values)):
        try:
            number = float(value) if not isinstance(value, str) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or not abs(number) < 3e38:
            has = "has none" if value is None else f"has {shown(value)}"
            raise DataError(
                f"node attribute '{name}': node {node} {has}, and what is no number at every node is not held; name the attributes "
                "to hold (node_attributes=[...]) or remove it"
            )
        numbers.append(number)
    return numbers


def parallel(edges: list[tuple[int, int]]) -> str:
    """Which edge stands there more than once, in a sentence; empty if none."""
    often = Counter(edges)
    twice = next((edge for edge, count in often.items() if count > 1), None)
    return f"{often[twice]} parallel edges {twice[0]} -> {twice[1]}; one edge joins two nodes here" if twice else ""
