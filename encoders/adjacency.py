"""Adjacency encodings: the matrix and the operations, written out."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.registry import encoding


@encoding("adjacency", family="adjacency")
def adjacency(graphs: Graphs, space: SearchSpace) -> Tensor:
    """One bit per possible edge, and the operation of every node one-hot.

    Source: White et al., "A Study on Encodings for Neural Architecture Search", NeurIPS 2020 (one-hot adjacency). Injective on labelled graphs, but
    depends on the order of nodes: one architecture may have several codes. Edges and operations that no two architectures of the space differ in
    (`space.variable_edges`, input, output) are left out; the output is moved to the last place, as the paper's code does for small cells.

    Returns float32 [B, F]: 21 + 15 on NAS-Bench-101, 30 on NAS-Bench-201 (its edges never change).
    """
    graphs = output_last(graphs)
    u, v = space.variable_edges
    edges = graphs.adj[:, u, v].float()
    inner = [op for op in range(len(space.ops)) if op not in (space.roles.get("input"), space.roles.get("output"))]
    labels = torch.nn.functional.one_hot(graphs.ops, len(space.ops))[..., inner].float() * graphs.mask[..., None]
    if space.cells == 1 and "input" in space.roles and "output" in space.roles:
        labels = labels[:, 1:-1]
    return torch.cat([edges, labels.flatten(1)], 1)


def output_last(graphs: Graphs) -> Graphs:
    """Every architecture's last node moved to the last place, padding before it."""
    size = graphs.mask.sum(1, keepdim=True)
    place = torch.arange(graphs.nodes, device=graphs.device).expand(len(graphs), -1)
    order = torch.where(place < size - 1, place, torch.where(place == graphs.nodes - 1, size - 1, place + 1))
    return graphs.relabel(order)
