"""Losses of each score by itself."""

from __future__ import annotations

from torch import Tensor

from archrank.eval.engine.losses import loss


@loss("mse")
def mse(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over architectures of (s - y)^2."""
    return ((scores - labels) ** 2).mean(-1)


@loss("l1")
def l1(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over architectures of |s - y|."""
    return (scores - labels).abs().mean(-1)
