"""A gated recurrent unit made of two matrix products, so that its input half can be computed for all nodes at once."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from archrank.encoders.ensembling.stacked import over_members
from archrank.encoders.layers.linear import linear


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
        return linear(x, self.weight_ih, self.bias_ih)

    def step(self, half: Tensor, hidden: Tensor) -> Tensor:
        """New state [..., dim] from `input_half(x)` and the state before."""
        gates = linear(hidden, self.weight_hh, self.bias_hh)
        state: Tensor = Gated.apply(half, gates, hidden)[0]
        return state

    def first(self, half: Tensor) -> Tensor:
        """`step(half, 0)` without the product with a zero state."""
        gates = self.bias_hh.expand(half.shape)
        return Gated.apply(half, gates, torch.zeros_like(half[..., : half.shape[-1] // 3]))[0]

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """New state [..., dim] from input [..., inputs] and the state before [..., dim]."""
        return self.step(self.input_half(x), hidden)


def gate(half: Tensor, gates: Tensor, hidden: Tensor, both: Tensor, new: Tensor, out: Tensor) -> None:
    """The state [..., dim] into `out`, from input half and hidden half [..., 3 * dim] and the state before.

    Reset and update go into `both` [..., 2 * dim], the proposed state into `new` [..., dim].
    """
    dim = hidden.shape[-1]
    torch.add(half[..., : 2 * dim], gates[..., : 2 * dim], out=both).sigmoid_()
    torch.addcmul(half[..., 2 * dim :], both[..., :dim], gates[..., 2 * dim :], out=new)
    # tanh(x) = 2 sigmoid(2 x) - 1: on a CPU the sigmoid is vectorised better.
    new.mul_(2).sigmoid_().mul_(2).sub_(1)
    torch.lerp(new, hidden, both[..., dim:], out=out)


def gate_slopes(both: Tensor, new: Tensor, last: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Derivative of `gate`'s state by the hidden half [..., 3 * dim], and by the input half's last third [..., dim].

    By the input half's first two thirds it is as by the hidden half's, and by `hidden` it is the update gate. last: the
    last third of `gates`.
    """
    dim = new.shape[-1]
    slopes = new.new_empty(*new.shape[:-1], 3 * dim)
    reset, update = both[..., :dim], both[..., dim:]
    by_new = (1 - update).mul_(1 - new.square())
    torch.mul(reset, by_new, out=slopes[..., 2 * dim :])
    torch.sub(both, both.square(), out=slopes[..., : 2 * dim])
    slopes[..., :dim].mul_(last).mul_(by_new)
    slopes[..., dim : 2 * dim].mul_(hidden - new)
    return slopes, by_new


@over_members
class Gated(torch.autograd.Function):
    """`gate` with its derivative."""

    @staticmethod
    def forward(half: Tensor, gates: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The value, and what its derivative needs."""
        out, new = torch.empty_like(hidden), torch.empty_like(hidden)
        both = hidden.new_empty(*hidden.shape[:-1], 2 * hidden.shape[-1])
        gate(half, gates, hidden, both, new, out)
        return out, both, new

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the derivative needs."""
        _, gates, hidden = inputs
        _, both, new = output
        ctx.mark_non_differentiable(both, new)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(gates, hidden, both, new)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor, ...]:
        """The derivative."""
        gates, hidden, both, new = ctx.saved_tensors
        dim = hidden.shape[-1]
        slopes, by_new = gate_slopes(both, new, gates[..., 2 * dim :], hidden)
        of_gates = (grad.unsqueeze(-2) * slopes.unflatten(-1, (3, dim))).flatten(-2)
        return torch.cat([of_gates[..., : 2 * dim], grad * by_new], -1), of_gates, grad * both[..., dim:]
