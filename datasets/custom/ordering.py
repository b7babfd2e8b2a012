"""Graphs with op ids and their nodes in topological order, each checked: what is wrong is said in a sentence."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archrank.datasets.card import LARGEST_GRAPH
from archrank.datasets.custom.graph import CustomGraph
from archrank.datasets.custom.libraries import parallel
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown


@dataclass(frozen=True)
class OrderedGraph:
    """Op ids, edges u -> v with u < v, cell and attributes of the nodes of one graph."""

    ops: list[int]
    edges: list[tuple[int, int]]
    cell: list[int]
    attrs: dict[str, list[float]]


def ordered(graph: CustomGraph, ops: Sequence[str], roles: Mapping[str, int]) -> OrderedGraph:
    """The graph in a topological order (the given one where it is one already); DataError says what is wrong with
    it."""
    if graph.problem:
        raise DataError(graph.problem)
    count = len(graph.ops)
    if not 1 <= count <= LARGEST_GRAPH:
        raise DataError(
            f"the graph has {count:,} nodes; at most {LARGEST_GRAPH:,} are held" if count else "the graph has no node"
        )
    ids = _ids(graph, ops)
    if graph.cell is not None and (len(graph.cell) != count or not 0 <= min(graph.cell) <= max(graph.cell) < 127):
        raise DataError(
            f"{len(graph.cell)} cell numbers for {count} nodes"
            if len(graph.cell) != count
            else "cells are numbered 0, 1, ... up to 126"
        )
    for u, v in graph.edges:
        if not (0 <= u < count and 0 <= v < count):
            raise DataError(f"edge {u} -> {v} leaves its {count} nodes (0 to {count - 1})")
    if twice := parallel(graph.edges):
        raise DataError(twice)
    order = _order(count, graph.edges)
    if wrong := _wrong_ends(ids, graph.edges, ops, roles):
        raise DataError(wrong)
    position = {old: new for new, old in enumerate(order)}
    edges = sorted((position[u], position[v]) for u, v in graph.edges)
    cell = graph.cell or [0] * count
    if short := next((name for name, values in graph.attrs.items() if len(values) != count), None):
        raise DataError(f"node attribute '{short}' has {len(graph.attrs[short])} values for {count} nodes")
    attrs = {name: [values[old] for old in order] for name, values in graph.attrs.items()}
    return OrderedGraph([ids[old] for old in order], edges, [cell[old] for old in order], attrs)


def _ids(graph: CustomGraph, ops: Sequence[str]) -> list[int]:
    place = {op: number for number, op in enumerate(ops)}
    ids: list[int] = []
    for op in graph.ops:
        number = place.get(op) if isinstance(op, str) else op
        if not isinstance(number, int) or not 0 <= number < len(ops):
            raise DataError(
                f"unknown operation {shown(op)}; known: {', '.join(ops[:20])}{', ...' if len(ops) > 20 else ''}"
            )
        ids.append(number)
    return ids


def _order(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    waiting = [0] * count
    after: list[list[int]] = [[] for _ in range(count)]
    for u, v in edges:
        after[u].append(v)
        waiting[v] += 1
    ready = [v for v, before in enumerate(waiting) if not before]
    order = []
    while ready:
        u = heapq.heappop(ready)
        order.append(u)
        for v in after[u]:
            waiting[v] -= 1
            if not waiting[v]:
                heapq.heappush(ready, v)
    if len(order) < count:
        raise DataError(f"the graph is cyclic (nodes {sorted(set(range(count)) - set(order))[:6]} wait for each other)")
    return order


def _wrong_ends(
    ids: Sequence[int], edges: Sequence[tuple[int, int]], ops: Sequence[str], roles: Mapping[str, int]
) -> str:
    """What `archrank data verify` would fail: no edge at all, no input or output where the space has them, edges into
    one or out of the other."""
    if len(ids) > 1 and not edges:
        return f"{len(ids)} nodes and no edge"
    for role, end, way in (("input", 1, "into"), ("output", 0, "out of")):
        these = [op for name, op in roles.items() if name.startswith(role)]
        called = " or ".join(f"'{ops[op]}'" for op in these)
        if these and not any(op in these for op in ids):
            return f"no node is {called}, which is taken for the {role}"
        if linked := [edge for edge in edges if ids[edge[end]] in these]:
            return f"edge {linked[0][0]} -> {linked[0][1]} leads {way} {called}, which is taken for the {role}"
    return ""
