"""Graphs without scores as architectures of a search space that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from archrank.datasets.custom import edge_operations
from archrank.datasets.custom.graph import CustomGraph, Problems
from archrank.datasets.custom.libraries import GraphReading, as_graph
from archrank.datasets.custom.notations import NOTATIONS
from archrank.datasets.custom.ordering import OrderedGraph, ordered
from archrank.datasets.errors import DataError
from archrank.datasets.graphs import Graphs

if TYPE_CHECKING:
    from archrank.datasets.space import OpPlace, SearchSpace


def as_graphs(space: SearchSpace, items: Iterable[Any], op_attribute: str, op_on: OpPlace | None) -> Graphs:
    """See `SearchSpace.graphs`."""
    reading = GraphReading(op_attribute, op_on, space.attrs)
    graphs = (_given(space, item, reading) for item in items)
    return fitted_graphs(space, graphs, f"graphs of space '{space.name}'", lambda number: f"item {number}")


def fitted_graphs(
    space: SearchSpace, graphs: Iterable[CustomGraph], where: str, called: Callable[[int], str]
) -> Graphs:
    """Graphs as architectures of a space, padded to its size.

    Args:
        space: that they must fit.
        graphs: as they were read.
        where: what they are from, for messages.
        called: what the graph of a number is called there.

    Raises:
        DataError: names each problem with the graph it stands in; or there is no graph.
    """
    problems = Problems(where)
    fitted = []
    for number, graph in enumerate(graphs):
        try:
            graph = graph if graph.edge_ops is None else edge_operations.on_nodes(graph)
            fitted.append(_fitting(ordered(graph, space.ops, space.roles), space))
        except DataError as error:
            problems.add(called(number), str(error))
    problems.check()
    if not fitted:
        raise DataError(f"{where}: none was given")
    return _padded(fitted, space)


def _given(space: SearchSpace, item: Any, reading: GraphReading) -> CustomGraph:
    try:
        return _written(space, item) if isinstance(item, str) else as_graph(item, reading)
    except DataError as error:
        return CustomGraph(problem=str(error))


def _written(space: SearchSpace, text: str) -> CustomGraph:
    if space.name not in NOTATIONS:
        raise DataError(f"architectures of this space have no notation; known: {', '.join(NOTATIONS)}; give graphs")
    return NOTATIONS[space.name].read(text.strip())


def _fitting(graph: OrderedGraph, space: SearchSpace) -> OrderedGraph:
    """The graph itself; DataError where the space has no such architecture."""
    opened = "a predictor fitted on space.opened() takes such graphs"
    if len(graph.ops) > space.max_nodes:
        raise DataError(f"{len(graph.ops)} nodes, more than the {space.max_nodes} of this space; {opened}")
    if max(graph.cell) >= space.cells:
        raise DataError(f"cell {max(graph.cell)}, where this space has {space.cells}")
    if space.support is not None:
        for u, v in graph.edges:
            if not space.support[u, v]:
                raise DataError(
                    f"edge {u} -> {v} (in topological order), which no architecture of this space has; {opened}"
                )
    if missing := sorted(set(space.attrs) - set(graph.attrs)):
        raise DataError(f"no node attribute '{missing[0]}', which this space has")
    return graph


def _padded(graphs: list[OrderedGraph], space: SearchSpace) -> Graphs:
    shape = len(graphs), space.max_nodes
    ops, cell, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, bool)
    adj = np.zeros((*shape, space.max_nodes), bool)
    attrs = np.zeros((*shape, len(space.attrs)), np.float32)
    for row, graph in enumerate(graphs):
        count = len(graph.ops)
        ops[row, :count], cell[row, :count], mask[row, :count] = graph.ops, graph.cell, True
        for u, v in graph.edges:
            adj[row, u, v] = True
        for number, name in enumerate(space.attrs):
            attrs[row, :count, number] = graph.attrs[name]
    arrays = {"ops": ops, "adj": adj, "mask": mask, "cell": cell} | ({"attrs": attrs} if space.attrs else {})
    return Graphs(**{name: torch.from_numpy(array) for name, array in arrays.items()})  # type: ignore[arg-type]
