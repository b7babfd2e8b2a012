"""Operations on edges become nodes, as in the usual graph of NAS-Bench-201: input, one node per edge, output."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from archrank.datasets.custom.graph import CustomGraph
from archrank.datasets.errors import DataError

INPUT, OUTPUT = "input", "output"
NOTE = (
    "operations stood on edges; each became a node, between 'input' in front and 'output' behind, as in NAS-Bench-201"
)


def on_nodes(graph: CustomGraph) -> CustomGraph:
    """The graph with a node for each edge, linked where one edge leads on from another.

    Edges count in the order of the nodes they lead to, then of those they come from (0>1 0>2 1>2 0>3 1>3 2>3), however
    they are listed. Parallel edges become nodes side by side. A node that no edge leads into becomes an `input`, one
    that no edge leaves an `output`; those between add up what reaches them and are gone. An edge belongs to the cell of
    the node it leads to. DataError for a node without edges, or with attributes, which would be lost.
    """
    labels = list(graph.edge_ops or ())
    if len(labels) != len(graph.edges):
        raise DataError(f"{len(labels)} operations of edges for {len(graph.edges)} edges")
    if graph.attrs:
        raise DataError("operations stand on edges and nodes carry attributes; put everything on nodes")
    if graph.cell is not None and len(graph.cell) != graph.nodes:
        raise DataError(f"{len(graph.cell)} cell numbers for {graph.nodes} nodes")
    ends = [{edge[side] for edge in graph.edges} for side in (0, 1)]
    if bare := sorted(set(range(graph.nodes)) - ends[0] - ends[1]):
        raise DataError(f"operations stand on edges, and node {bare[0]} has none")
    order = sorted(range(len(labels)), key=lambda at: graph.edges[at][::-1])
    sources, sinks = sorted(ends[0] - ends[1]), sorted(ends[1] - ends[0])
    steps = [graph.edges[at] for at in order]
    ops: list[Hashable] = [INPUT] * len(sources) + [labels[at] for at in order] + [OUTPUT] * len(sinks)
    first, behind = len(sources), len(sources) + len(steps)
    into = {node: [number] for number, node in enumerate(sources)}  # what flows into each node
    for number, (_, v) in enumerate(steps, first):
        into.setdefault(v, []).append(number)
    edges = [(before, number) for number, (u, _) in enumerate(steps, first) for before in into[u]]
    edges += [(before, behind + number) for number, node in enumerate(sinks) for before in into[node]]
    owners = [*sources, *(v for _, v in steps), *sinks]
    cell = None if graph.cell is None else [graph.cell[node] for node in owners]
    return replace(graph, ops=ops, edges=edges, cell=cell, edge_ops=None, moved=True)
