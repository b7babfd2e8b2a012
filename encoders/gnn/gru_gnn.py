"""The bidirectional gated graph network of Lukasik et al."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.gru import GRU
from archrank.encoders.registry import encoder


@encoder("gru_gnn", family="GNN")
class GRUGNN(nn.Module):
    """Messages along and against every edge, by two linear maps, update node states by a GRU; a gated sum over nodes is
    the embedding.

    Source: Lukasik, Friede, Stuckenschmidt and Keuper, "Neural Architecture Performance Prediction Using Graph Neural
    Networks", GCPR 2020 (jovitalukasik/GNN_predictor). A message is a linear map of [sender; receiver], one map for
    the edges and one for their reversals; a node's messages add up. Sees operations and edges; invariant to the order
    of nodes.

    Since the map is linear, the sum of messages is computed from node states and degrees: no state per edge, the same
    numbers.

    Shapes: graphs [B, V] -> [B, cells * dim]. Parameters of the published size (hidden 250, dim 56, 2 layers) with
    its head (56 -> 28 -> 14 -> 7 -> 1) on NAS-Bench-101: 2,147,672. The default (hidden 64, dim 64) trains in minutes
    on two cores.

    hidden: size of node states. The read-out is a sum, so embeddings grow with the number of nodes, as published.

    Departures: none in the network. The released option to train on a sample of the architectures fails with an
    undefined name unless given; budgets are drawn here by the protocol. `paper` keeps a rate and a number of epochs
    meant for 70 % of NAS-Bench-101, some 230,000 steps: at a hundred labels its 100 steps at 1e-5 hardly move the
    weights.
    """

    def __init__(self, space: SearchSpace, *, dim: int = 64, hidden: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.invariant = True
        self.ops, self.cells = len(space.ops), space.cells
        self.embed = nn.Embedding(self.ops, hidden)
        self.layers = nn.ModuleList(Layer(hidden) for _ in range(layers))
        self.gate, self.out = nn.Linear(hidden, 1), nn.Linear(hidden, dim)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size."""
        return {"dim": 56, "hidden": 250, "layers": 2}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Squared error on accuracies between 0 and 1, Adam at a constant rate."""
        return {
            "loss": "mse",
            "labels": "unit",
            "optimizer": "adam",
            "lr": 1e-5,
            "epochs": 100,
            "batch": 128,
            "schedule": "constant",
            "head": {"hidden": [28, 14, 7]},
        }

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        x = self.embed(graphs.ops)
        into = graphs.derive("gru_gnn/into", _into).to(x.dtype)
        for layer in self.layers:
            x = layer(x, into)
        gated = torch.sigmoid(self.gate(x)) * self.out(x)
        parts = [
            (gated * (graphs.mask & (graphs.cell == cell)).to(x.dtype).unsqueeze(-1)).sum(-2)
            for cell in range(self.cells)
        ]
        return torch.cat(parts, -1)


class Layer(nn.Module):
    """One round of messages and the update of node states."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.along, self.against = nn.Linear(2 * hidden, 2 * hidden), nn.Linear(2 * hidden, 2 * hidden)
        self.gru = GRU(2 * hidden, hidden)

    def forward(self, x: Tensor, into: Tensor) -> Tensor:
        """x [B, V, hidden], into float [B, 2, V(receiver), V(sender)] along and against the edges -> [B, V, hidden]."""
        total: Tensor | float = 0.0
        for direction, linear in enumerate((self.along, self.against)):
            sender, receiver = linear.weight.chunk(2, -1)
            senders = into[..., direction, :, :]
            own = nn.functional.linear(x, receiver, linear.bias)
            total = total + senders @ nn.functional.linear(x, sender) + senders.sum(-1, keepdim=True) * own
        return self.gru(total, x)


def _into(graphs: Graphs) -> Tensor:
    """float [B, 2, V(receiver), V(sender)]: predecessors, then successors."""
    return torch.stack([graphs.adj.transpose(-1, -2), graphs.adj], -3).float()
