"""DCLP's network: graph isomorphism layers, normalised after their ReLU, and a perceptron."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.norm import MaskedBatchNorm
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.registry import encoder

SLOPE = 0.025


@encoder("dclp", family="GNN")
class DCLP(nn.Module):
    """Graph isomorphism layers without a trained epsilon, the mean over nodes, and two dense layers.

    Source: Zheng et al., "DCLP: Neural Architecture Predictor with Curriculum Contrastive Learning", AAAI 2024
    (Zhengsh123/DCLP, 7978532). Layer: BN(ReLU(MLP(x + sum of neighbours))), MLP of two linear maps on the one-hot
    operations; three of them; mean; dense layers of 2 dim and dim with LeakyReLU (0.025). Sees operations and edges;
    invariant to the order of nodes. The method is this network with `pretext=contrastive`.

    Shapes: graphs [B, V] -> [B, dim]. Parameters with O operations and one cell: O d + d + d^2 + d + (L - 1) (2 d^2 +
    2 d) + 2 L d + 4 d^2 + 3 d.

    directed: gather along the edges alone; by default from predecessors and successors alike.

    Departures: two further layers that the code builds and never calls are left out.
    """

    def __init__(self, space: SearchSpace, *, dim: int = 32, layers: int = 3, directed: bool = False) -> None:
        super().__init__()
        self.ops, self.cells, self.directed = len(space.ops), space.cells, directed
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(self.ops if number == 0 else dim, dim), nn.ReLU(), nn.Linear(dim, dim))
            for number in range(layers)
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(dim) for _ in range(layers))
        self.wide, self.narrow = nn.Linear(space.cells * dim, 2 * dim), nn.Linear(2 * dim, dim)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size, which is the default."""
        return {"dim": 32, "layers": 3}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Squared error on accuracies through a sigmoid, Adam, batches of ten, 200 epochs."""
        return {
            "loss": "mse",
            "labels": "unit",
            "optimizer": "adam",
            "lr": 5e-3,
            "weight_decay": 0.0,
            "epochs": 200,
            "batch": 10,
            "schedule": "constant",
            "head": {"output": "sigmoid"},
        }

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim]."""
        x = mean_pool(self.states(graphs), graphs, self.cells)
        for dense in (self.wide, self.narrow):
            x = nn.functional.leaky_relu(dense(x), SLOPE)
        return x

    def states(self, graphs: Graphs) -> Tensor:
        """State of every node [B, V, dim], for pretexts that ask about nodes."""
        x = nn.functional.one_hot(graphs.ops, self.ops).to(self.wide.weight.dtype) * graphs.mask.unsqueeze(-1)
        linked = graphs.derive(f"dclp/linked-{self.directed}", self._linked).to(x.dtype)
        for layer, norm in zip(self.layers, self.norms):
            x = norm(torch.relu(layer(x + linked @ x)), graphs.mask) * graphs.mask.unsqueeze(-1)
        return x

    def _linked(self, graphs: Graphs) -> Tensor:
        """bool [B, V(receiver), V(sender)]."""
        along = graphs.adj.transpose(-1, -2)
        return along if self.directed else along | graphs.adj
