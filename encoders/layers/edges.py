"""Edges of padded graphs, for layers that keep a state per edge: as slots that a space's graphs share, or as a list per graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace

MOST_SLOTS = 256


class Edges:
    """The edges of a batch; E of them per graph, not all of which every graph has.

    there: bool [B, E]. mask: bool [B, V], real nodes.
    """

    def __init__(self, there: Tensor, mask: Tensor) -> None:
        self.there, self.mask = there, mask

    def take(self, x: Tensor, end: int) -> Tensor:
        """Of node states x [B, V, d] those of the edges' sources (end 0) or targets (end 1): [B, E, d]."""
        raise NotImplementedError

    def put(self, values: Tensor, end: int) -> Tensor:
        """Sum values [B, E, d] over the edges with that end in a node: [B, V, d]. Missing edges count: zero them first."""
        raise NotImplementedError


class Slots(Edges):
    """One slot for every edge the space has room for: the same for all graphs, nothing gathered."""

    def __init__(self, graphs: Graphs, ends: Tensor) -> None:
        # ends: int64 [2, E].
        super().__init__(graphs.adj[..., ends[0], ends[1]], graphs.mask)
        self.ends, self.nodes = ends, graphs.nodes

    def take(self, x: Tensor, end: int) -> Tensor:
        """As `Edges.take`."""
        # Three times as fast as plain indexing, forward and backward, and twenty times as an incidence matrix.
        return torch.index_select(x, -2, self.ends[end])

    def put(self, values: Tensor, end: int) -> Tensor:
        """As `Edges.put`."""
        empty = torch.zeros(*values.shape[:-2], self.nodes, values.shape[-1], dtype=values.dtype, device=values.device)
        return empty.index_add(-2, self.ends[end], values)


class Lists(Edges):
    """A list of its edges for every graph, padded to the longest: for large graphs with few edges."""

    def __init__(self, graphs: Graphs) -> None:
        listed = graphs.derive("edges/list", _edges)
        super().__init__(listed[..., 2] > 0, graphs.mask)
        self.listed, self.nodes = listed, graphs.nodes

    def take(self, x: Tensor, end: int) -> Tensor:
        """As `Edges.take`."""
        place = self.listed[..., end, None]
        return torch.gather(x, -2, place.expand(*place.shape[:-1], x.shape[-1]))

    def put(self, values: Tensor, end: int) -> Tensor:
        """As `Edges.put`."""
        empty = torch.zeros(*values.shape[:-2], self.nodes, values.shape[-1], dtype=values.dtype, device=values.device)
        return empty.scatter_add(-2, self.listed[..., end, None].expand_as(values), values)


def slots(space: SearchSpace) -> Tensor | None:
    """Source and target, int64 [2, E], of every edge the space's graphs may have; None where there are more than 256."""
    support = (
        space.support if space.support is not None else np.triu(np.ones((space.max_nodes, space.max_nodes), bool), 1)
    )
    ends = np.stack(np.nonzero(support))
    return torch.from_numpy(ends) if ends.shape[1] <= MOST_SLOTS else None


def _edges(graphs: Graphs) -> Tensor:
    """int64 [B, E, 3]: source, target and 1 for every edge of a graph, padded with zeros."""
    adj = graphs.adj.flatten(-2)
    widest = max(int(adj.sum(-1).max()), 1) if len(graphs) else 1
    # A stable sort puts edges first and keeps their order.
    place = torch.argsort((~adj).to(torch.int8), dim=-1, stable=True)[..., :widest]
    there = torch.gather(adj, -1, place)
    source, target = place // graphs.nodes, place % graphs.nodes
    return torch.stack([source, target, torch.ones_like(place)], -1) * there.unsqueeze(-1)
