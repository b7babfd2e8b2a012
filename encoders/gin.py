"""The graph isomorphism network."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers import fgp
from archrank.encoders.layers.messages import Messages, messages
from archrank.encoders.layers.noise import Dropout
from archrank.encoders.layers.norm import MaskedBatchNorm
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.registry import encoder


@encoder("gin", family="GNN")
class GIN(nn.Module):
    """Sum over neighbours through a two-layer perceptron; the outputs of all layers side by side.

    Source: Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019, in the form in which FGP (Kim et al.,
    "Learning to Flow from Generative Pretext Tasks", NeurIPS 2025; kswoo97/LightWeightNAS) uses it as a predictor:
    three layers, jumping concatenation, mean over nodes. Sees operations and edges; invariant to the order of nodes.
    As many architectures as the Weisfeiler-Leman test tells apart can be told apart.

    Shapes: graphs [B, V] -> [B, cells * layers * dim]. Parameters with O operations: O d + L (2 d^2 + 3 d + 1);
    25,603 at the default size (dim 64, 3 layers) on NAS-Bench-201.

    directed: gather along the edges alone, from predecessors; by default from predecessors and successors alike, as
    FGP's baselines do.
    backend: `dense` (padded, works in ensembles), or the same network on flat graphs by torch-geometric (`pyg`) or
    DGL (`dgl`), with the same parameters.
    faithful: without batch normalisation, which FGP's code builds and never calls.

    Departures: the size, rate and epochs of `paper` are those FGP gives for its GNN baselines; its loss is not
    stated, so the pairwise hinge of FlowerFormer, with which it compares, stands in.
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
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.ops, self.cells, self.directed, self.backend = len(space.ops), space.cells, directed, backend
        self.embed = nn.Linear(self.ops, dim, bias=False)
        self.layers = nn.ModuleList(Layer(dim, dropout, not faithful) for _ in range(layers))

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The size FGP gives for its GNN baselines."""
        return fgp.config(space)

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """FGP's training of its GNN baselines, with a two-layer head."""
        return fgp.recipe(space)

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * layers * dim]."""
        if self.backend != "dense":
            return self._flat(messages(self.backend, graphs))
        dtype = self.embed.weight.dtype
        near = graphs.derive(f"gin/near-{self.directed}", _predecessors if self.directed else _neighbours).to(dtype)
        x = self.embed(nn.functional.one_hot(graphs.ops, self.ops).to(dtype))
        found = []
        for layer in self.layers:
            x = layer(x, near @ x, graphs.mask)
            found.append(x)
        return mean_pool(torch.cat(found, -1), graphs, self.cells)

    def _flat(self, graph: Messages) -> Tensor:
        dtype = self.embed.weight.dtype
        around = graph if self.directed else graph.both_ways()[0]
        x = self.embed(nn.functional.one_hot(graph.ops, self.ops).to(dtype))
        one = around.pair(x[:, :1], x[:, :1]).detach() * 0 + 1
        found = []
        for layer in self.layers:
            x = layer(x, around.sum_in(x, one), None)
            found.append(x)
        return graph.mean_pool(torch.cat(found, -1), self.cells)


class Layer(nn.Module):
    """ReLU(BN(MLP((1 + eps) x + sum of neighbours)))."""

    def __init__(self, dim: int, dropout: float, norm: bool) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(1))
        # A norm would take any bias before it out again.
        self.wide, self.narrow = nn.Linear(dim, dim), nn.Linear(dim, dim, bias=not norm)
        self.norm = MaskedBatchNorm(dim) if norm else None
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, around: Tensor, mask: Tensor | None) -> Tensor:
        """x and the sum over its neighbours [..., dim], mask bool [...] of real nodes -> [..., dim]."""
        x = self.narrow(torch.relu(self.wide((1 + self.eps) * x + around)))
        if self.norm is not None:
            x = self.norm(x, mask)
        return self.drop(torch.relu(x))


def _predecessors(graphs: Graphs) -> Tensor:
    """float [B, V(receiver), V(sender)]."""
    return graphs.adj.transpose(-1, -2).float()


def _neighbours(graphs: Graphs) -> Tensor:
    """float [B, V, V]: linked in either direction."""
    return (graphs.adj | graphs.adj.transpose(-1, -2)).float()
