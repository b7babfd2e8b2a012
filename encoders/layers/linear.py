"""Linear maps of all members of an ensemble in one call."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from archrank.encoders.ensembling.launches import launch_bound
from archrank.encoders.ensembling.stacked import over_members

Model = TypeVar("Model", bound=nn.Module)


class Linear(nn.Linear):
    """`nn.Linear`; where launches are what costs, one of them in place of the three that `vmap` makes of it."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features]."""
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [..., in] times weight [out, in], plus bias [out]: `torch.nn.functional.linear`."""
    if bias is None or not launch_bound(x):
        return nn.functional.linear(x, weight, bias)
    out: Tensor = Affine.apply(x.reshape(-1, x.shape[-1]), weight, bias)
    return out.view(*x.shape[:-1], -1)


def own_linear(model: Model) -> Model:
    """Make every plain `nn.Linear` below `model` one of ours, in place; parameters and their names stay."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = Linear
    return model


@over_members
class Affine(torch.autograd.Function):
    """x [*, N, in], weight [*, out, in], bias [*, out] -> [*, N, out], with the members in front or nothing."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The value."""
        if x.dim() == 2:
            return torch.addmm(bias, x, weight.mT)
        return torch.baddbmm(bias.unsqueeze(-2), x, weight.mT)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep what the derivative needs."""
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The derivative."""
        x, weight = ctx.saved_tensors
        of_x = grad @ weight if ctx.needs_input_grad[0] else None
        return of_x, grad.mT @ x, grad.sum(-2)
