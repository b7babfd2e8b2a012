"""TNASP: a transformer over operations that are placed by the graph's Laplacian."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.laplacian import LaplacianTokens
from archrank.encoders.layers.transformer import PostNormBlock
from archrank.encoders.registry import encoder


@encoder("tnasp", family="graph transformer")
class TNASP(nn.Module):
    """Post-norm transformer whose tokens are operations plus a linear map of their node's row of the Laplacian.

    Source: Lu et al., "TNASP: A Transformer-based NAS Predictor with a Self-evolution Framework", NeurIPS 2021. It has
    no official code; this is the network of PINAT's (ShunLu91/PINAT, 741eb10) without its own branches, which build on
    it. Sees operations, edges and the order of nodes.

    Shapes: graphs [B, V] -> [B, cells * dim], the mean over the nodes of each cell; two cells form one sequence, told
    apart by the places of their nodes. Parameters with the published head (dim -> 96 -> 1, no bias, no activation) and
    `faithful`: 503,232 on NAS-Bench-101, 503,022 on NAS-Bench-201.

    dim: of tokens. layers, heads, hidden: of the transformer. width: of one head. dropout: on embeddings, attention
    weights and both residual branches.
    faithful: as in that code, and the form of `paper`. NAS-Bench-201 and its like: six tokens, one for each operation,
    placed by a learned mixture of the rows of the four-node skeleton, and their sum divided by 4. Elsewhere padding is
    an operation 0 that is looked at and counted in the mean.

    Departures: by default tokens are the nodes of the operation-on-node graph and padding is left out. Self-evolution
    (training on predictions for a validation set) is a second training, which this leaves out. `paper` standardises
    labels by the training architectures (there by the whole table's mean and deviation), and trains on the last partial
    batch of an epoch, which that code drops.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 80,
        layers: int = 3,
        heads: int = 4,
        width: int = 64,
        hidden: int = 512,
        dropout: float = 0.1,
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.tokens = LaplacianTokens(space, dim, faithful)
        self.drop = Dropout(dropout)
        self.norm = nn.LayerNorm(dim, 1e-6)
        self.layers = nn.ModuleList(
            PostNormBlock(dim, heads, hidden, width=width, dropout=dropout) for _ in range(layers)
        )

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size and form."""
        return {"dim": 80, "layers": 3, "heads": 4, "width": 64, "hidden": 512, "dropout": 0.1, "faithful": True}

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
        allowed = tokens.present[..., None, None, :]
        x = self.norm(self.drop(tokens.x))
        for layer in self.layers:
            x = layer(x, allowed)
        return self.tokens.pool(x, graphs)
