"""NAR-Former V2: attention that only neighbours pay, in layers that are all read."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize, one_hot, pad

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.registry import encoder
from archrank.encoders.sequence.nar_former import NarFormer, scalar_code

FREQUENCIES = 32
ATTRIBUTE_FREQUENCIES = 5
WHOLE_NETWORK = 64  # nodes; larger graphs are whole networks, smaller ones cells


@encoder("nar_former_v2", family="graph transformer")
class NarFormerV2(nn.Module):
    """Linear attention weighted by the adjacency, with a gate by degree, a grouped feed-forward part and a gated sum
    over layers.

    Source: Yi et al., "NAR-Former V2: Rethinking Transformer for Universal Neural Network Representation Learning",
    NeurIPS 2023, and its code (yuny220/NAR-Former-V2, c6cbc83). A node is the codes of its operation and of its place
    (`scalar_code`, 32 frequencies). In a layer x is gated by sigmoid(D degree); with s = sigmoid(Q x), weights are s s'
    / sqrt(width) between neighbours in either direction, divided by their sum over the row; W (weights x) + R x is
    scaled to length 1, rectified, and x + gamma G(LN x) follows, G two linear maps in groups of features. Means over
    nodes after each layer are added, each times a gate that reads all of them. Sees operations, edges and the order of
    nodes.

    Shapes: graphs [B, V] -> [B, dim]; two cells are one graph of two parts. Parameters at the published size (dim 512,
    6 layers) with the head of two layers of 512: 8,582,535.

    form: `cells`, as above, or `network`, the form for the latency of whole networks: a node is its operation, one-hot,
    and the sinusoidal codes of its numeric attributes where the space has some (10 numbers each); the embedding is the
    sum of the nodes after the last layer. 2 layers of 512 on 32 operations and 12 attributes: 1,501,960 parameters in
    front of the head.
    dim: of states, a multiple of `groups`. layers: their number. groups: of features in G. ratio: width of its hidden
    layer over dim. dropout: on states and inside G.

    Departures: codes are computed in single precision (the code's depend on the version of its array library). The
    score is the last layer's output; there it is the loss-like -log sigmoid of it, compared with the accuracy by their
    ratio, in `paper` by squared error. Weights of the last epoch are kept (there of the best on 200 more labelled
    architectures). Of whole networks it reads the attributes that a table has, not those the code takes from ONNX
    files, and not their batch size, floating-point operations, parameters and memory, which the code shows its head.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 4,
        groups: int = 8,
        ratio: int = 4,
        dropout: float = 0.05,
        form: Literal["cells", "network"] = "cells",
    ) -> None:
        super().__init__()
        if dim % groups:
            raise ValueError(f"nar_former_v2: dim {dim} is not a multiple of groups {groups}")
        self.ops, self.network = len(space.ops), form == "network"
        features = self.ops + 2 * ATTRIBUTE_FREQUENCIES * len(space.attrs) if self.network else 4 * FREQUENCIES
        if not self.network:
            self.place_codes: Tensor
            self.op_codes: Tensor
            for name, count in (("place", space.max_nodes), ("op", len(space.ops))):
                self.register_buffer(f"{name}_codes", scalar_code(torch.arange(count), FREQUENCIES), persistent=False)
        self.layers = nn.ModuleList(
            Layer(dim if number else features, dim, groups, ratio, dropout) for number in range(layers)
        )
        if not self.network:
            self.weigh = nn.Sequential(
                nn.Linear(layers * dim, layers * dim // 4),
                nn.ReLU(),
                nn.Linear(layers * dim // 4, layers),
                nn.Sigmoid(),
            )

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The size of the published experiments: on accuracies of cells, or on latencies of whole networks."""
        if space.max_nodes > WHOLE_NETWORK:
            return {"dim": 512, "layers": 2, "form": "network"}
        return {"dim": 512, "layers": 6}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Squared error, Adam, linear decay after a warm-up; on accuracies of cells difference and consistency losses
        too."""
        whole = space.max_nodes > WHOLE_NETWORK
        own = {"lr": 1e-3, "epochs": 50, "batch": 16, "warmup": 5} if whole else {"difference": 0.1, "consistency": 0.5}
        return {
            "loss": "mse",
            "labels": "unit",
            "optimizer": "adam",
            "lr": 1e-4,
            "epochs": 1000,
            "batch": 8,
            "warmup": 100,
            "schedule": "linear",
            "schedule_per": "step",
            "head": {"hidden": [512, 512], "dropout": 0.05},
        } | own

    @staticmethod
    def twins(graphs: Graphs) -> Graphs:
        """Those of NAR-Former."""
        return NarFormer.twins(graphs)

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim]."""
        near = graphs.adj | graphs.adj.mT
        if self.network:
            x = one_hot(graphs.ops, self.ops).to(next(self.parameters()).dtype)
            codes = [] if graphs.attrs is None else [attribute_code(graphs.attrs.to(x.dtype))]
            return self.passed(torch.cat([x, *codes], -1), near, graphs.mask)
        places = pad(self.place_codes, (0, 0, 0, max(graphs.nodes - len(self.place_codes), 0)))[: graphs.nodes]
        ops = embedding(graphs.ops, self.op_codes)
        return self.passed(torch.cat([ops, places.expand_as(ops)], -1), near, graphs.mask)

    def passed(self, x: Tensor, near: Tensor, mask: Tensor) -> Tensor:
        """The network behind the codes: features x [B, V, F], neighbours bool [B, V, V], mask bool [B, V] -> [B,
        dim]."""
        near, real, means = near.to(x.dtype), mask.unsqueeze(-1).to(x.dtype), []
        for layer in self.layers:
            x = layer(x, near)
            means.append((x * real).sum(-2) / real.sum(-2).clamp(min=1))
        if self.network:
            return (x * real).sum(-2)
        return (self.weigh(torch.cat(means, -1)).unsqueeze(-1) * torch.stack(means, -2)).sum(-2)


def attribute_code(attributes: Tensor) -> Tensor:
    """Sine and cosine of every attribute at 5 frequencies from 1 down to 10000^(-4/5): [..., F] -> [..., 10 F]."""
    slower = 10000.0 ** (-torch.arange(ATTRIBUTE_FREQUENCIES, device=attributes.device) / ATTRIBUTE_FREQUENCIES)
    angle = attributes.unsqueeze(-1) * slower.to(attributes.dtype)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-3)


class Layer(nn.Module):
    """Attention among neighbours, scaled and rectified, then x + gamma G(LN x); gamma starts at 1e-4."""

    def __init__(self, inputs: int, dim: int, groups: int, ratio: int, dropout: float) -> None:
        super().__init__()
        self.degree, self.look = nn.Linear(1, inputs), nn.Linear(inputs, inputs)
        self.around, self.itself = nn.Linear(inputs, dim), nn.Linear(inputs, dim, bias=False)
        self.norm, self.gamma = nn.LayerNorm(dim), nn.Parameter(torch.full((dim,), 1e-4))
        self.wide, self.narrow = Grouped(dim, ratio * dim, groups), Grouped(ratio * dim, dim, groups)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, near: Tensor) -> Tensor:
        """x [B, V, inputs], near float [B, V, V] -> [B, V, dim]."""
        x = x * torch.sigmoid(self.degree(near.sum(-1, keepdim=True)))
        seen = torch.sigmoid(self.look(x))
        scores = seen @ seen.mT / math.sqrt(x.shape[-1]) * near
        weights = scores / (scores.sum(-1, keepdim=True) + 1e-6)
        x = self.drop(torch.relu(normalize(self.around(weights @ x) + self.itself(x), dim=-1)))
        hidden = self.drop(torch.relu(self.wide(self.norm(x))))
        return x + self.gamma * self.drop(self.narrow(hidden))


class Grouped(nn.Module):
    """A linear map of each group of features, then a layer norm of each group with weights that all groups share."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(groups, inputs // groups, outputs // groups))
        nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(groups, outputs // groups))
        self.norm = nn.LayerNorm(outputs // groups)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        mapped = torch.einsum("...gi,gio->...go", x.unflatten(-1, self.weight.shape[:2]), self.weight) + self.bias
        normed: Tensor = self.norm(mapped).flatten(-2)
        return normed
