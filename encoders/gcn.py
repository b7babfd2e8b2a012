"""The neural predictor's graph convolution."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.noise import Dropout
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.registry import encoder


@encoder("gcn", family="GNN")
class NeuralPredictorGCN(nn.Module):
    """Bidirectional graph convolution: every layer averages a convolution along the edges and one against them.

    Source: Wen et al., "Neural Predictor for Neural Architecture Search", ECCV 2020, in the form of ultmaster/neuralpredictor.pytorch and
    naszilla (7e65491). Sees operations and edges; invariant to the order of nodes.

    Shapes: graphs [B, V] -> [B, dim] (mean over nodes; [B, 2 * dim] for two-cell spaces). Parameters on NAS-Bench-201 with the published head
    (dim -> 128 -> 1, no bias, no activation): 144,992; on NAS-Bench-101: 144,416.

    The adjacency with self-loops is row-normalised, and its two directions are row-normalised again, as in that code. Departures: its missing
    zero_grad (gradients added up over the whole training), the fixed label mean and deviation of NAS-Bench-101 used for every space, and padding
    counted as isolated conv3x3 nodes are all left out.
    """

    def __init__(self, space: SearchSpace, *, dim: int = 144, layers: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.ops, self.cells = len(space.ops), space.cells
        self.layers = nn.ModuleList(Convolution(self.ops if i == 0 else dim, dim, dropout) for i in range(layers))

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Adam, cosine, small batches, squared error on standardised labels."""
        return {"loss": "mse", "labels": "standard", "optimizer": "adam", "lr": 1e-4, "weight_decay": 3e-4, "epochs": 300, "batch": 7,
                "schedule": "cosine", "schedule_per": "epoch",
                "head": {"hidden": [128], "bias": False, "activation": "none", "dropout": 0.1}}

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        both = graphs.derive("gcn/both", _both_directions)
        x = nn.functional.one_hot(graphs.ops, self.ops).to(both.dtype) * graphs.mask.unsqueeze(-1)
        x = x.to(self.layers[0].along.dtype)
        both = both.to(x.dtype)
        for layer in self.layers:
            x = layer(x, both)
        return mean_pool(x, graphs, self.cells)


class Convolution(nn.Module):
    """One layer: (ReLU(A x W1) + ReLU(A' x W2)) / 2, A along the edges and A' against them."""

    def __init__(self, inputs: int, dim: int, dropout: float) -> None:
        super().__init__()
        bound = math.sqrt(6 / (inputs + dim))
        self.along = nn.Parameter(torch.empty(inputs, dim).uniform_(-bound, bound))
        self.against = nn.Parameter(torch.empty(inputs, dim).uniform_(-bound, bound))
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, both: Tensor) -> Tensor:
        """x [B, V, inputs], both float [B, 2, V, V] -> [B, V, dim]."""
        along = torch.relu(both[..., 0, :, :] @ (x @ self.along))
        against = torch.relu(both[..., 1, :, :] @ (x @ self.against))
        return self.drop((along + against) / 2)


def _both_directions(graphs: Graphs) -> Tensor:
    """float [B, 2, V, V]: the row-normalised adjacency with self-loops, and its transpose row-normalised again."""
    loops = graphs.adj | torch.eye(graphs.nodes, dtype=torch.bool, device=graphs.device)
    along = (loops & graphs.mask[..., :, None] & graphs.mask[..., None, :]).double()
    along = along / along.sum(-1, keepdim=True).clamp(min=1)
    against = along.transpose(-1, -2)
    against = against / against.sum(-1, keepdim=True).clamp(min=1e-12)
    return torch.stack([along / along.sum(-1, keepdim=True).clamp(min=1e-12), against], -3)
