"""The layers of the GATES family: what passes along an architecture's edges, gated by its operations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from archrank.encoders.layers.attention import masked_softmax


@dataclass(frozen=True, eq=False)
class Paths:
    """Where states flow in one direction, between V nodes and through N operations, which stand on nodes (N = V) or on
    edges.

    kept: float [B, V, 1], 1 where a node keeps its own state beside what it hears.
    learned, opened: float [B, N, 1]; a gate is sigmoid(...) * learned + opened: learned, always open (0 and 1) or
    always closed (0 and 0).
    """

    kept: Tensor
    learned: Tensor
    opened: Tensor

    def gates(self, logits: Tensor) -> Tensor:
        """Gates [B, N, d] in (0, 1) of logits [B, N, d]."""
        return torch.sigmoid(logits) * self.learned + self.opened


@dataclass(frozen=True, eq=False)
class NodePaths(Paths):
    """Operations on nodes. links: float [B, V, V], row = receiver. together: bool [B, V, V], nodes of one cell."""

    links: Tensor
    together: Tensor


@dataclass(frozen=True, eq=False)
class EdgePaths(Paths):
    """Operations on the N edges of V nodes that all architectures share. start, end: float [N, V], one-hot."""

    start: Tensor
    end: Tensor


class NodeFlow(nn.Module):
    """g * (sum over predecessors of W h) + W h (where kept) + b, with g = sigmoid(U op) of the receiving node's
    operation."""

    def __init__(self, inputs: int, dim: int, op_dim: int) -> None:
        super().__init__()
        self.weight, self.bias = _start(inputs, dim), _start(1, dim)
        self.gate = nn.Linear(op_dim, dim)

    def forward(self, x: Tensor, op: Tensor, paths: NodePaths) -> tuple[Tensor, Tensor]:
        """States x [B, V, inputs], operations op [B, V, op_dim] -> states [B, V, dim], and as what the operations sent
        the same."""
        support = x @ self.weight
        state = paths.gates(self.gate(op)) * (paths.links @ support) + paths.kept * support + self.bias
        return state, state


class EdgeFlow(nn.Module):
    """Sum over edges into a node of g * W h of where they start, + W h (where kept), with g = sigmoid(U op) of the
    edge's operation."""

    def __init__(self, inputs: int, dim: int, op_dim: int) -> None:
        super().__init__()
        self.weight, self.gate = _start(inputs, dim), nn.Linear(op_dim, dim)

    def forward(self, x: Tensor, op: Tensor, paths: EdgePaths) -> tuple[Tensor, Tensor]:
        """States x [B, V, inputs], operations op [B, N, op_dim] -> states [B, V, dim], and what each edge carried [B,
        N, dim]."""
        support = x @ self.weight
        message = paths.gates(self.gate(op)) * (paths.start @ support)
        return paths.end.mT @ message + paths.kept * support, message


class GatedAttention(nn.Module):
    """LN(g * sum_j a_ij W h_j), a_ij = softmax_j of LeakyReLU(v . (W h_i * W h_j)), g = sigmoid(U op) (FLAN's attention
    layer).

    everywhere: the softmax runs over all nodes of the cell, those that are no predecessors with score 0, as FLAN's code
    has it; otherwise over predecessors and the node itself.
    """

    def __init__(self, inputs: int, dim: int, op_dim: int, everywhere: bool) -> None:
        super().__init__()
        self.everywhere = everywhere
        self.project = nn.Linear(inputs, dim, bias=False)
        self.score = nn.Linear(dim, 1, bias=False)
        self.gate = nn.Linear(op_dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, op: Tensor, paths: NodePaths) -> tuple[Tensor, Tensor]:
        """As `NodeFlow`."""
        h = self.project(x)
        scores = leaky_relu((h * self.score.weight[0]) @ h.mT)
        if self.everywhere:
            scores, allowed = scores * paths.links, paths.together
        else:
            allowed = (paths.links > 0) | torch.eye(h.shape[-2], dtype=torch.bool, device=h.device)
        state = self.norm(paths.gates(self.gate(op)) * (masked_softmax(scores, allowed) @ h))
        return state, state


class MeanOf(nn.Module):
    """The mean of several layers' states."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, op: Tensor, paths: NodePaths) -> tuple[Tensor, Tensor]:
        """As `NodeFlow`."""
        state = torch.stack([layer(x, op, paths)[0] for layer in self.layers]).mean(0)
        return state, state


def _start(rows: int, dim: int) -> nn.Parameter:
    """A projection [rows, dim] as the code draws it."""
    bound = 1 / math.sqrt(dim)
    return nn.Parameter(torch.empty(rows, dim).uniform_(-bound, bound))


def through(layers: nn.ModuleList, x: Tensor, op: Tensor, paths: Paths) -> tuple[Tensor, Tensor]:
    """States after all layers, ReLU between them, and what the operations of the last one sent."""
    sent = x
    for number, layer in enumerate(layers, 1):
        x, sent = layer(x, op, paths)
        if number < len(layers):
            x = torch.relu(x)
    return x, sent
