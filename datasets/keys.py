"""Names of isomorphism classes for graphs of any size, from edge lists: by what stands in a graph, or by what it
computes.

`datasets.canonical` holds the same for padded arrays, whose memory grows with the square of the largest graph. Here all
graphs lie flat, one after the other, and each step treats one topological generation of all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.canonical import ROUNDS, SEEDS, mix

Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Positions = NDArray[np.int64]
_ONE, _TWO = np.uint64(1), np.uint64(2)


@dataclass(frozen=True)
class OpRoles:
    """Op ids with a meaning: data enters at `inputs`, leaves at `outputs`, `nones` are no connection, `skips` change
    nothing."""

    inputs: Collection[int] = ()
    outputs: Collection[int] = ()
    nones: Collection[int] = ()
    skips: Collection[int] = ()


@dataclass(frozen=True, eq=False)
class _Generation:
    """Nodes of one generation, and the edges they are reached by: from the node `source[e]` to `nodes[place[e]]`."""

    nodes: Positions
    source: Positions
    place: Positions

    def sums(self, words: Words) -> Words:
        """For each node of the generation, the sum over its edges of `words`, one per edge."""
        sums = np.zeros(len(self.nodes), np.uint64)
        np.add.at(sums, self.place, words)
        return sums

    def any(self, flags: Flags) -> Flags:
        """For each node of the generation, whether a flag of `flags` [n] is set at the source of one of its edges."""
        any_ = np.zeros(len(self.nodes), bool)
        any_[self.place[flags[self.source]]] = True
        return any_


@dataclass(eq=False)
class FlatGraphs:
    """G directed acyclic graphs, one after the other: n nodes and E edges in all.

    ops: op ids of the nodes, one list per graph. edges: pairs (u, v) with u < v, one list per graph.
    cells: cell numbers of the nodes, one list per graph (default: all 0). attrs: float32 [n, F] numeric node
    attributes.
    """

    ops: Sequence[Sequence[int]]
    edges: Sequence[Iterable[tuple[int, int]]]
    cells: Sequence[Sequence[int]] | None = None
    attrs: NDArray[np.float32] | None = None
    forward: list[_Generation] = field(init=False, repr=False)
    backward: list[_Generation] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lengths = np.array([len(nodes) for nodes in self.ops], np.int64)
        self.op = np.array([op for nodes in self.ops for op in nodes], np.int64)
        self.cell = (
            np.zeros_like(self.op)
            if self.cells is None
            else np.array([c for numbers in self.cells for c in numbers], np.int64)
        )
        self.owner = np.repeat(np.arange(len(self.ops)), lengths)
        depth, pairs = [0] * len(self.op), list[tuple[int, int]]()
        for start, links in zip((np.cumsum(lengths) - lengths).tolist(), self.edges):
            for u, v in sorted(set(links)):  # by source, whose depth is then final
                depth[start + v] = max(depth[start + v], depth[start + u] + 1)
                pairs.append((start + u, start + v))
        source, target = np.array(pairs, np.int64).reshape(-1, 2).T
        self.reached, self.left = (np.bincount(ends, minlength=len(self.op)) > 0 for ends in (target, source))
        self.forward = _generations(np.array(depth, np.int64), source, target)
        self.backward = _generations(np.array(depth, np.int64), target, source)[::-1]

    def colours(self) -> Words:
        """What tells nodes apart before any edge is looked at, [n]: op, cell and attributes."""
        colour = (self.op.astype(np.uint64) + _ONE) * np.uint64(1_000_003) + self.cell.astype(np.uint64)
        for column in () if self.attrs is None else (self.attrs + np.float32(0)).T:  # -0 becomes 0
            colour = mix(colour + mix(np.ascontiguousarray(column).view(np.uint32).astype(np.uint64) + _ONE))
        return colour

    def totals(self, words: Words) -> Words:
        """The sum of `words` [n] over each graph's nodes, [G]. Sums stand for multisets and wrap around."""
        totals = np.zeros(len(self.ops), np.uint64)
        np.add.at(totals, self.owner, words)
        return totals


def _generations(depth: Positions, source: Positions, target: Positions) -> list[_Generation]:
    """Nodes by depth, each generation with the edges that lead from `source` to its nodes."""
    count = int(depth.max()) + 1
    order = np.argsort(depth, kind="stable")
    nodes = np.split(order, np.cumsum(np.bincount(depth, minlength=count))[:-1])
    place = np.empty_like(depth)
    for members in nodes:
        place[members] = np.arange(len(members))
    by_target = np.argsort(depth[target], kind="stable")
    edges = np.split(by_target, np.cumsum(np.bincount(depth[target], minlength=count))[:-1])
    return [_Generation(members, source[links], place[target[links]]) for members, links in zip(nodes, edges)]


def graph_keys(ops: Sequence[Sequence[int]], edges: Sequence[Iterable[tuple[int, int]]]) -> list[str]:
    """A name for each labelled graph that isomorphic ones share: that of `canonical.isomorphism_key`, to the bit.

    The graphs are taken as they are; nothing is pruned or contracted. ops, edges: see `FlatGraphs`.
    """
    return labelled_keys(FlatGraphs(ops, edges))


def labelled_keys(graphs: FlatGraphs) -> list[str]:
    """As `graph_keys`, and graphs of one class also share cells and attributes."""
    halves = []
    for seed in SEEDS:
        colour = mix(graphs.colours() + seed)
        for _ in range(ROUNDS):
            for part in graphs.forward:
                before = part.sums(mix(colour[part.source] ^ seed))
                colour[part.nodes] = mix(colour[part.nodes] + mix(before + _ONE))
            for part in graphs.backward:
                after = part.sums(mix(colour[part.source] + seed))
                colour[part.nodes] = mix(colour[part.nodes] ^ mix(after + _TWO))
        halves.append(mix(graphs.totals(mix(colour))))
    return _names(halves)


def computation_keys(graphs: FlatGraphs, roles: OpRoles, keep_strided: bool = True) -> list[str]:
    """A name for each graph that graphs of one computation share, by what the roles say of its operations.

    Every node adds up what reaches it. `nones`, and what no data reaches or what reaches no output, count for nothing;
    `skips` stand for what they copy; a branch that is used twice counts as two equal branches. Where no input (output)
    is named, nodes without predecessors (successors) take its place. In graphs of several cells a skip that reads an
    input in any cell but the first stays, because it halves the resolution there (keep_strided=False: it does not). On
    NAS-Bench-201 these are the 4,930 classes of its importer.
    """
    op = graphs.op
    enter = np.isin(op, list(roles.inputs)) if roles.inputs else ~graphs.reached
    leave = np.isin(op, list(roles.outputs)) if roles.outputs else ~graphs.left
    identity = np.isin(op, list(roles.skips)) & ~np.isin(op, [*roles.inputs, *roles.outputs])
    cut = np.isin(op, list(roles.nones))
    strided = (graphs.cell > 0) if keep_strided and graphs.cell.any() else np.zeros(len(op), bool)
    halves = []
    for seed in SEEDS:
        start = mix(graphs.colours() + seed)
        carries, passed = np.zeros(len(op), bool), np.zeros(len(op), np.uint64)  # what each node hands on
        for part in graphs.forward:
            nodes = part.nodes
            carries[nodes] = (enter[nodes] | part.any(carries)) & ~cut[nodes]
            inflow = part.sums(passed[part.source])
            copies = identity[nodes] & ~enter[nodes] & ~(strided[nodes] & part.any(enter))
            made = np.where(copies, inflow, mix(mix(start[nodes] + mix(inflow + _ONE)) ^ seed))
            passed[nodes] = np.where(carries[nodes], made, np.uint64(0))
        halves.append(mix(graphs.totals(np.where(leave, passed, np.uint64(0)))))
    return _names(halves)


def _names(halves: Sequence[Words]) -> list[str]:
    return [f"{a:016x}{b:016x}" for a, b in zip(*(half.tolist() for half in halves))]
