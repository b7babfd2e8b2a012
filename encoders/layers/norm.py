"""Batch normalisation over the real nodes of padded graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from archrank.encoders.ensembling.launches import launch_bound
from archrank.encoders.ensembling.noise import Dropout, keep, uniform
from archrank.encoders.ensembling.stacked import over_members


class RealNodes:
    """What normalisation asks of a mask, once for all layers that normalise over the same nodes.

    mask: bool [...]. weight: [N], 1 for a real entry and 0 for padding. lack: minus the number of real ones [1]. share:
    weight over that number [1, N]. bessel: n / (n - 1) of that number n [1].
    """

    def __init__(self, mask: Tensor, dtype: torch.dtype) -> None:
        """dtype: of what is normalised."""
        self.mask = mask
        self.weight = mask.reshape(-1).to(dtype)
        count = self.weight.sum(-1, keepdim=True)
        self.lack = -count
        self.share = (self.weight / count).unsqueeze(-2)
        self.bessel = count / (count - 1).clamp(min=1)


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

    def forward(self, x: Tensor, mask: Tensor | RealNodes | None = None) -> Tensor:
        """x [..., dim], mask bool [...] of real entries (None: all), or what `RealNodes` made of one. Padding comes out
        as it may; mask it before use."""
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return x * scale + (self.bias - self.running_mean * scale)
        return self._normalised(x, mask, False, None, 0.0)

    def activated_of_all(self, x: Tensor) -> Tensor:
        """relu(self(x)) of one network, no member of a stack, by PyTorch's own kernel, which moves numbers less often.
        x [N, dim]."""
        running = self.running_mean, self.running_var
        return nn.functional.batch_norm(
            x, *running, self.weight, self.bias, self.training, self.momentum, self.eps
        ).relu_()

    def activated(self, x: Tensor, mask: Tensor | RealNodes | None, drop: Dropout) -> Tensor:
        """What `drop(relu(self(x, mask)))` gives, in training as one function that moves the numbers half as often."""
        if not self.training:
            return torch.relu(self(x, mask))
        return self._normalised(x, mask, True, uniform(x) if drop.p else None, drop.p)

    def _normalised(
        self, x: Tensor, mask: Tensor | RealNodes | None, relu: bool, drawn: Tensor | None, rate: float
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        if not isinstance(mask, RealNodes):
            mask = RealNodes(flat.new_ones(flat.shape[0], dtype=torch.bool) if mask is None else mask, x.dtype)
        drawn = None if drawn is None else drawn.reshape(flat.shape)
        out, _, mean, var, _ = _normalise(flat, mask, self.weight, self.bias, self.eps, relu, drawn, rate)
        self._move(mean, var * mask.bessel)
        return out.view(x.shape)

    @torch.no_grad()
    def _move(self, mean: Tensor, var: Tensor) -> None:
        """Move the running statistics towards a batch's."""
        if launch_bound(mean):
            self.running_mean = torch.lerp(self.running_mean, mean, self.momentum)
            self.running_var = torch.lerp(self.running_var, var, self.momentum)
        else:
            self.running_mean.mul_(1 - self.momentum).add_(self.momentum * mean)
            self.running_var.mul_(1 - self.momentum).add_(self.momentum * var)


def normalised_side_by_side(norms: Sequence[MaskedBatchNorm], x: Tensor, nodes: RealNodes) -> Tensor:
    """Several norms in training at once, in the launches of one: x [..., dims side by side] -> the same shape."""
    weight, bias = (torch.cat([getattr(norm, name) for norm in norms]) for name in ("weight", "bias"))
    flat = x.reshape(-1, x.shape[-1])
    out, _, mean, var, _ = _normalise(flat, nodes, weight, bias, norms[0].eps, False, None, 0.0)
    dims = [len(norm.bias) for norm in norms]
    for norm, *now in zip(norms, mean.split(dims, -1), (var * nodes.bessel).split(dims, -1)):
        norm._move(*now)
    return out.view(x.shape)


def _normalise(flat: Tensor, nodes: RealNodes, *rest: Any) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = Normalise.apply(flat, nodes.weight, nodes.lack, nodes.share, *rest)
    return found


@over_members
class Normalise(torch.autograd.Function):
    """x [*, N, dim]; weight [*, N] (1: real, 0: padding), lack [*, 1] and share [*, 1, N] of `RealNodes`; scale and
    shift [*, dim] -> out and centred x [*, N, dim], mean and variance [*, dim], and 1 / deviation [*, 1, dim].

    relu: the positive part of it. drawn: uniform numbers in [0, 1) like x; where they are below `rate`, out is dropped
    (only after a ReLU).

    **Derivation.** Column by column, with n real rows, w = 1 on those and 0 on padding, q = 1 / (1 - rate), and
    r = `steep`:

        mean = sum w x / n,   c = x - mean,   var = sum w c^2 / n,   r = 1 / sqrt(var + eps),
        out = q (scale r c + shift), then 0 where it is negative (ReLU) or drawn to be dropped.

    Scaling by q > 0 commutes with the ReLU, so it is done once, inside. Backward, let g be the gradient of out, 0 where
    out was set to 0. Then, as for any batch norm,

        d shift = q sum g,   d scale = q r sum g c,
        d x = scale r (q g - w (d shift + r c d scale) / n),

    whose second term is what flows through mean and variance. The tests compare it with `nn.BatchNorm1d`, a plain ReLU
    and a plain dropout, and with numerical derivatives.
    """

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor,
        lack: Tensor,
        share: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        relu: bool,
        drawn: Tensor | None,
        rate: float,
    ) -> tuple[Tensor, ...]:
        """The value, and what its derivative needs."""
        mean = share @ x
        centred = x - mean
        var = share @ centred.square()
        steep = torch.rsqrt(var + eps)
        kept = 1 / (1 - rate)
        shift, factor = shift.unsqueeze(-2), scale.unsqueeze(-2)
        if kept != 1:
            shift, factor = shift * kept, factor * kept
        out = torch.addcmul(shift, centred, factor * steep)
        if relu:
            out.relu_()
        if drawn is not None:
            keep(out, drawn, rate, out=out)
        return out, centred, mean.squeeze(-2), var.squeeze(-2), steep

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the derivative needs."""
        _, weight, lack, _, scale, _, _, relu, _, rate = inputs
        out, centred, mean, var, steep = output
        ctx.mark_non_differentiable(centred, mean, var, steep)
        ctx.set_materialize_grads(False)
        # What a ReLU or dropout set to zero shows in the result.
        ctx.save_for_backward(centred, steep, weight, lack, scale, *([out] if relu else []))
        ctx.kept = 1 / (1 - rate)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """The derivative."""
        centred, steep, weight, lack, scale, *activated = ctx.saved_tensors
        if activated:
            grad = torch.ops.aten.threshold_backward(grad, activated[0], 0)
        grad_shift = grad.sum(-2, keepdim=True)
        grad_scale = (grad * centred).sum(-2, keepdim=True)
        if ctx.kept == 1:
            grad_scale = grad_scale * steep
        else:
            grad_shift, grad_scale = grad_shift * ctx.kept, grad_scale * (steep * ctx.kept)
        factor = scale.unsqueeze(-2) * steep
        share = factor / lack.unsqueeze(-1)
        through = torch.addcmul(
            grad_shift * share, centred, grad_scale * steep * share
        )  # what flows through mean and variance
        through.mul_(weight.unsqueeze(-1)).addcmul_(grad, factor, value=ctx.kept)
        return through, None, None, None, grad_scale.squeeze(-2), grad_shift.squeeze(-2), None, None, None, None
