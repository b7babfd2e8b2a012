"""GMAE-NAS's network: a deep stack of graph attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.registry import encoder


@encoder("gmae_nas", family="GNN")
class GMAENAS(nn.Module):
    """Graph attention in many thin layers; each reads the sum of all states before it.

    Source: Jing et al., "A Graph Masked Autoencoder Enhanced Predictor for Neural Architecture Search", IJCAI 2022
    (kunjing96/GMAENAS, 7cb5ff4). h_1 = act(LN(GAT(x))), then h_i = act(LN(GAT(W x + h_1 + ... + h_{i-1}))), x the
    operation's embedding; the mean of the last. Attention after Velickovic et al., ICLR 2018, over a node's
    predecessors and itself: softmax of LeakyReLU_0.2(a . W h_j + b . W h_i). One PReLU slope for all layers. Sees
    operations and edges; invariant to the order of nodes. The method is this network with `pretext=masked_ops`.

    Shapes: graphs [B, V] -> [B, cells * dim]. Parameters with O operations: O d + d^2 + d + L (d^2 + 5 d) + 1; 20,161
    on NAS-Bench-101, 57,601 on NAS-Bench-201.

    Departures: none in the network.
    """

    def __init__(self, space: SearchSpace, *, dim: int = 32, layers: int = 16, heads: int = 8) -> None:
        super().__init__()
        self.cells = space.cells
        self.embed = nn.Parameter(torch.randn(len(space.ops), dim))
        self.skip = nn.Linear(dim, dim)
        self.layers = nn.ModuleList(Attention(dim, heads) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.slope = nn.Parameter(torch.full((1,), 0.25))

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """16 layers of 32 on NAS-Bench-101, 12 of 64 on NAS-Bench-201."""
        return {"dim": 64, "layers": 12} if space.name == "nasbench201" else {"dim": 32, "layers": 16}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Pairwise logistic loss, AdamW, 100 epochs, one tenth of the labels in a batch (here: batches of ten)."""
        return {
            "loss": "bpr",
            "optimizer": "adamw",
            "lr": 1e-3,
            "weight_decay": 1e-2,
            "epochs": 100,
            "batch": 10,
            "schedule": "cosine",
            "labels": "standard",
            "head": {"hidden": [32, 32], "dropout": 0.2},
        }

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        return mean_pool(self.states(graphs), graphs, self.cells)

    def states(self, graphs: Graphs) -> Tensor:
        """State of every node [B, V, dim], for pretexts that ask about nodes."""
        x = nn.functional.one_hot(graphs.ops, len(self.embed)).to(self.embed.dtype) @ self.embed
        heard = graphs.derive("gmae_nas/heard", _heard)
        total = self.skip(x)
        for layer, norm in zip(self.layers, self.norms):
            fresh = norm(layer(x, heard))
            fresh = torch.where(fresh > 0, fresh, self.slope * fresh)
            total = x = total + fresh
        return fresh


class Attention(nn.Module):
    """Additive attention of several heads, side by side.

    dim: of states, a multiple of heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"gmae_nas: dim {dim} is not a multiple of heads {heads}")
        self.heads = heads
        self.map = nn.Linear(dim, dim, bias=False)
        self.source, self.target = (nn.Parameter(torch.randn(heads, dim // heads) * 0.1) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        """x [B, V, dim], receiver by sender bool [B, V, V] -> [B, V, dim]."""
        h = self.map(x).unflatten(-1, (self.heads, -1))
        there, here = (h * self.source).sum(-1), (h * self.target).sum(-1)
        odds = nn.functional.leaky_relu(here.unsqueeze(-2) + there.unsqueeze(-3), 0.2)
        share = torch.softmax(odds.masked_fill(~heard.unsqueeze(-1), -torch.inf), -2)
        return (share.unsqueeze(-1) * h.unsqueeze(-4)).sum(-3).flatten(-2) + self.bias


def _heard(graphs: Graphs) -> Tensor:
    """bool [B, V(receiver), V(sender)]: predecessors and the node itself."""
    return graphs.adj.transpose(-1, -2) | torch.eye(graphs.nodes, dtype=torch.bool, device=graphs.device)
