"""The graph networks as a user of torch-geometric writes them: flat batches, the library's layers, nothing of
archrank's.

Each takes its weights from archrank's network of the same kind, so that both can be compared number for number. What
depends on a graph alone (self-loops, reversals, weights of edges) is put into the graph's `Data` once, which is the
best a user can do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, GINConv, MessagePassing, global_mean_pool
from torch_geometric.utils import add_self_loops, scatter

from archrank.datasets.errors import ArchrankError
from archrank.encoders.gnn.gated_gcn import EPSILON, GatedGCN
from archrank.encoders.gnn.gcn import NeuralPredictorGCN
from archrank.encoders.gnn.gin import GIN

Transform = Callable[[Data], Data]


class PygGCN(nn.Module):
    """The neural predictor: two `GCNConv` with given edge weights a layer, one along the edges and one against them."""

    def __init__(self, ours: NeuralPredictorGCN) -> None:
        super().__init__()
        _refuse(ours.filler is not None, "gcn[faithful=true]")
        self.along, self.against, self.drops = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        layers: Any = ours.layers
        for layer in layers:
            for group, weight in ((self.along, layer.along), (self.against, layer.against)):
                conv = GCNConv(*weight.shape, normalize=False, add_self_loops=False, bias=False)
                conv.lin.weight.data.copy_(weight.detach().T)
                group.append(conv)
            self.drops.append(nn.Dropout(layer.drop.p))

    @staticmethod
    def transform(data: Data) -> Data:
        """Self-loops, and the weights of edges: rows of the adjacency sum to one, then rows of its transpose."""
        data.edge_index = add_self_loops(data.edge_index, num_nodes=data.num_nodes)[0]
        source, target = data.edge_index
        data.along = 1 / scatter(torch.ones(len(source)), source, 0, data.num_nodes, "sum")[source]
        data.against = data.along / scatter(data.along, target, 0, data.num_nodes, "sum")[target]
        return data

    def forward(self, data: Any) -> Tensor:
        """[B, dim]."""
        x, back = data.x, data.edge_index.flip(0)
        for along, against, drop in zip(self.along, self.against, self.drops):
            x = drop(
                (torch.relu(along(x, back, data.along)) + torch.relu(against(x, data.edge_index, data.against))) / 2
            )
        return global_mean_pool(x, data.batch)


class PygGIN(nn.Module):
    """`GINConv`, batch normalisation, and the outputs of all layers side by side."""

    def __init__(self, ours: GIN) -> None:
        super().__init__()
        self.transform: Transform = _as_it_is if ours.directed else _both_ways
        self.embed = nn.Linear(ours.ops, ours.embed.out_features, bias=False)
        self.embed.load_state_dict(ours.embed.state_dict())
        self.convs, self.norms, self.drops = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        layers: Any = ours.layers
        for layer in layers:
            conv = GINConv(
                nn.Sequential(linear(layer.wide), nn.ReLU(), linear(layer.narrow)), train_eps=layer.eps.requires_grad
            )
            # Only now: the library's constructor draws the weights of what it is given anew.
            conv.nn[0].load_state_dict(layer.wide.state_dict())
            conv.nn[2].load_state_dict(layer.narrow.state_dict())
            conv.eps.data.copy_(layer.eps.detach())
            self.convs.append(conv)
            self.norms.append(nn.Identity() if layer.norm is None else norm(layer.norm))
            self.drops.append(nn.Dropout(layer.drop.p))

    def forward(self, data: Any) -> Tensor:
        """[B, layers * dim]."""
        x = self.embed(data.x)
        layer_states = []
        for conv, normed, drop in zip(self.convs, self.norms, self.drops):
            x = drop(torch.relu(normed(conv(x, data.edge_index))))
            layer_states.append(x)
        return global_mean_pool(torch.cat(layer_states, -1), data.batch)


class GatedConv(MessagePassing):  # type: ignore[misc]  # the library is untyped
    """Residual gated graph convolution with edge states (Bresson and Laurent 2017)."""

    def __init__(self, layer: Any) -> None:
        super().__init__(aggr="add")
        self.A, self.B, self.C, self.D, self.E = (linear(getattr(layer, letter)) for letter in "ABCDE")
        self.norm_node, self.norm_edge = norm(layer.norm_node), norm(layer.norm_edge)
        self.drop_node, self.drop_edge = nn.Dropout(layer.drop_node.p), nn.Dropout(layer.drop_edge.p)

    def forward(self, x: Tensor, e: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        """Node states [n, d] and edge states [E, d] -> both anew."""
        raw = self.edge_updater(edge_index, to=self.D(x), come=self.E(x), state=self.C(e))
        total, weight = self.propagate(edge_index, x=self.B(x), gate=torch.sigmoid(raw)).chunk(2, -1)
        fresh = self.A(x) + total / (weight + EPSILON)
        return x + self.drop_node(torch.relu(self.norm_node(fresh))), e + self.drop_edge(
            torch.relu(self.norm_edge(raw))
        )

    def edge_update(self, to_i: Tensor, come_j: Tensor, state: Tensor) -> Tensor:
        """Edge states before normalisation [E, d]."""
        return to_i + come_j + state

    def message(self, x_j: Tensor, gate: Tensor) -> Tensor:
        """Gated sender and, beside it, the gate, which is summed as well: [E, 2 d]."""
        return torch.cat([gate * x_j, gate], -1)


class PygGatedGCN(nn.Module):
    """Gated graph convolutions over edges in both directions, each kind with a first state of its own."""

    def __init__(self, ours: GatedGCN) -> None:
        super().__init__()
        self.transform: Transform = _as_it_is if ours.directed else _both_ways
        self.embed = nn.Linear(ours.ops, ours.embed.out_features, bias=False)
        self.embed.load_state_dict(ours.embed.state_dict())
        self.kinds = nn.Embedding.from_pretrained(ours.kinds.detach().clone(), freeze=False)
        self.layers = nn.ModuleList(GatedConv(layer) for layer in ours.layers)

    def forward(self, data: Any) -> Tensor:
        """[B, dim]."""
        x, e = self.embed(data.x), self.kinds(data.kind)
        for layer in self.layers:
            x, e = layer(x, e, data.edge_index)
        return global_mean_pool(x, data.batch)


def _as_it_is(data: Data) -> Data:
    data.kind = torch.zeros(data.num_edges, dtype=torch.long)
    return data


def _both_ways(data: Data) -> Data:
    data.kind = torch.arange(2).repeat_interleave(data.num_edges)
    data.edge_index = torch.cat([data.edge_index, data.edge_index.flip(0)], 1)
    return data


def linear(ours: nn.Linear) -> nn.Linear:
    """The same map with weights of its own."""
    own = nn.Linear(ours.in_features, ours.out_features, ours.bias is not None)
    own.load_state_dict(ours.state_dict())
    return own


def norm(ours: Any) -> nn.BatchNorm1d:
    """The library's batch normalisation with the state of a `MaskedBatchNorm`."""
    own = nn.BatchNorm1d(len(ours.weight), eps=ours.eps, momentum=ours.momentum)
    own.load_state_dict(ours.state_dict(), strict=False)
    return own


def _refuse(wrong: bool, what: str) -> None:
    if wrong:
        raise ArchrankError(f"{what} has no torch-geometric form")
