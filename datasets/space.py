"""Search spaces: the operations and the graph shape that a family of architectures shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import DataError

if TYPE_CHECKING:
    from archrank.datasets.graphs import Graphs

OpPlace = Literal["node", "edge"]


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """What an encoder may know about a family of architectures before it sees one.

    ops: names of the operations; an op id is a position in it.
    roles: op ids with a meaning of their own: `input`, `output`, `none` (no connection), `skip` (identity).
    max_nodes: nodes of the largest architecture (both cells together in a two-cell space).
    cells: graphs per architecture (1, or 2 for DARTS-like spaces: one padded graph whose nodes carry a cell number).
    support: bool [max_nodes, max_nodes]; False where no architecture of the space has an edge u -> v.
    constant: bool [max_nodes, max_nodes]; True where every architecture of the space has the edge.
    attrs: names of numeric node attributes, where the space has them.
    """

    name: str
    ops: tuple[str, ...]
    max_nodes: int
    roles: dict[str, int] = field(default_factory=dict)
    cells: int = 1
    support: NDArray[np.bool_] | None = field(default=None, repr=False)
    constant: NDArray[np.bool_] | None = field(default=None, repr=False)
    attrs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for role, op in self.roles.items():
            if not 0 <= op < len(self.ops):
                raise DataError(f"space '{self.name}': role '{role}' names op {op}, but there are {len(self.ops)} ops")
        if self.cells < 1 or self.max_nodes < 1:
            raise DataError(f"space '{self.name}': needs at least one cell and one node")

    @cached_property
    def generations(self) -> tuple[tuple[int, ...], ...]:
        """Node positions in groups that no architecture of the space links internally, in topological order.

        A sweep along the edges may update a whole group at once: all possible predecessors of its nodes stand in
        earlier groups. NAS-Bench-201 has 5 groups for its 8 nodes.
        """
        support = self.support
        if support is None:
            return tuple((v,) for v in range(self.max_nodes))
        level = [0] * self.max_nodes
        for v in range(self.max_nodes):
            before = np.flatnonzero(support[:v, v])
            level[v] = 1 + max((level[u] for u in before), default=-1)
        return tuple(tuple(v for v in range(self.max_nodes) if level[v] == k) for k in range(max(level) + 1))

    @cached_property
    def variable_edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs u, v (u < v) that some architectures of the space link and others do not, row by row."""
        free = np.triu(np.ones((self.max_nodes, self.max_nodes), bool), 1)
        if self.support is not None and self.constant is not None:
            free &= self.support & ~self.constant
        u, v = np.nonzero(free)
        return u, v

    def opened(self, max_nodes: int | None = None) -> SearchSpace:
        """The same space for graphs that its table does not have: any edge is possible, and up to `max_nodes` nodes.

        What is fitted on it scores graphs with edges or sizes that no architecture of the table has.
        """
        if max_nodes is not None and max_nodes < self.max_nodes:
            raise DataError(
                f"space '{self.name}' has architectures of {self.max_nodes} nodes; max_nodes is {max_nodes}"
            )
        return replace(self, max_nodes=max_nodes or self.max_nodes, support=None, constant=None)

    def graphs(self, items: Iterable[Any], *, op_attribute: str = "op", op_on: OpPlace | None = None) -> Graphs:
        """Architectures of this space without scores, such as the candidates of a search, as a predictor takes them.

        items: B of what `Benchmark.from_graphs` takes (networkx, PyG, DGL, pairs of operations and edges), or texts in
            the notation of a built-in space, such as `|nor_conv_3x3~0|+...` or `Genotype(...)`. Operations are names or
            ids of this space; those that stand on edges become nodes, as in an imported table.
        op_attribute, op_on: as in `Benchmark.from_graphs`.

        Raises DataError that names each problem with its item: unknown operations, cycles, more nodes or other edges
        than architectures of this space have (see `opened`), missing node attributes. Imports torch.
        """
        from archrank.datasets.custom.candidates import as_graphs

        return as_graphs(self, items, op_attribute, op_on)

    def to_card(self) -> dict[str, Any]:
        """The part of a benchmark's card that describes the space (`support` is read off the table again)."""
        card: dict[str, Any] = {"name": self.name, "ops": list(self.ops), "roles": dict(self.roles)}
        card |= {"max_nodes": self.max_nodes, "cells": self.cells}
        return card | ({"attrs": list(self.attrs)} if self.attrs else {})
