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
        gates = nn.functional.linear(hidden, self.weight_hh, self.bias_hh)
        reset_x, update_x, new_x = half.chunk(3, -1)
        reset_h, update_h, new_h = gates.chunk(3, -1)
        update = torch.sigmoid(update_x + update_h)
        new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
        return new + update * (hidden - new)

    def first(self, half: Tensor) -> Tensor:
        """`step(half, 0)` without the product with a zero state."""
        reset_x, update_x, new_x = half.chunk(3, -1)
        reset_h, update_h, new_h = self.bias_hh.chunk(3, -1)
        new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
        return new - torch.sigmoid(update_x + update_h) * new

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """New state [..., dim] from input [..., inputs] and the state before [..., dim]."""
        return self.step(self.input_half(x), hidden)
