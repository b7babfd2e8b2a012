"""PINE: a function of a node and its predecessors that does not depend on their order (PINAT's permutation-invariant
part)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SLOPE = 0.2


class Pine(nn.Module):
    """Sum over a node and its predecessors of a nonlinear map, then a second one; C channels, T heads.

    z = LeakyReLU((x a) u + v), a [inputs, C T] and u, v per channel; s_i = z_i + sum over predecessors of z_j;
    out = LeakyReLU(s w + b) c, where w [C, T, T] mixes the heads of a channel and b, c [C, T].
    Channels stand outside, heads inside. concat: all of them, [.., C T]; otherwise the sum over heads, [.., C].
    """

    def __init__(self, inputs: int, channels: int, heads: int, *, concat: bool = True) -> None:
        super().__init__()
        self.channels, self.heads, self.concat = channels, heads, concat
        self.a = _glorot(inputs, channels * heads)
        self.u, self.v = _glorot(channels, 1, sizes=2), nn.Parameter(torch.zeros(channels, 1))
        self.w, self.b = _glorot(channels, heads, heads, sizes=1 + heads), nn.Parameter(torch.zeros(channels, heads))
        self.c = _glorot(channels, heads)

    def forward(self, x: Tensor, near: Tensor) -> Tensor:
        """x [B, V, inputs]; near float [B, V(receiver), V(sender)], 1 for a predecessor and for the node itself -> [B,
        V, features]."""
        leaky = nn.functional.leaky_relu
        z = leaky((x @ self.a).unflatten(-1, (self.channels, self.heads)) * self.u + self.v, SLOPE)
        heard = (near @ z.flatten(-2)).reshape(-1, self.channels, self.heads)
        mixed = (heard.transpose(0, 1) @ self.w).transpose(0, 1)  # one product per channel
        out = leaky(mixed + self.b, SLOPE) * self.c
        return (out.flatten(-2) if self.concat else out.sum(-1)).unflatten(0, x.shape[:-1])


class PineBlock(nn.Module):
    """Three of them, each beside a linear map: `outputs` features of a node and of what leads to it in at most three
    steps."""

    def __init__(self, inputs: int, channels: int, heads: int, outputs: int) -> None:
        super().__init__()
        inner = channels * heads
        self.first, self.second = Pine(inputs, channels, heads), Pine(inner, channels, heads)
        self.last = Pine(inner, outputs, heads, concat=False)
        self.beside = nn.ModuleList((nn.Linear(inputs, inner), nn.Linear(inner, inner), nn.Linear(inner, outputs)))

    def forward(self, x: Tensor, near: Tensor) -> Tensor:
        """x [B, V, inputs] -> [B, V, outputs]; `near` as of `Pine`."""
        x = nn.functional.elu(self.first(x, near) + self.beside[0](x))
        x = nn.functional.elu(self.second(x, near) + self.beside[1](x))
        done: Tensor = self.last(x, near) + self.beside[2](x)
        return done


def _glorot(*shape: int, sizes: int | None = None) -> nn.Parameter:
    """Uniform by Glorot and Bengio 2010; sizes: of both sides together, where they are not the last two dimensions."""
    bound = math.sqrt(6 / (sizes or sum(shape[-2:])))
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
