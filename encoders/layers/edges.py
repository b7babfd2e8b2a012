"""Edges of padded graphs, for layers that keep a state per edge: as slots that a space's graphs share, or as a list per
graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.fused import fused, row_sums

MOST_SLOTS = 256


class Edges:
    """The edges of a batch, E of them per graph, not all of which every graph has; with `both_ways`, behind them as
    many that run against them.

    there: bool [B, E]. mask: bool [B, V], real nodes.
    """

    def __init__(self, there: Tensor, mask: Tensor, both_ways: bool) -> None:
        self.there = torch.cat([there, there], -1) if both_ways else there
        self.mask = mask

    def pair(self, source: Tensor, target: Tensor) -> Tensor:
        """Per edge, `source` [B, V, d] of the node where it starts plus `target` [B, V, d] of the one where it ends:
        [B, E, d]."""
        raise NotImplementedError

    def senders(self, x: Tensor) -> Tensor:
        """Of node states x [B, V, d] those where the edges start: [B, E, d]."""
        raise NotImplementedError

    def sum_in(self, values: Tensor) -> Tensor:
        """Sum of values [B, E, d] over the edges into each node, edges that a graph lacks left out: [B, V, d]."""
        raise NotImplementedError


class Slots(Edges):
    """One slot for every edge the space has room for: who sends and who receives is a matrix that all graphs share.

    With `start` and `end` [E, V] the one-hot rows of where a slot's edge starts and ends, and `there` [B, E] the slots
    that a graph fills:

        senders(x)[b, e] = x[b, source of e] = (start @ x[b])[e]
        pair(s, t)[b, e] = s[b, source of e] + t[b, target of e] = ([start, end] @ [s[b]; t[b]])[e]
        sum_in(y)[b, v]  = sum over e into v, there, of y[b, e]  = ((end * there[b])^T @ y[b])[v]

    A product with a matrix of zeros and ones is one call for all members, without scattering, and sums in the same
    order every time. In a compiled program the same rows are looked up in tables instead, `source` and `target` of a
    slot, and `leaving` and `entering`, the slots of a node, by which the derivative is a look-up too (`row_sums`).
    """

    def __init__(self, graphs: Graphs, ends: Tensor, at: Tensor, both_ways: bool) -> None:
        # ends: float [2, E, V], one-hot rows: where a slot's edge starts and where it ends. at: see `slots_at`.
        super().__init__(graphs.derive("edges/slots", lambda own: _filled(own, ends)), graphs.mask, both_ways)
        more = graphs.nodes - ends.shape[-1]
        wide = nn.functional.pad(_both(ends) if both_ways else ends, (0, more))
        self.start, self.end = wide[..., 0, :, :], wide[..., 1, :, :]
        # Asked once: layers that become programs of their own are called with what was made outside them.
        self.tables = fused()
        if self.tables:
            at = nn.functional.pad(at, (0, 0, 0, more), value=wide.shape[-2])
            self.leaving, self.entering = at[..., 0, :, :], at[..., 1, :, :]
            self.source, self.target = self.start.argmax(-1, keepdim=True), self.end.argmax(-1, keepdim=True)

    def pair(self, source: Tensor, target: Tensor) -> Tensor:
        """As `Edges.pair`."""
        if self.tables:
            return row_sums(source, self.source, self.leaving) + row_sums(target, self.target, self.entering)
        return torch.cat([self.start, self.end], -1) @ torch.cat([source, target], -2)

    def senders(self, x: Tensor) -> Tensor:
        """As `Edges.senders`."""
        return row_sums(x, self.source, self.leaving) if self.tables else self.start @ x

    def sum_in(self, values: Tensor) -> Tensor:
        """As `Edges.sum_in`."""
        if self.tables:
            return row_sums(values * self.there.unsqueeze(-1), self.entering, self.target)
        return (self.end * self.there.unsqueeze(-1)).mT @ values


class Lists(Edges):
    """A list of its edges for every graph, padded to the longest: for large graphs with few edges."""

    def __init__(self, graphs: Graphs, both_ways: bool) -> None:
        listed = graphs.derive("edges/list", _listed)
        super().__init__(listed[..., 2] > 0, graphs.mask, both_ways)
        start, end = listed[..., 0, None], listed[..., 1, None]
        self.start, self.end = (torch.cat([start, end], -2), torch.cat([end, start], -2)) if both_ways else (start, end)
        self.nodes = graphs.nodes

    def pair(self, source: Tensor, target: Tensor) -> Tensor:
        """As `Edges.pair`."""
        return _at(source, self.start) + _at(target, self.end)

    def senders(self, x: Tensor) -> Tensor:
        """As `Edges.senders`."""
        return _at(x, self.start)

    def sum_in(self, values: Tensor) -> Tensor:
        """As `Edges.sum_in`."""
        empty = torch.zeros(*values.shape[:-2], self.nodes, values.shape[-1], dtype=values.dtype, device=values.device)
        return empty.scatter_add(-2, self.end.expand_as(values), values * self.there.unsqueeze(-1))


def _at(x: Tensor, nodes: Tensor) -> Tensor:
    """States x [B, V, d] of nodes int64 [B, E, 1]: [B, E, d]."""
    return torch.gather(x, -2, nodes.expand(*nodes.shape[:-1], x.shape[-1]))


def slots(space: SearchSpace) -> Tensor | None:
    """Start and end, one-hot float [2, E, V], of every edge the space's graphs may have; None where there are more than
    256."""
    room = np.triu(np.ones((space.max_nodes, space.max_nodes), bool), 1)
    ends = np.nonzero(room if space.support is None else space.support)
    return (
        torch.eye(space.max_nodes, device="cpu")[torch.from_numpy(np.stack(ends))]
        if len(ends[0]) <= MOST_SLOTS
        else None
    )


def slots_at(ends: Tensor, both_ways: bool) -> Tensor:
    """Which edges start at each node, and which end there: int64 [2, V, D], padded with their number; `ends` as of
    `slots`, edges as of `Edges`."""
    wide = _both(ends) if both_ways else ends
    edges = wide.shape[1]
    number = torch.where(wide > 0, torch.arange(edges, device=wide.device)[:, None], edges).mT.sort(-1).values
    return number[..., : int((number < edges).sum(-1).max())].contiguous()


def _both(ends: Tensor) -> Tensor:
    """Ends [..., 2, E, V] of edges, and behind them of those that run against them."""
    return torch.cat([ends, ends.flip(-3)], -2)


def _filled(graphs: Graphs, ends: Tensor) -> Tensor:
    """bool [B, E]: the slots that a graph fills."""
    start, end = ends.argmax(-1)
    return graphs.adj[..., start, end]


def _listed(graphs: Graphs) -> Tensor:
    """int64 [B, E, 3]: source, target and 1 for every edge of a graph, padded with zeros."""
    adj = graphs.adj.flatten(-2)
    widest = max(int(adj.sum(-1).max()), 1) if len(graphs) else 1
    # A stable sort puts edges first and keeps their order.
    place = torch.argsort((~adj).to(torch.int8), dim=-1, stable=True)[..., :widest]
    there = torch.gather(adj, -1, place)
    source, target = place // graphs.nodes, place % graphs.nodes
    return torch.stack([source, target, torch.ones_like(place)], -1) * there.unsqueeze(-1)
