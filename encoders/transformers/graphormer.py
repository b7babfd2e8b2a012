"""Graphormer: a transformer that knows the graph by degrees and by biases on attention for every distance."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.flow.flowerformer import FlowerFormer
from archrank.encoders.layers.distances import distance_types
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.layers.transformer import SelfAttention
from archrank.encoders.registry import encoder


@encoder("graphormer", family="graph transformer")
class Graphormer(nn.Module):
    """Pre-norm transformer over nodes whose attention is biased by the length of the shortest path from one to the
    other.

    Source: Ying et al., "Do Transformers Really Perform Badly for Graph Representation?", NeurIPS 2021, version 1 as
    GraphGPS ports it (rampasek/GraphGPS, 2801570); a baseline of FlowerFormer (Hwang et al., CVPR 2024). A node starts
    as the embedding of its operation plus those of its numbers of predecessors and successors. Paths follow the edges:
    a node tells its descendants apart by distance, while ancestors and unrelated nodes share one bias. Edges have no
    types in architectures, so the paths' edge encoding is left out. Sees operations and edges; invariant to the order
    of nodes.

    Shapes: graphs [B, V] -> [B, dim] (the graph token), or [B, cells * dim] (`readout=mean`). In two-cell spaces each
    cell has operations of its own. Parameters with the linear head on NAS-Bench-101: 481,537 at the source's size for
    molecules (dim 80, 12 layers, 8 heads), 246,249 with the 6 layers and 4 heads of FlowerFormer's configuration. The
    default is smaller for training on two cores.

    dim: of nodes, a multiple of heads; hidden layers are as wide. layers, heads: their numbers. dropout: on node
    embeddings, attention weights and hidden layers. distances: longer paths count as the longest of so many lengths (0,
    1, ...). degrees: higher ones likewise.
    readout: a token that looks at all nodes with a bias of its own, or the mean over nodes (there is no token then).

    Departures: none in the network. The baseline's training is not published; `paper` is FlowerFormer's training for
    the space and the network of its configuration file.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
        distances: int = 20,
        degrees: int = 64,
        readout: Literal["token", "mean"] = "token",
    ) -> None:
        super().__init__()
        self.ops, self.cells = len(space.ops), space.cells
        self.heads, self.distances, self.degrees = heads, distances, degrees
        self.embed = nn.Parameter(torch.randn(self.ops * space.cells, dim))
        self.incoming, self.outgoing = (nn.Parameter(torch.randn(degrees, dim)) for _ in range(2))
        self.spatial = nn.Parameter(torch.randn(distances + 1, heads))
        self.token = nn.Parameter(torch.randn(dim)) if readout == "token" else None
        self.token_bias = nn.Parameter(torch.randn(heads)) if readout == "token" else None
        self.drop = Dropout(dropout)
        self.layers = nn.ModuleList(Layer(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The network of FlowerFormer's configuration file."""
        return {"dim": 80, "layers": 6, "heads": 4}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """FlowerFormer's training."""
        return FlowerFormer.paper_recipe(space)

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim], or [B, cells * dim] for the mean."""
        x = self._passed(graphs)
        return mean_pool(x, graphs, self.cells) if self.token is None else x[..., 0, :]

    def states(self, graphs: Graphs) -> Tensor:
        """State of every node [B, V, dim], for pretexts that ask about nodes."""
        x = self._passed(graphs)
        return x if self.token is None else x[..., 1:, :]

    def _passed(self, graphs: Graphs) -> Tensor:
        dtype, mask = self.embed.dtype, graphs.mask
        x = self._onehot(graphs.ops + self.ops * graphs.cell, len(self.embed), dtype) @ self.embed
        for count, table in ((graphs.in_degree, self.incoming), (graphs.out_degree, self.outgoing)):
            x = x + self._onehot(count.clamp(max=self.degrees - 1), self.degrees, dtype) @ table
        types = graphs.derive(f"graphormer/distances-{self.distances}", lambda own: distance_types(own, self.distances))
        bias = nn.functional.embedding(types.long(), self.spatial).movedim(-1, -3)
        if self.token is not None and self.token_bias is not None:
            x = torch.cat([self.token.expand(*x.shape[:-2], 1, -1), x], -2)
            mask = nn.functional.pad(mask, (1, 0), value=True)
            # The token's row and column, itself included.
            first = torch.arange(x.shape[-2], device=x.device) == 0
            bias = torch.where(
                first[:, None] | first, self.token_bias[:, None, None], nn.functional.pad(bias, (1, 0, 1, 0))
            )
        x = self.drop(x)
        for layer in self.layers:
            x = layer(x, mask[..., None, None, :], bias)
        return self.norm(x)

    @staticmethod
    def _onehot(numbers: Tensor, count: int, dtype: torch.dtype) -> Tensor:
        return nn.functional.one_hot(numbers, count).to(dtype)


class Layer(nn.Module):
    """x + attention(LN(x)), then x + W2 GELU(W1 LN(x)), all as wide as x."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention, self.norm_feed = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads, dropout=dropout).start_as_torch()
        self.wide, self.narrow = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, allowed: Tensor, bias: Tensor) -> Tensor:
        """x [B, L, dim], allowed bool [B, 1, 1, L], bias [B, heads, L, L] -> [B, L, dim]."""
        x = x + self.attention(self.norm_attention(x), allowed, offset=bias)
        return x + self.narrow(self.drop(nn.functional.gelu(self.wide(self.norm_feed(x)))))
