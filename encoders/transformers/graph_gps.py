"""GraphGPS: message passing along edges and attention between all nodes, side by side in every layer."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.flow.flowerformer import FlowerFormer
from archrank.encoders.gnn.gated_gcn import Layer as GatedLayer
from archrank.encoders.layers.edges import Edges, Lists, Slots, slots, slots_at
from archrank.encoders.layers.norm import MaskedBatchNorm
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.layers.transformer import SelfAttention
from archrank.encoders.registry import encoder


@encoder("graph_gps", family="graph transformer")
class GraphGPS(nn.Module):
    """A gated graph convolution plus attention over all nodes, each normalised, then a feed-forward block.

    Source: Rampasek et al., "Recipe for a General, Powerful, Scalable Graph Transformer", NeurIPS 2022
    (rampasek/GraphGPS, 2801570): g = BN(local(h)) + BN(h + attention(h)), h' = BN(g + W2 relu(W1 g)), where local is
    the layer of `gated_gcn` with its own residual. A baseline of FlowerFormer (Hwang et al., CVPR 2024), without
    positional or structural encodings as its configuration has it. Sees operations and edges; invariant to the order of
    nodes.

    Shapes: graphs [B, V] -> [B, cells * dim], the mean over nodes; the nodes of two cells do not look at each other. 13
    d^2 + 22 d parameters a layer (54,656 at dim 64, 857,600 at 256), O d + 2 d for operations and kinds of edges. Where
    a space has room for more than 256 edges, each graph has a list of its own.

    dim: of node and edge states, a multiple of heads. layers, heads: their numbers. dropout: inside the local layer, on
    what attention and feed-forward block add, and inside the latter. attention_dropout: on attention weights.
    directed: messages go along the edges alone, as in the source where no reversals are added; by default both ways,
    and which it is, is an edge's first state.
    residual: `original`, or `flowerformer`, whose wrapper adds h once more to what the local layer gives; `paper` is
    this form.

    Departures: none in the layer. The baseline's own size and training are not published; `paper` is FlowerFormer's
    size and training for the space.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 3,
        heads: int = 8,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        directed: bool = False,
        residual: Literal["original", "flowerformer"] = "original",
    ) -> None:
        super().__init__()
        self.ops, self.cells, self.directed = len(space.ops), space.cells, directed
        self.embed = nn.Linear(self.ops, dim, bias=False)
        self.kinds = nn.Parameter(torch.randn(1 if directed else 2, dim))
        self.layers = nn.ModuleList(
            Layer(dim, heads, dropout, attention_dropout, residual == "flowerformer") for _ in range(layers)
        )
        ends = slots(space)
        self.slots: Tensor | None
        self.at_nodes: Tensor | None
        self.register_buffer("slots", ends, persistent=False)
        self.register_buffer("at_nodes", None if ends is None else slots_at(ends, not directed), persistent=False)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """FlowerFormer's size, edges in one direction, its residual."""
        return {**FlowerFormer.paper_config(space), "directed": True, "residual": "flowerformer"}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """FlowerFormer's training."""
        return FlowerFormer.paper_recipe(space)

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        return mean_pool(self.states(graphs), graphs, self.cells)

    def states(self, graphs: Graphs) -> Tensor:
        """State of every node [B, V, dim], for pretexts that ask about nodes."""
        both_ways, mask = not self.directed, graphs.mask
        if self.slots is None or self.at_nodes is None:
            flow: Edges = Lists(graphs, both_ways)
        else:
            flow = Slots(graphs, self.slots, self.at_nodes, both_ways)
        e = self.kinds.repeat_interleave(flow.there.shape[-1] // len(self.kinds), -2)
        allowed = mask[..., None, :]
        if self.cells > 1:
            allowed = allowed & (graphs.cell[..., :, None] == graphs.cell[..., None, :])
        x = self.embed(nn.functional.one_hot(graphs.ops, self.ops).to(self.embed.weight.dtype))
        for number, layer in enumerate(self.layers, 1):
            x, e = layer(x, e, flow, allowed.unsqueeze(-3), number == len(self.layers))
        return x


class Layer(nn.Module):
    """One layer: local and global part on the same input, added, then the feed-forward block."""

    def __init__(self, dim: int, heads: int, dropout: float, attention_dropout: float, twice: bool) -> None:
        super().__init__()
        self.twice = twice
        self.local = GatedLayer(dim, dropout)
        self.attention = SelfAttention(dim, heads, dropout=attention_dropout).start_as_torch()
        self.norm_local, self.norm_attention, self.norm_out = (MaskedBatchNorm(dim) for _ in range(3))
        self.wide, self.narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, e: Tensor, flow: Edges, allowed: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        """Node states [B, V, dim] and edge states [.., E, dim] -> both anew; `allowed` bool [B, 1, V or 1, V]; the
        `last` layer leaves edges be."""
        local, e = self.local(x, e, flow, None, last)
        heard = x + self.drop(self.attention(x, allowed))
        both = self.norm_local(x + local if self.twice else local, flow.mask) + self.norm_attention(heard, flow.mask)
        fed = both + self.drop(self.narrow(self.drop(torch.relu(self.wide(both)))))
        return self.norm_out(fed, flow.mask), e
