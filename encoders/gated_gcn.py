"""The gated graph convolution with edge states."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers import fgp
from archrank.encoders.layers.edges import Edges, Lists, Slots, slots
from archrank.encoders.layers.messages import Messages, messages
from archrank.encoders.layers.noise import Dropout
from archrank.encoders.layers.norm import MaskedBatchNorm
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.registry import encoder

EPSILON = 1e-6


@encoder("gated_gcn", family="GNN")
class GatedGCN(nn.Module):
    """Every edge has a state that gates what passes along it, feature by feature.

    Source: Bresson and Laurent, "Residual Gated Graph ConvNets", 2017, as the layer of GraphGPS (Rampasek et al.,
    NeurIPS 2022;
    rampasek/GraphGPS): from sender j to receiver i, e' = D h_i + E h_j + C e; h' = A h_i + sum_j s B h_j / (sum_j s +
    1e-6) with s = sigmoid(e'); then h + ReLU(BN(h')) and e + ReLU(BN(e')). 5 d^2 + 9 d parameters a layer. Sees
    operations and edges; invariant to the order of nodes.

    Shapes: graphs [B, V] -> [B, dim] (mean over nodes; [B, 2 * dim] in two-cell spaces). Parameters with O
    operations: O d + 2 d (edge kinds) + L (5 d^2 + 9 d); 63,744 at the default size (dim 64, 3 layers) on
    NAS-Bench-201. Graphs of hundreds of nodes fit: where a space has room for
    more than 256 edges, each graph has a list of its own.

    directed: messages go along the edges alone, as in GraphGPS when no reversals are added. By default every edge
    also has a reversal, so that a node hears its successors too (as FGP's baseline); which of the two an edge is, is
    its first state.
    backend: `dense` (padded, works in ensembles), or the same network on flat graphs by torch-geometric (`pyg`) or
    DGL (`dgl`), with the same parameters.

    Departures: none in the layer. The size and training of `paper` are FGP's for this baseline (Kim et al., NeurIPS
    2025); its loss is not stated, so the pairwise hinge of FlowerFormer stands in. FlowerFormer's own GatedGCN
    baseline wraps the layer in a second residual and is not this one.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 3,
        dropout: float = 0.0,
        directed: bool = False,
        backend: Literal["dense", "pyg", "dgl"] = "dense",
    ) -> None:
        super().__init__()
        self.ops, self.cells, self.directed, self.backend = len(space.ops), space.cells, directed, backend
        self.embed = nn.Linear(self.ops, dim, bias=False)
        self.kinds = nn.Parameter(torch.randn(1 if directed else 2, dim))
        self.layers = nn.ModuleList(Layer(dim, dropout) for _ in range(layers))
        self.slots = slots(space)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The size FGP gives for this baseline."""
        return fgp.config(space)

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """FGP's training of this baseline, with a two-layer head."""
        return fgp.recipe(space)

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        dtype = self.embed.weight.dtype
        if self.backend != "dense":
            return self._flat(messages(self.backend, graphs), dtype)
        edges = Lists(graphs) if self.slots is None else Slots(graphs, self.slots.to(graphs.device))
        flow = Padded(edges, self.directed)
        x = self.embed(nn.functional.one_hot(graphs.ops, self.ops).to(dtype))
        count = edges.there.shape[-1]
        e = self.kinds.unsqueeze(-2).expand(-1, count, -1).flatten(0, 1).expand(*edges.there.shape[:-1], -1, -1)
        for layer in self.layers:
            x, e = layer(x, e, flow)
        return mean_pool(x, graphs, self.cells)

    def _flat(self, graph: Messages, dtype: torch.dtype) -> Tensor:
        x = self.embed(nn.functional.one_hot(graph.ops, self.ops).to(dtype))
        if self.directed:
            around = graph
            e = around.pair(0 * x, 0 * x) + self.kinds
        else:
            around, kind = graph.both_ways()
            e = self.kinds[kind]
        for layer in self.layers:
            x, e = layer(x, e, Flat(around))
        return graph.mean_pool(x, self.cells)


class Padded:
    """Edges of padded graphs, and behind them, unless directed, their reversals."""

    def __init__(self, edges: Edges, directed: bool) -> None:
        self.edges, self.directed, self.mask = edges, directed, edges.mask
        self.there = edges.there if directed else torch.cat([edges.there, edges.there], -1)

    def pair(self, source: Tensor, target: Tensor) -> Tensor:
        """[B, V, d] twice -> [B, E, d]: of an edge's source plus of its target."""
        along = self.edges.take(source, 0) + self.edges.take(target, 1)
        if self.directed:
            return along
        return torch.cat([along, self.edges.take(source, 1) + self.edges.take(target, 0)], -2)

    def gated(self, x: Tensor, gate: Tensor) -> Tensor:
        """Mean over a node's senders of x [B, V, d] weighted by gate [B, E, d]: [B, V, d]."""
        parts = [gate] if self.directed else gate.chunk(2, -2)
        real = self.edges.there.to(gate.dtype).unsqueeze(-1)
        both: Tensor | float = 0.0
        for sender, part in enumerate(parts):
            part = part * real
            both = both + self.edges.put(torch.cat([part * self.edges.take(x, sender), part], -1), 1 - sender)
        assert isinstance(both, Tensor)
        total, weight = both.chunk(2, -1)
        return total / (weight + EPSILON)


class Flat:
    """The same on a flat graph of a library."""

    mask = there = None

    def __init__(self, graph: Messages) -> None:
        self.graph = graph

    def pair(self, source: Tensor, target: Tensor) -> Tensor:
        """[n, d] twice -> [E, d]."""
        return self.graph.pair(source, target)

    def gated(self, x: Tensor, gate: Tensor) -> Tensor:
        """[n, d] from x [n, d] and gate [E, d]."""
        return self.graph.sum_in(x, gate) / (self.graph.gather_in(gate) + EPSILON)


class Layer(nn.Module):
    """One GatedGCN layer; the five linear maps bear the letters of the source."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.A, self.B, self.C, self.D, self.E = (nn.Linear(dim, dim) for _ in range(5))
        self.norm_node, self.norm_edge = MaskedBatchNorm(dim), MaskedBatchNorm(dim)
        self.drop_node, self.drop_edge = Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor, e: Tensor, flow: Padded | Flat) -> tuple[Tensor, Tensor]:
        """Node states [..., V, dim] and edge states [..., E, dim] -> both anew."""
        raw = flow.pair(self.E(x), self.D(x)) + self.C(e)
        fresh = self.A(x) + flow.gated(self.B(x), torch.sigmoid(raw))
        x = x + self.drop_node(torch.relu(self.norm_node(fresh, flow.mask)))
        return x, e + self.drop_edge(torch.relu(self.norm_edge(raw, flow.there)))
