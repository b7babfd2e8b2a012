"""PACE: a transformer over a canonical sequence of the nodes, in which a node attends to its descendants."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.attention import absent
from archrank.encoders.layers.canonical_order import canonical_places
from archrank.encoders.layers.masked_operators import Stack
from archrank.encoders.registry import encoder
from archrank.encoders.transformers.limits import supports_canonical_order


@encoder("pace", family="graph transformer")
class Pace(nn.Module):
    """Operations and canonical places, put through one graph convolution, in a transformer masked to descendants.

    Source: Dong et al., "PACE: A Parallelizable Computation Encoder for Directed Acyclic Graphs", ICML 2022, and its
    code (zehao-dong/PACE, 85f254e, the form for NAS). Nodes are put in a canonical order; the sinusoidal code p of a
    place becomes (A W p + W p) / (out-degree + 1), scaled to length `scale`, and is added to sqrt(dim) times the
    operation's embedding. In the pre-norm blocks a node attends to its descendants, not to itself; one without any, as
    the output, to all nodes alike. The state of the output node is the embedding. Sees operations and edges; invariant
    to the order of nodes where colour refinement can tell them apart.

    Shapes: graphs [B, V] -> [B, cells * dim]; the nodes of two cells do not look at each other. Parameters at the
    published size (dim 64, 3 layers, hidden 64): 80,192 with 5 operations, 80,576 with 11 (the code counts 256 more,
    norms of which nothing is read; and 612,869 or 613,261 of the network that it is pre-trained with).

    dim: of states, a multiple of heads. layers, heads: their numbers. hidden: of the feed-forward part. scale: length
    of place codes. dropout: on embeddings, attention weights, in and after the feed-forward part.
    faithful: as in that code: padding is operation 0 at the last place and its own neighbour, takes part where a node
    has no descendants, and the embedding is the last row, which is padding for small cells; embeddings start at
    sqrt(dim) times unit size. One-cell spaces only.

    Departures: it learns from labels, like the other encoders here; as published it is pre-trained in the way of
    `cate` (`pretext=computation_pairs`) and then frozen. The canonical order is by generation and refined colour,
    for the code's is that of a library (BLISS), recomputed as operations are hidden. No published recipe, for the same
    reason.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 3,
        heads: int = 8,
        hidden: int = 64,
        scale: float = 0.1,
        dropout: float = 0.1,
        faithful: bool = False,
    ) -> None:
        super().__init__()
        if dim % 2 or dim % heads:
            raise ValueError(f"pace: dim {dim} must be even and a multiple of heads {heads}")
        self.dim, self.cells, self.scale, self.faithful = dim, space.cells, scale, faithful
        self.output = space.roles.get("output", -1)
        self.embed = nn.Embedding(len(space.ops), dim)
        if not faithful:
            nn.init.normal_(self.embed.weight, std=1 / math.sqrt(dim))
        self.codes: Tensor
        self.register_buffer("codes", sinusoids(space.max_nodes, dim), persistent=False)
        self.along = nn.Linear(dim, dim, bias=False)
        self.drop = Dropout(dropout)
        self.blocks = Stack(dim, layers, heads, hidden, dropout, unused_norms=False)

    supports = staticmethod(supports_canonical_order)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size: that of the defaults."""
        return {"dim": 64, "layers": 3, "heads": 8, "hidden": 64}

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        states = self.states(graphs)
        if self.faithful:
            return states[..., -1, :]
        # The output stands last, unless something dead stands behind it.
        late = torch.arange(graphs.nodes, device=graphs.device) + graphs.nodes * (graphs.ops == self.output)
        ends = [(late * (graphs.mask & (graphs.cell == cell))).amax(-1) % graphs.nodes for cell in range(self.cells)]
        rows = torch.stack(ends, -1).unsqueeze(-1).expand(*graphs.ops.shape[:-1], self.cells, self.dim)
        return states.gather(-2, rows).flatten(-2)

    def states(self, graphs: Graphs) -> Tensor:
        """State of every node [B, V, dim], for pretexts that ask about nodes."""
        return self.passed(graphs, graphs.derive("pace/places", canonical_places))

    def passed(self, graphs: Graphs, places: Tensor) -> Tensor:
        """The network with the nodes at given places, int64 [B, V]: states [B, V, dim]."""
        ops, offset = graphs.ops * graphs.mask, None
        if not self.faithful:
            seen = (graphs.cell.unsqueeze(-1) == graphs.cell.unsqueeze(-2)) & graphs.mask.unsqueeze(-2)
            offset = absent(seen, self.embed.weight.dtype)
        tokens = self.drop(embedding(ops, self.embed.weight) * math.sqrt(self.dim)) + self.place_codes(graphs, places)
        states: Tensor = self.blocks(tokens, graphs.reach, offset)
        return states

    def place_codes(self, graphs: Graphs, places: Tensor) -> Tensor:
        """Codes of places after the graph convolution, each of length `scale`: [B, V, dim]."""
        codes = self.drop(embedding(places.clamp(max=len(self.codes) - 1), self.codes))
        adj = graphs.adj.to(codes.dtype)
        if self.faithful:
            adj = adj + torch.diag_embed((~graphs.mask).to(codes.dtype))
        sent = self.along(codes)
        return normalize((adj @ sent + sent) / (adj.sum(-1, keepdim=True) + 1), dim=-1) * self.scale


def sinusoids(count: int, dim: int) -> Tensor:
    """Sines and cosines [count, dim] of places 0, 1, ... (Vaswani et al. 2017), side by side for each frequency."""
    angle = torch.arange(count)[:, None] * torch.exp(torch.arange(0, dim, 2) * (-math.log(10000) / dim))
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)
