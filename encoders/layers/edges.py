"""Edges of padded graphs as lists, for layers that keep a state per edge."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.datasets.graphs import Graphs


def edge_list(graphs: Graphs) -> Tensor:
    """int64 [B, E, 3]: source, target and 1 for every edge of a graph, padded with zeros to the largest number.

    Kept with the graphs, as everything derived.
    """
    return graphs.derive("edges/list", _edges)


def _edges(graphs: Graphs) -> Tensor:
    adj = graphs.adj.flatten(-2)
    widest = max(int(adj.sum(-1).max()), 1) if len(graphs) else 1
    # A stable sort puts edges first and keeps their order.
    place = torch.argsort((~adj).to(torch.int8), dim=-1, stable=True)[..., :widest]
    there = torch.gather(adj, -1, place)
    source, target = place // graphs.nodes, place % graphs.nodes
    return torch.stack([source, target, torch.ones_like(place)], -1) * there.unsqueeze(-1)


def take(x: Tensor, place: Tensor) -> Tensor:
    """Rows of x [B, V, d] at place int64 [B, E]: [B, E, d]."""
    return torch.gather(x, -2, place.unsqueeze(-1).expand(*place.shape, x.shape[-1]))


def put(values: Tensor, place: Tensor, nodes: int) -> Tensor:
    """Sum values [B, E, d] into rows place int64 [B, E] of a [B, nodes, d]."""
    empty = torch.zeros(*values.shape[:-2], nodes, values.shape[-1], dtype=values.dtype, device=values.device)
    return empty.scatter_add(-2, place.unsqueeze(-1).expand_as(values), values)
