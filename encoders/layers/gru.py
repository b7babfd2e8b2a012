"""A gated recurrent unit made of two matrix products, so that its input half can be computed for all nodes at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GRU(nn.Module):
    """`nn.GRUCell` (Cho et al. 2014; gates in the order reset, update, new; the same parameters and initialisation)."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(dim)
        self.weight_ih = nn.Parameter(torch.empty(3 * dim, inputs).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(3 * dim, dim).uniform_(-bound, bound))
        self.bias_ih = nn.Parameter(torch.empty(3 * dim).uniform_(-bound, bound))
        self.bias_hh = nn.Parameter(torch.empty(3 * dim).uniform_(-bound, bound))

    def input_half(self, x: Tensor) -> Tensor:
        """The part that depends on the input [..., inputs] alone: [..., 3 * dim]."""
        return nn.functional.linear(x, self.weight_ih, self.bias_ih)

    def step(self, half: Tensor, hidden: Tensor) -> Tensor:
        """New state [..., dim] from `input_half(x)` and the state before."""
        return self._gated(half, nn.functional.linear(hidden, self.weight_hh, self.bias_hh), hidden)

    def first(self, half: Tensor) -> Tensor:
        """`step(half, 0)` without the product with a zero state."""
        return self._gated(half, self.bias_hh, None)

    def _gated(self, half: Tensor, gates: Tensor, hidden: Tensor | None) -> Tensor:
        dim = half.shape[-1] // 3
        both_x, new_x = half.split((2 * dim, dim), -1)
        both_h, new_h = gates.split((2 * dim, dim), -1)
        reset, update = torch.sigmoid(both_x + both_h).chunk(2, -1)
        new = torch.tanh(torch.addcmul(new_x, reset, new_h))
        return torch.lerp(new, torch.zeros_like(new) if hidden is None else hidden, update)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """New state [..., dim] from input [..., inputs] and the state before [..., dim]."""
        return self.step(self.input_half(x), hidden)
