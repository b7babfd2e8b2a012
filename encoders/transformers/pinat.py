"""PINAT: TNASP's transformer with permutation-invariant functions of a node's predecessors beside tokens and heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.laplacian import LaplacianTokens, Tokens
from archrank.encoders.layers.pine import PineBlock
from archrank.encoders.layers.transformer import PostNormBlock
from archrank.encoders.registry import encoder

EMBEDDING_HEADS = 6


@encoder("pinat", family="graph transformer")
class PINAT(nn.Module):
    """TNASP's tokens plus a permutation-invariant embedding (PITE); half of every layer's heads are such functions too
    (PISA).

    Source: Lu et al., "PINAT: A Permutation INvariance Augmented Transformer for NAS Predictor", AAAI 2023, and its
    code (ShunLu91/PINAT, 741eb10). See `archrank.encoders.layers.pine` for the function. Sees operations, edges and,
    through the Laplacian, the order of nodes.

    Shapes: graphs [B, V] -> [B, cells * dim], the mean over the nodes of each cell; two cells form one sequence, told
    apart by the places of their nodes. Parameters with the published head (dim -> 96 -> 1, no bias, no activation) and
    `faithful`: 553,840 on NAS-Bench-101, 553,750 on NAS-Bench-201.

    dim: of tokens. layers, hidden: of the transformer. heads, width: of self-attention, and of one head. pine_heads,
    pine_channels: of the invariant functions; they add pine_heads * width features to what a layer's heads hear.
    dropout: as in TNASP, and on the embedding.
    Loss: `paper` has the published squared error. With a ranking loss over pairs in its place, which the paper reports
    to be worth 0.04 of Kendall's tau on NAS-Bench-101, it is `pinat[faithful=true]` by the recipe
    docs/recipes/pinat_bce.yaml.
    faithful: as in the code, and the form of `paper`. NAS-Bench-201 and its like: operation k of the string stands on
    node k of the four-node skeleton (`none` edges left out), the last two operations on none, and a linear map makes
    six tokens of the four nodes; the sum of the tokens is divided by 4. Elsewhere padding is an operation 0 that is
    looked at and counted in the mean.

    Departures: by default tokens are the nodes of the operation-on-node graph, so that every operation stands where its
    edges are, and padding is left out. The code takes its number of heads for an argument and always has two; here it
    is `heads`. `paper` standardises labels by the training architectures (there by the whole table's mean and
    deviation), and trains on the last partial batch of an epoch, which the code drops.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 80,
        layers: int = 3,
        heads: int = 2,
        width: int = 64,
        hidden: int = 512,
        pine_heads: int = 2,
        pine_channels: int = 16,
        dropout: float = 0.1,
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.tokens = LaplacianTokens(space, dim, faithful)
        self.pine = Beside(self.tokens, self.tokens.kinds, pine_channels, EMBEDDING_HEADS, dim)
        self.drop = Dropout(dropout)
        self.norm = nn.LayerNorm(dim, 1e-6)
        extra = pine_heads * width
        self.layers = nn.ModuleList(
            PostNormBlock(dim, heads, hidden, width=width, dropout=dropout, beside=extra) for _ in range(layers)
        )
        self.pines = nn.ModuleList(Beside(self.tokens, dim, pine_channels, pine_heads, extra) for _ in range(layers))

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size and form."""
        return {
            "dim": 80,
            "layers": 3,
            "heads": 2,
            "width": 64,
            "hidden": 512,
            "pine_heads": 2,
            "pine_channels": 16,
            "dropout": 0.1,
            "faithful": True,
        }

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Squared error, Adam, cosine per epoch, batches of ten, a linear head in two steps."""
        return {
            "loss": "mse",
            "labels": "standard",
            "optimizer": "adam",
            "lr": 1e-4,
            "weight_decay": 1e-3,
            "epochs": 300,
            "batch": 10,
            "schedule": "cosine",
            "schedule_per": "epoch",
            "head": {"hidden": [96], "bias": False, "activation": "none", "dropout": 0.1},
        }

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]; [B, dim] with `faithful`."""
        tokens = self.tokens(graphs)
        near = _near(tokens)
        allowed = tokens.present[..., None, None, :]
        x = self.norm(self.drop(tokens.x) + self.drop(self.pine(tokens.ops, near)))
        for layer, pine in zip(self.layers, self.pines):
            x = layer(x, allowed, pine(x, near))
        return self.tokens.pool(x, graphs)


class Beside(nn.Module):
    """A `PineBlock` on the nodes of the graph, and where these are fewer than the tokens a linear map from the ones to
    the others."""

    def __init__(self, tokens: LaplacianTokens, inputs: int, channels: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.block = PineBlock(inputs, channels, heads, outputs)
        self.spread = nn.Linear(tokens.nodes, tokens.tokens) if tokens.on_edges else None

    def forward(self, x: Tensor, near: Tensor) -> Tensor:
        """x [B, L, inputs], of which the first P are taken for nodes, near [B, P, P] -> [B, L, outputs]."""
        attended: Tensor = self.block(x[..., : near.shape[-1], :], near)
        return attended if self.spread is None else self.spread(attended.transpose(-1, -2)).transpose(-1, -2)


def _near(tokens: Tokens) -> Tensor:
    """float [B, P(receiver), P(sender)]: predecessors and the node itself."""
    loops = torch.eye(tokens.links.shape[-1], dtype=torch.bool, device=tokens.links.device)
    return (tokens.links.transpose(-1, -2) | loops).to(tokens.x.dtype)
