"""NN-Former: a transformer whose heads look along one relation between nodes each."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.layers.transformer import SelfAttention
from archrank.encoders.registry import encoder

RELATIONS = 4  # successors, predecessors, nodes with a common predecessor, nodes with a common successor


@encoder("nn_former", family="graph transformer")
class NNFormer(nn.Module):
    """Pre-norm transformer with four heads, one a relation, and a graph convolution in the feed-forward part.

    Source: Xu et al., "NN-Former: Rethinking Graph Structure in Neural Architecture Representation", CVPR 2025, and its
    code (XuRuihan/NNFormer, ab1bd81). A token is a node's operation; before them stands a class token and behind them
    one for the number of operations (without `none`), which look at all and are looked at by all. Heads are masked to a
    node's successors, predecessors, siblings with a common predecessor and siblings with a common successor, itself
    always included; the feed-forward part is W2 relu(W1 x + [A g1 ; A' g2]), where g1 and g2 are the halves of U x.
    Sees operations and edges; invariant to the order of nodes.

    Shapes: graphs [B, V] -> [B, dim] (the class token) or [B, cells * dim] (`readout=mean`). In two-cell spaces each
    cell has operations of its own. Parameters at the published size (dim 160, 12 layers, hidden 640) with the linear
    head: 4,934,081. The default is smaller for training on two cores.

    dim: of tokens, a multiple of 4. layers: of the transformer. hidden: of the feed-forward part, even. dropout: on
    attention weights, inside the feed-forward part and on what either adds. columns: operations and numbers of
    operations are one-hot of at least so many (the published 32; what a space does not use never learns).
    sibling_mask: `intended` as the paper describes it. `released` as its code has it, where the class token is every
    two nodes' common neighbour before siblings are looked for, so that both sibling heads look at everything; `paper`
    is this form.
    depth_token: whether the number of operations has a token. readout: the class token, or the mean over nodes.

    Departures: `paper` anneals the learning rate to 0 (there to a tenth), keeps the averaged weights of the last epoch
    (there of the best epoch on 1,024 more labelled architectures), and its head starts at 0 (there at 0.5).
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 96,
        layers: int = 4,
        hidden: int = 384,
        dropout: float = 0.1,
        columns: int = 0,
        sibling_mask: Literal["intended", "released"] = "intended",
        depth_token: bool = True,
        readout: Literal["class", "mean"] = "class",
    ) -> None:
        super().__init__()
        if dim % RELATIONS or hidden % 2:
            raise ValueError(f"nn_former: dim {dim} must be a multiple of {RELATIONS}, hidden {hidden} of 2")
        self.ops, self.cells, self.none = len(space.ops), space.cells, space.roles.get("none", -1)
        self.sibling_mask, self.readout = sibling_mask, readout
        self.kinds, self.sizes = max(columns, self.ops * space.cells), max(columns, space.max_nodes + 1)
        self.embed = nn.Linear(self.kinds, dim, bias=False)
        self.size = nn.Linear(self.sizes, dim, bias=False) if depth_token else None
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.empty(dim), std=0.02))
        self.norm_in, self.norm_out = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.layers = nn.ModuleList(Layer(dim, hidden, dropout) for _ in range(layers))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The size and form of the released training scripts."""
        return {"dim": 160, "layers": 12, "hidden": 640, "dropout": 0.1, "columns": 32, "sibling_mask": "released"}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Squared error, differences, agreement of two passes with dropout, averaged weights."""
        return {
            "loss": "mse",
            "labels": "unit",
            "difference": 0.2,
            "consistency": 1.0,
            "ema": 0.99,
            "optimizer": "adamw",
            "lr": 1e-4,
            "weight_decay": 0.01,
            "epochs": 3000,
            "batch": 128,
            "warmup": 300,
            "schedule": "cosine",
            "schedule_per": "step",
            "head": "linear",
        }

    @staticmethod
    def twins(graphs: Graphs) -> Graphs:
        """The same architectures: the two views of the consistency loss differ in what dropout takes."""
        return graphs

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim], or [B, cells * dim] for the mean."""
        dtype = self.embed.weight.dtype
        parts = [
            self.token.expand(*graphs.ops.shape[:-1], 1, -1),
            self.embed(one_hot(graphs.ops + self.ops * graphs.cell, self.kinds).to(dtype)),
        ]
        if self.size is not None:
            count = (graphs.mask & (graphs.ops != self.none)).sum(-1, keepdim=True)
            parts.append(self.size(one_hot(count, self.sizes).to(dtype)))
        x = self.norm_in(torch.cat(parts, -2))
        behind = len(parts) - 2
        allowed = self._allowed(graphs, behind)
        links = pad(graphs.adj, (1, behind, 1, behind)).to(dtype)
        for layer in self.layers:
            x = layer(x, allowed, links)
        x = self.norm_out(x)
        return (
            x[..., 0, :] if self.readout == "class" else mean_pool(x[..., 1 : 1 + graphs.nodes, :], graphs, self.cells)
        )

    def _allowed(self, graphs: Graphs, behind: int) -> Tensor:
        """bool [B, 4, L, L]: who may look at whom, by head; `behind` tokens stand behind the nodes."""
        adj, itself = graphs.adj, torch.eye(graphs.nodes, dtype=torch.bool, device=graphs.device)
        near = torch.stack([adj, adj.transpose(-1, -2)], -3)
        if self.sibling_mask == "intended":
            siblings = graphs.derive("nn-former/siblings", _siblings)
        else:
            siblings = torch.ones_like(near)
        among = pad(torch.cat([near, siblings], -3) | itself, (1, behind, 1, behind), value=True)
        return among & pad(graphs.mask, (1, behind), value=True)[..., None, None, :]


class Layer(nn.Module):
    """x + attention(LN(x)), then x + feed-forward(LN(x)) with a graph convolution of the neighbours in its hidden
    layer."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention, self.norm_feed = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, RELATIONS, bias=False, dropout=dropout)
        self.wide, self.around = nn.Linear(dim, hidden, bias=False), nn.Linear(dim, hidden, bias=False)
        self.narrow = nn.Linear(hidden, dim, bias=False)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, allowed: Tensor, links: Tensor) -> Tensor:
        """x [B, L, dim], allowed bool [B, 4, L, L], links float [B, L, L] (row: sender) -> [B, L, dim]."""
        x = x + self.drop(self.attention(self.norm_attention(x), allowed))
        y = self.norm_feed(x)
        ahead, back = self.around(y).chunk(2, -1)
        hidden = self.wide(y) + torch.cat([links @ ahead, links.transpose(-1, -2) @ back], -1)
        return x + self.drop(self.narrow(self.drop(torch.relu(hidden))))


def _siblings(graphs: Graphs) -> Tensor:
    """bool [B, 2, V, V]: pairs with a common predecessor, and pairs with a common successor."""
    adj = graphs.adj.float()
    return torch.stack([adj.transpose(-1, -2) @ adj, adj @ adj.transpose(-1, -2)], -3) > 0
