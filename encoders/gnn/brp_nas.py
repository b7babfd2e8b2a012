"""BRP-NAS: a graph convolution with a global node, as a regressor and as a comparator of pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archrank.datasets.canonical import roles_of
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.dataflow import dataflow
from archrank.encoders.registry import encoder

RECIPE: dict[str, Any] = {
    "labels": "unit",
    "optimizer": "adamw",
    "lr": 3.5e-4,
    "weight_decay": 5e-4,
    "epochs": 250,
    "batch": 64,
    "schedule": "cosine",
    "schedule_per": "epoch",
    "head": "linear",
}


@encoder("brp_nas", family="GNN")
class BRPNAS(nn.Module):
    """Graph convolution in which every node adds up its successors and one global node adds up all; the global node is
    the embedding.

    Source: Dudziak et al., "BRP-NAS: Prediction-based NAS using GCNs", NeurIPS 2020 (SamsungLabs/eagle, c5cbe76). A
    layer is ReLU(LN(A h W + b)) with A the adjacency with self-loops and the global node's row of ones, not
    normalised. Operations that pass no data are taken out first, and identities and sums contracted (parallel edges
    fall together). Sees operations and edges; invariant to the order of nodes.

    Shapes: graphs [B, V] -> [B, cells * dim], one global node per cell. Parameters of the published size (dim 600, 4
    layers) with a linear head on
    NAS-Bench-201: 1,091,401. The default (dim 64) trains in minutes on two cores.

    faithful: nodes that were taken out stay as nodes without features, and smaller cells are filled up with nodes
    called `none`: they have no edges, but the global node reads them, so that it also counts them.

    Departures: last-epoch weights are used instead of an early stop on
    validation labels that no budget counts. (The official best weights are kept by reference, and so are the last
    ones too.)
    """

    def __init__(
        self, space: SearchSpace, *, dim: int = 64, layers: int = 4, dropout: float = 0.2, faithful: bool = False
    ) -> None:
        super().__init__()
        self.body = Body(space, dim, layers, dropout, faithful)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size."""
        return {"dim": 600, "layers": 4, "dropout": 0.2}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """AdamW with a cosine per epoch, on accuracies between 0 and 1."""
        return {"loss": "l1", **RECIPE}

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        return self.body(graphs)


@encoder("brp_nas_relation", family="GNN")
class BRPNASRelation(nn.Module):
    """BRP-NAS's binary relation predictor: which of two architectures is better, ranked by Borda count.

    Source and network as `brp_nas`; two embeddings side by side go through one linear map to two logits. Trained on
    the pairs of a batch by the divergence from the softmax of their two labels. Since the map is linear in the pair,
    log-odds are a sum of two terms, and all pairs of N architectures cost N products.

    Shapes: graphs [B, V] -> [B, cells * dim]. Parameters of the published size: 1,093,202 on NAS-Bench-201, 1,093,802
    on NAS-Bench-101.

    Options as in `brp_nas`.

    Departures: pairs are those of a batch of architectures rather than batches of pairs, and ranking is by Borda count
    (of how many test architectures each one is expected to be better) rather than by sorting with a comparison that is
    not transitive. With accuracies between 0 and 1 the two targets are nearly (0.5, 0.5), as published. The official
    code steps through all n (n - 1) ordered pairs of n architectures, 64 at a time, so that an epoch of it has about n
    times as many steps as one of `paper`: at 100 labels 38,750 steps (fewer where it stops early) on 64 pairs each,
    against 500 on all pairs of up to 64 architectures.
    """

    def __init__(
        self, space: SearchSpace, *, dim: int = 64, layers: int = 4, dropout: float = 0.2, faithful: bool = False
    ) -> None:
        super().__init__()
        self.body = Body(space, dim, layers, dropout, faithful)
        self.better = nn.Linear(2 * space.cells * dim, 2)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size."""
        return {"dim": 600, "layers": 4, "dropout": 0.2}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """As `brp_nas`, on pairs."""
        return {"loss": "relation", **RECIPE}

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        return self.body(graphs)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Log-odds [...] that `a` is better than `b`, embeddings [..., cells * dim] that broadcast."""
        first, second = (self.better.weight[0] - self.better.weight[1]).chunk(2, -1)
        return a @ first + b @ second + (self.better.bias[0] - self.better.bias[1])


class Body(nn.Module):
    """The convolutions over nodes and global nodes."""

    def __init__(self, space: SearchSpace, dim: int, layers: int, dropout: float, faithful: bool) -> None:
        super().__init__()
        self.space, self.cells, self.faithful = space, space.cells, faithful
        roles = roles_of(space)
        ops = [op for op in range(len(space.ops)) if op not in {*roles.nones, *roles.skips, *roles.sums}]
        # A space that has `none` as an operation, or cells of fixed shape, is not filled up.
        self.fills = faithful and space.cells == 1 and not roles.nones
        self.size = space.max_nodes
        self.number = torch.zeros(len(space.ops), dtype=torch.long)
        self.number[ops] = torch.arange(len(ops))
        self.features = len(ops) + self.fills + 1
        self.layers = nn.ModuleList(Layer(self.features if i == 0 else dim, dim, dropout) for i in range(layers))

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        name = f"brp_nas/{self.faithful}/{self.space.name}"
        links = graphs.derive(f"{name}/links", self._links).to(next(self.parameters()).dtype)
        x = graphs.derive(f"{name}/features", self._features).to(links.dtype)
        for layer in self.layers:
            x = layer(x, links)
        return x[..., : self.cells, :].flatten(-2)

    def _there(self, graphs: Graphs, left: Tensor) -> Tensor:
        """bool [B, V]: nodes the global node reads."""
        if not self.faithful:
            return left
        inside = torch.arange(graphs.nodes, device=graphs.device) < self.size
        return graphs.mask | (inside & self.fills)

    def _links(self, graphs: Graphs) -> Tensor:
        """float [B, C + V, C + V]: global nodes first, self-loops everywhere."""
        edges, left = dataflow(graphs, self.space)
        there = self._there(graphs, left)
        cells = [there & (graphs.cell == cell) for cell in range(self.cells)]
        links = torch.nn.functional.pad(edges.float(), (self.cells, 0, self.cells, 0))
        links[..., : self.cells, self.cells :] = torch.stack(cells, -2).float()
        return links + torch.eye(links.shape[-1], device=links.device)

    def _features(self, graphs: Graphs) -> Tensor:
        """float [B, C + V, features]: operations one-hot, then what fills a cell up (if any does), then global
        nodes."""
        _, left = dataflow(graphs, self.space)
        own = torch.nn.functional.one_hot(
            self.number.to(graphs.device)[graphs.ops], self.features
        ).float() * left.unsqueeze(-1)
        if self.fills:
            own[..., -2] = (self._there(graphs, left) & ~graphs.mask).float()
        top = torch.zeros(*own.shape[:-2], self.cells, self.features, device=own.device)
        top[..., -1] = 1
        return torch.cat([top, own], -2)


class Layer(nn.Module):
    """ReLU(LN(A h W + b)), then dropout."""

    def __init__(self, inputs: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(inputs, dim)), nn.Parameter(torch.zeros(dim))
        nn.init.xavier_uniform_(self.weight)
        self.norm = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, links: Tensor) -> Tensor:
        """x [B, N, inputs], links float [B, N(receiver), N(sender)] -> [B, N, dim]."""
        return self.drop(torch.relu(self.norm(links @ (x @ self.weight) + self.bias)))
