"""The neural predictor's graph convolution."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.messages import Messages, messages
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.registry import encoder

Passing = Callable[[Tensor], Tensor]


@encoder("gcn", family="GNN")
class NeuralPredictorGCN(nn.Module):
    """Bidirectional graph convolution: every layer averages a convolution along the edges and one against them.

    Source: Wen et al., "Neural Predictor for Neural Architecture Search", ECCV 2020, in the form of
    ultmaster/neuralpredictor.pytorch and naszilla (7e65491). Sees operations and edges; invariant to the order of
    nodes.

    Shapes: graphs [B, V] -> [B, dim] (mean over nodes; [B, 2 * dim] for two-cell spaces). Parameters on NAS-Bench-201
    with the published head (dim -> 128 -> 1, no bias, no activation): 144,992; on NAS-Bench-101: 144,416.

    The adjacency with self-loops is row-normalised, and its two directions are row-normalised again, as in that code.

    backend: `dense` (padded, works in ensembles), or the same network on flat graphs by torch-geometric (`pyg`) or
    DGL (`dgl`), with the same parameters.
    faithful: cells smaller than the space's largest are filled up with isolated conv3x3 nodes that count in the mean,
    as naszilla does on NAS-Bench-101; needs backend dense and a space that has conv3x3.

    Departures: that code's missing zero_grad (gradients added up over the whole training) and the label mean and
    deviation of NAS-Bench-101 that it uses for every space are left out in either mode.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 144,
        layers: int = 4,
        dropout: float = 0.1,
        backend: Literal["dense", "pyg", "dgl"] = "dense",
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.invariant = not faithful
        self.ops, self.cells, self.backend = len(space.ops), space.cells, backend
        self.filler = space.ops.index("conv3x3") if faithful and "conv3x3" in space.ops else None
        self.size = space.max_nodes
        if self.filler is not None and backend != "dense":
            raise ArchrankError("gcn: faithful=True fills graphs up, which needs backend=dense")
        self.layers = nn.ModuleList(Convolution(self.ops if i == 0 else dim, dim, dropout) for i in range(layers))

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size, which is the default."""
        return {"dim": 144, "layers": 4, "dropout": 0.1}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Adam, cosine, small batches, squared error on standardised labels."""
        return {
            "loss": "mse",
            "labels": "standard",
            "optimizer": "adam",
            "lr": 1e-4,
            "weight_decay": 3e-4,
            "epochs": 300,
            "batch": 7,
            "schedule": "cosine",
            "schedule_per": "epoch",
            "head": {"hidden": [128], "bias": False, "activation": "none", "dropout": 0.1},
        }

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        dtype = next(self.parameters()).dtype
        if self.backend != "dense":
            return self._flat(messages(self.backend, graphs), dtype)
        if self.filler is not None:
            graphs = self._filled(graphs, self.filler)
        return mean_pool(self.states(graphs), graphs, self.cells)

    def states(self, graphs: Graphs) -> Tensor:
        """State of every node [B, V, dim], for pretexts that ask about nodes."""
        dtype = next(self.parameters()).dtype
        both = graphs.derive("gcn/both", _both_directions).to(dtype)
        x = nn.functional.one_hot(graphs.ops, self.ops).to(dtype) * graphs.mask.unsqueeze(-1)
        for layer in self.layers:
            x = layer(x, lambda y: both[..., 0, :, :] @ y, lambda y: both[..., 1, :, :] @ y)
        return x

    def _filled(self, graphs: Graphs, filler: int) -> Graphs:
        """Padding up to the size of the space turned into isolated nodes."""
        inside = torch.arange(graphs.nodes, device=graphs.device) < self.size
        ops = torch.where(graphs.mask, graphs.ops, filler)
        both = graphs.derive(
            "gcn/both-filled", lambda own: _both_directions(Graphs(own.ops, own.adj, own.mask | inside, own.cell))
        )
        return Graphs(
            ops, graphs.adj, graphs.mask | inside, graphs.cell, _derived={"gcn/both": (both, _both_directions)}
        )

    def _flat(self, graph: Messages, dtype: torch.dtype) -> Tensor:
        forward = graph.looped()
        backward = forward.reversed()
        ones = torch.ones(len(graph.ops), 1, dtype=dtype, device=graph.ops.device)
        # Row u of the normalised matrix lists the successors of u, itself included.
        share = 1 / backward.gather_in(forward.pair(ones, 0 * ones))
        along = forward.pair(share, 0 * ones)
        against = along / forward.pair(0 * ones, forward.gather_in(along))
        along, against = along / 2, against / 2
        x = nn.functional.one_hot(graph.ops, self.ops).to(dtype)
        for layer in self.layers:
            x = layer(x, lambda y: backward.sum_in(y, along), lambda y: forward.sum_in(y, against))
        return graph.mean_pool(x, self.cells)


class Convolution(nn.Module):
    """One layer: ReLU(A x W1) + ReLU(A' x W2), A along the edges and A' against them, each halved so that this is their
    mean."""

    def __init__(self, inputs: int, dim: int, dropout: float) -> None:
        super().__init__()
        bound = math.sqrt(6 / (inputs + dim))
        self.along = nn.Parameter(torch.empty(inputs, dim).uniform_(-bound, bound))
        self.against = nn.Parameter(torch.empty(inputs, dim).uniform_(-bound, bound))
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, ahead: Passing, behind: Passing) -> Tensor:
        """x [..., inputs] -> [..., dim]; `ahead` and `behind` multiply node features by A and by A'."""
        out: Tensor = self.drop(torch.relu(ahead(x @ self.along)) + torch.relu(behind(x @ self.against)))
        return out


def _both_directions(graphs: Graphs) -> Tensor:
    """float [B, 2, V, V]: half the row-normalised adjacency with self-loops, and half its transpose row-normalised
    again."""
    loops = graphs.adj | torch.eye(graphs.nodes, dtype=torch.bool, device=graphs.device)
    along = (loops & graphs.mask[..., :, None] & graphs.mask[..., None, :]).double()
    along = along / along.sum(-1, keepdim=True).clamp(min=1)
    against = along.transpose(-1, -2)
    return torch.stack([along, against / against.sum(-1, keepdim=True).clamp(min=1e-12)], -3) / 2
