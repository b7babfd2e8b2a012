"""Batch normalisation over the real nodes of padded graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """`nn.BatchNorm1d` over the nodes of a batch (Ioffe and Szegedy 2015), padding left out of the statistics.

    Equal to concatenating the real nodes of all graphs and normalising those. Running statistics are kept per ensemble member.
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
        """x [..., dim], mask bool [...] of real entries (None: all). Padding comes out as it may; mask it before use."""
        if self.training:
            flat = x.reshape(-1, x.shape[-1])
            if mask is None:
                rows = flat.shape[0]
                mean = flat.mean(0)
                var = ((flat - mean) ** 2).mean(0)
                bessel: Tensor | float = rows / max(rows - 1, 1)
            else:
                weight = mask.reshape(-1, 1).to(x.dtype)
                count = weight.sum()
                mean = (flat * weight).sum(0) / count
                var = ((flat - mean) ** 2 * weight).sum(0) / count
                bessel = count / (count - 1).clamp(min=1)
            with torch.no_grad():
                self.running_mean.mul_(1 - self.momentum).add_(self.momentum * mean.detach())
                self.running_var.mul_(1 - self.momentum).add_(self.momentum * (var.detach() * bessel))
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(var + self.eps)
        return x * scale + (self.bias - mean * scale)
