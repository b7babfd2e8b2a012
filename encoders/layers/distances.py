"""Lengths of shortest paths as types, small enough to keep for a whole space of large graphs."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.datasets.graphs import Graphs

PAIRS_AT_ONCE = 8_000_000


def distance_types(graphs: Graphs, types: int) -> Tensor:
    """uint8 [B, V, V]: edges on the shortest directed path from u to v, at most types - 1 (of up to 255); `types` where
    there is none.

    As `Graphs.distance`, by looking at a node's predecessors alone, which are few in large graphs, and at some graphs
    at a time.
    """
    if not 1 <= types < 256:
        raise ValueError(f"distances {types}: between 1 and 255")
    if not len(graphs):
        return torch.zeros(graphs.adj.shape, dtype=torch.uint8, device=graphs.device)
    size = max(1, PAIRS_AT_ONCE // graphs.nodes**2)
    return torch.cat([_types(adj, types) for adj in graphs.adj.split(size)])


def _types(adj: Tensor, types: int) -> Tensor:
    nodes = adj.shape[-1]
    far = 2 * nodes
    most = max(int(adj.sum(-2).max()), 1)
    # A stable sort puts predecessors first, padded with nodes that are none.
    before = torch.argsort((~adj).to(torch.uint8), dim=-2, stable=True)[:, :most]
    there = torch.gather(adj, -2, before)
    distance = torch.full(adj.shape, far, dtype=torch.int16, device=adj.device)
    distance.diagonal(dim1=-2, dim2=-1).zero_()
    for v in range(1, nodes):
        steps = torch.gather(distance, -1, before[:, None, :, v].expand(-1, nodes, -1)) + 1
        nearest = steps.masked_fill_(~there[:, None, :, v], far).amin(-1)
        distance[..., v] = torch.minimum(distance[..., v], nearest)
    return torch.where(distance >= far, types, distance.clamp(max=types - 1)).to(torch.uint8)
