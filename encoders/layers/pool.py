"""From node states to one vector per architecture."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.datasets.graphs import Graphs


def mean_pool(x: Tensor, graphs: Graphs, cells: int = 1) -> Tensor:
    """Mean of x [B, V, dim] over the real nodes of each cell; cells side by side: [B, cells * dim]."""
    parts = []
    for cell in range(cells):
        weight = (graphs.mask & (graphs.cell == cell) if cells > 1 else graphs.mask).to(x.dtype).unsqueeze(-1)
        parts.append((x * weight).sum(-2) / weight.sum(-2).clamp(min=1))
    return parts[0] if cells == 1 else torch.cat(parts, -1)
