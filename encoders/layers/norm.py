"""Batch normalisation over the real nodes of padded graphs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from archrank.encoders.ensembling.noise import Dropout, uniform
from archrank.encoders.ensembling.stacked import over_members


class MaskedBatchNorm(nn.Module):
    """`nn.BatchNorm1d` over the nodes of a batch (Ioffe and Szegedy 2015), padding left out of the statistics.

    Equal to concatenating the real nodes of all graphs and normalising those. Running statistics are kept per ensemble
    member.
    """

    def __init__(self, dim: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x [..., dim], mask bool [...] of real entries (None: all). Padding comes out as it may; mask it before
        use."""
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return x * scale + (self.bias - self.running_mean * scale)
        return self._normalised(x, mask, False, None, 0.0)

    def activated(self, x: Tensor, mask: Tensor | None, drop: Dropout) -> Tensor:
        """What `drop(relu(self(x, mask)))` gives, in training as one function that moves the numbers half as often."""
        if not self.training:
            return torch.relu(self(x, mask))
        return self._normalised(x, mask, True, uniform(x) if drop.p else None, drop.p)

    def _normalised(self, x: Tensor, mask: Tensor | None, relu: bool, drawn: Tensor | None, rate: float) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        weight = flat.new_ones(flat.shape[0]) if mask is None else mask.reshape(-1).to(x.dtype)
        out, _, mean, var = Normalise.apply(
            flat,
            weight,
            self.weight,
            self.bias,
            self.eps,
            relu,
            None if drawn is None else drawn.reshape(flat.shape),
            rate,
        )
        with torch.no_grad():
            count = weight.sum()
            bessel = count / (count - 1).clamp(min=1)
            self.running_mean.mul_(1 - self.momentum).add_(self.momentum * mean)
            self.running_var.mul_(1 - self.momentum).add_(self.momentum * (var * bessel))
        return out.view(x.shape)


@over_members
class Normalise(torch.autograd.Function):
    """x [*, N, dim], weight [*, N] (1: real, 0: padding), scale and shift [*, dim] -> out and centred x [*, N, dim],
    mean and variance [*, dim].

    relu: the positive part of it. drawn: uniform numbers in [0, 1) like x; where they are below `rate`, out is dropped
    (only after a ReLU).
    """

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        relu: bool,
        drawn: Tensor | None,
        rate: float,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The value, and what its derivative needs."""
        share = (weight / weight.sum(-1, keepdim=True)).unsqueeze(-2)  # [*, 1, N]
        mean = share @ x
        centred = x - mean
        var = share @ centred.square()
        kept = 1 / (1 - rate)
        out = torch.addcmul(
            (shift * kept).unsqueeze(-2), centred, (scale * kept).unsqueeze(-2) * torch.rsqrt(var + eps)
        )
        if relu:
            out.relu_()
        if drawn is not None:
            out.masked_fill_(drawn < rate, 0.0)
        return out, centred, mean.squeeze(-2), var.squeeze(-2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the derivative needs."""
        _, weight, scale, _, eps, relu, _, rate = inputs
        out, centred, mean, var = output
        ctx.mark_non_differentiable(centred, mean, var)
        ctx.set_materialize_grads(False)
        # What a ReLU or dropout set to zero shows in the result.
        ctx.save_for_backward(centred, var, weight, scale, *([out] if relu else []))
        ctx.eps, ctx.kept = eps, 1 / (1 - rate)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """The derivative."""
        centred, var, weight, scale, *activated = ctx.saved_tensors
        if activated:
            grad = torch.ops.aten.threshold_backward(grad, activated[0], 0)
        steep = torch.rsqrt(var + ctx.eps).unsqueeze(-2)
        grad_shift = grad.sum(-2, keepdim=True) * ctx.kept
        grad_scale = (grad * centred).sum(-2, keepdim=True) * (steep * ctx.kept)
        factor = scale.unsqueeze(-2) * steep
        share = factor / weight.sum(-1)[..., None, None]
        through = torch.addcmul(
            -grad_shift * share, centred, -grad_scale * steep * share
        )  # what flows through mean and variance
        through.mul_(weight.unsqueeze(-1)).addcmul_(grad, factor, value=ctx.kept)
        return through, None, grad_scale.squeeze(-2), grad_shift.squeeze(-2), None, None, None, None
