"""The gated graph convolution with edge states."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers import fgp
from archrank.encoders.layers.edges import Edges, Lists, Slots, slots, slots_at
from archrank.encoders.layers.messages import Messages, messages
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

    Departures: none in the layer. The size and training of `paper` are those of FGP's gated baseline (Kim et al.,
    NeurIPS 2025), but that is another network: torch-geometric's ResGatedGraphConv behind a linear map of the input
    x_0, with no states of edges, no normalisation of features or gates, and 0.2 x_0 + 0.8 x in place of the residual.
    Nor is FlowerFormer's GatedGCN this one, which wraps the layer in a second residual. The values published for either
    are no mark for it.
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
        self.invariant = True
        self.ops, self.cells, self.directed, self.backend = len(space.ops), space.cells, directed, backend
        self.embed = nn.Linear(self.ops, dim, bias=False)
        self.kinds = nn.Parameter(torch.randn(1 if directed else 2, dim))
        self.layers = nn.ModuleList(Layer(dim, dropout) for _ in range(layers))
        self.slots: Tensor | None
        self.at_nodes: Tensor | None
        ends = slots(space)
        self.register_buffer("slots", ends, persistent=False)
        self.register_buffer("at_nodes", None if ends is None else slots_at(ends, not directed), persistent=False)

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
        if self.backend != "dense":
            return self._flat(messages(self.backend, graphs))
        return mean_pool(self.states(graphs), graphs, self.cells)

    def states(self, graphs: Graphs) -> Tensor:
        """State of every node [B, V, dim], for pretexts that ask about nodes."""
        if self.slots is None or self.at_nodes is None:
            flow: Edges = Lists(graphs, not self.directed)
        else:
            flow = Slots(graphs, self.slots, self.at_nodes, not self.directed)
        e = self.kinds.repeat_interleave(flow.there.shape[-1] // len(self.kinds), -2)
        return self._passed(graphs.ops, e, flow)

    def _passed(self, ops: Tensor, e: Tensor, flow: Edges | Flat) -> Tensor:
        """Node states after all layers: of operations [...] and first edge states [..., E, dim]."""
        # Nodes start from their operation alone: what the first layer's maps make of it is computed once per operation.
        first = nn.functional.one_hot(ops, self.ops).to(self.embed.weight.dtype)
        x = self.embed.weight.mT
        for number, layer in enumerate(self.layers, 1):
            x, e = layer(x, e, flow, first if number == 1 else None, number == len(self.layers))
        return x

    def _flat(self, graph: Messages) -> Tensor:
        if self.directed:
            return graph.mean_pool(self._passed(graph.ops, self.kinds, Flat(graph)), self.cells)
        around, kind = graph.both_ways()
        return graph.mean_pool(self._passed(graph.ops, self.kinds[kind], Flat(around)), self.cells)


class Flat:
    """The edges of a flat graph of a library; as `Edges` otherwise."""

    mask = there = None

    def __init__(self, graph: Messages) -> None:
        self.graph = graph

    def pair(self, source: Tensor, target: Tensor) -> Tensor:
        """[n, d] twice -> [E, d]."""
        return self.graph.pair(source, target)

    def senders(self, x: Tensor) -> Tensor:
        """[n, d] -> [E, d]."""
        return self.graph.pair(x, torch.zeros_like(x))

    def sum_in(self, values: Tensor) -> Tensor:
        """[E, d] -> [n, d]."""
        return self.graph.gather_in(values)


class Layer(nn.Module):
    """One GatedGCN layer; the five linear maps bear the letters of the source."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.A, self.B, self.C, self.D, self.E = (nn.Linear(dim, dim) for _ in range(5))
        self.norm_node, self.norm_edge = MaskedBatchNorm(dim), MaskedBatchNorm(dim)
        self.drop_node, self.drop_edge = Dropout(dropout), Dropout(dropout)

    def forward(
        self, x: Tensor, e: Tensor, flow: Edges | Flat, kind: Tensor | None, last: bool
    ) -> tuple[Tensor, Tensor]:
        """Node states [..., V, dim] and edge states [..., E, dim] -> both anew; the `last` layer leaves those of edges
        be.

        kind: [..., V, O], one-hot, where x [O, dim] are the states of kinds of nodes.
        """
        spread = (lambda y: y) if kind is None else lambda y: kind @ y
        raw = flow.pair(spread(self.E(x)), spread(self.D(x))) + self.C(e)
        gate = torch.sigmoid(raw)
        total, weight = flow.sum_in(gate * flow.senders(spread(self.B(x)))), flow.sum_in(gate)
        fresh = spread(self.A(x)) + total / (weight + EPSILON)
        x = spread(x) + self.norm_node.activated(fresh, flow.mask, self.drop_node)
        return x, e if last else e + self.norm_edge.activated(raw, flow.there, self.drop_edge)
