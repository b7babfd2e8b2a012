"""How many of each operation, and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.registry import encoding


@encoding("bag_of_ops", family="token sequence")
def bag_of_ops(graphs: Graphs, space: SearchSpace) -> Tensor:
    """The number of nodes of each operation and the number of nodes.

    No paper of its own: it is everything that `tart` can see, so whatever `tart` adds on top of it comes from the
    network, not from the architecture. Invariant to the order of nodes and to every edge.

    Departures: none. `none` and `skip` nodes are counted like any other. Two-cell spaces: one count per cell, side by
    side. Returns float32 [B, cells * ops + 1]; 8 numbers on NAS-Bench-201, three of which never change.
    """
    onehot = torch.nn.functional.one_hot(graphs.ops + len(space.ops) * graphs.cell, len(space.ops) * space.cells)
    counts = (onehot * graphs.mask.unsqueeze(-1)).sum(-2)
    return torch.cat([counts, graphs.mask.sum(-1, keepdim=True)], -1).float()
