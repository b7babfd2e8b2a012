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

    A node that no edge leads into becomes an `input`, one that no edge leaves an `output`; those between add up what
    reaches them and are gone. DataError for a node without edges, or with attributes or cells, which would be lost.
    """
    if graph.attrs or graph.cell:
        raise DataError("operations stand on edges and nodes carry more (attributes or cells); put everything on nodes")
    ends = [{edge[side] for edge in graph.edges} for side in (0, 1)]
    if bare := sorted(set(range(graph.nodes)) - ends[0] - ends[1]):
        raise DataError(f"operations stand on edges, and node {bare[0]} has none")
    sources, sinks = sorted(ends[0] - ends[1]), sorted(ends[1] - ends[0])
    ops: list[Hashable] = [INPUT] * len(sources) + list(graph.edge_ops or ()) + [OUTPUT] * len(sinks)
    first, behind = len(sources), len(sources) + len(graph.edges)
    into = {node: [number] for number, node in enumerate(sources)}  # what flows into each node
    for number, (_, v) in enumerate(graph.edges, first):
        into.setdefault(v, []).append(number)
    edges = [(before, number) for number, (u, _) in enumerate(graph.edges, first) for before in into[u]]
    edges += [(before, behind + number) for number, node in enumerate(sinks) for before in into[node]]
    return replace(graph, ops=ops, edges=edges, edge_ops=None, moved=True)
