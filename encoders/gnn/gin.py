"""The graph isomorphism network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers import fgp
from archrank.encoders.layers.messages import Messages, messages
from archrank.encoders.layers.norm import MaskedBatchNorm
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.registry import encoder


@encoder("gin", family="GNN")
class GIN(nn.Module):
    """Sum over neighbours through a two-layer perceptron; the outputs of all layers side by side.

    Source: Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019, in the form in which FGP (Kim et al.,
    "Learning to Flow from Generative Pretext Tasks", NeurIPS 2025; kswoo97/LightWeightNAS) uses it as a predictor:
    three layers, jumping concatenation, mean over nodes. Sees operations and edges; invariant to the order of nodes.
    By default the directions of edges are invisible, so that cells which differ in them alone are one: 1,472 of the
    6,032 cells of digits101 share their embedding with another (1,685 with `faithful`, where a node cannot be told from
    its neighbours either; 14 with `directed`).

    Shapes: graphs [B, V] -> [B, cells * layers * dim]. Parameters with O operations: O d + L (2 d^2 + 3 d + 1);
    25,603 at the default size (dim 64, 3 layers) on NAS-Bench-201.

    directed: gather along the edges alone, from predecessors; by default from predecessors and successors alike, as
    FGP's baselines do.
    backend: `dense` (padded, works in ensembles), or the same network on flat graphs by torch-geometric (`pyg`) or
    DGL (`dgl`), with the same parameters.
    faithful: without batch normalisation, which FGP's code builds and never calls, and with epsilon fixed at 0, which
    it never trains. `paper` is this form.

    Departures: operations are embedded by a linear map before the first layer, whose perceptron reads them directly in
    FGP's code. By default layers are normalised and epsilon is trained. `paper` keeps the weights of the last epoch
    (FGP: of the best on 40 validation labels that no budget counts).
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
        self.invariant = True
        self.ops, self.cells, self.directed, self.backend = len(space.ops), space.cells, directed, backend
        self.embed = nn.Linear(self.ops, dim, bias=False)
        self.layers = nn.ModuleList(Layer(dim, dropout, faithful) for _ in range(layers))

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The size FGP gives for its GNN baselines, in its form."""
        return {**fgp.config(space), "faithful": True}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """FGP's training of its GNN baselines, with a two-layer head."""
        return fgp.recipe(space)

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * layers * dim]."""
        if self.backend != "dense":
            return self._flat(messages(self.backend, graphs))
        return mean_pool(self.states(graphs), graphs, self.cells)

    def states(self, graphs: Graphs) -> Tensor:
        """State of every node [B, V, layers * dim], for pretexts that ask about nodes."""
        dtype = self.embed.weight.dtype
        near = graphs.derive(f"gin/near-{self.directed}", _predecessors if self.directed else _neighbours).to(dtype)
        return self._passed(graphs.ops, lambda x: near @ x, graphs.mask)

    def _passed(self, ops: Tensor, gather: Callable[[Tensor], Tensor], mask: Tensor | None) -> Tensor:
        """Node states of all layers side by side, of operations [...]; `gather` sums node features over neighbours."""
        x = nn.functional.one_hot(ops, self.ops).to(self.embed.weight.dtype)
        layers = []
        for number, layer in enumerate(self.layers):
            # Nodes start from their operation alone: what the first map makes of it is computed once per operation.
            x = layer(x, gather(x), mask, self.embed.weight.mT if number == 0 else None)
            layers.append(x)
        return torch.cat(layers, -1)

    def _flat(self, graph: Messages) -> Tensor:
        around = graph if self.directed else graph.both_ways()[0]
        zero = torch.zeros(len(graph.ops), 1, dtype=self.embed.weight.dtype, device=graph.ops.device)
        degree = around.pair(zero, zero) + 1
        return graph.mean_pool(self._passed(graph.ops, lambda x: around.sum_in(x, degree), None), self.cells)


class Layer(nn.Module):
    """ReLU(BN(MLP((1 + eps) x + sum of neighbours)))."""

    def __init__(self, dim: int, dropout: float, faithful: bool) -> None:
        super().__init__()
        self.eps: Tensor
        if faithful:
            self.register_buffer("eps", torch.zeros(1))
        else:
            self.eps = nn.Parameter(torch.zeros(1))
        # A norm would take any bias before it out again.
        self.wide, self.narrow = nn.Linear(dim, dim), nn.Linear(dim, dim, bias=faithful)
        self.norm = None if faithful else MaskedBatchNorm(dim)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, around: Tensor, mask: Tensor | None, kinds: Tensor | None) -> Tensor:
        """x and the sum over its neighbours [..., dim], mask bool [...] of real nodes -> [..., dim].

        kinds: states [O, dim] of kinds of nodes; then x is one-hot [..., O].
        """
        mixed = (1 + self.eps) * x + around
        wide = self.wide(mixed) if kinds is None else mixed @ (kinds @ self.wide.weight.mT) + self.wide.bias
        x = self.narrow(torch.relu(wide))
        return self.drop(torch.relu(x)) if self.norm is None else self.norm.activated(x, mask, self.drop)


def _predecessors(graphs: Graphs) -> Tensor:
    """float [B, V(receiver), V(sender)]."""
    return graphs.adj.transpose(-1, -2).float()


def _neighbours(graphs: Graphs) -> Tensor:
    """float [B, V, V]: linked in either direction."""
    return (graphs.adj | graphs.adj.transpose(-1, -2)).float()
