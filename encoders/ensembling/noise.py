"""Randomness inside a network that stays each ensemble member's own.

Under `vmap` one call stands for many members, each with its own seed. A member's random numbers are therefore drawn
outside, one vector a step, and handed in; a layer takes its share from the vector. Members that are called one after
the other take theirs from a source of their own, as many as they need. Either way a member sees the same numbers alone
and in any ensemble.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from archrank.encoders.ensembling.launches import launch_bound
from archrank.encoders.ensembling.stacked import over_members


class NoiseSource(Protocol):
    """Where a layer takes random numbers from."""

    def take(self, like: Tensor) -> Tensor:
        """The next uniform numbers in [0, 1), in the shape of `like`."""


class Counter:
    """Stands in for a noise vector in a trial run, to learn how long the vector must be."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, like: Tensor) -> Tensor:
        """Values that keep everything; counts them."""
        self.taken += like.numel()
        return torch.ones_like(like)


class Vector:
    """A member's noise for one step: uniform numbers in [0, 1), float [n]."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.taken = values, 0

    def take(self, like: Tensor) -> Tensor:
        """The next numbers, in the shape of `like`. RuntimeError if there are not so many: a network must take as many
        in every batch of one size."""
        count = math.prod(like.shape)
        part = self.values[self.taken : self.taken + count]
        self.taken += count
        if len(part) < count:
            raise RuntimeError("the network takes another number of random numbers than in the batch before")
        return part.reshape(like.shape)


_current: ContextVar[NoiseSource | None] = ContextVar("noise", default=None)


@contextmanager
def noise(source: NoiseSource) -> Iterator[None]:
    """Layers called inside take their random numbers from `source`; outside they use torch's global generator."""
    token = _current.set(source)
    try:
        yield
    finally:
        _current.reset(token)


def uniform(like: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) of the shape and type of `like`, from the noise in force."""
    source = _current.get()
    return torch.rand_like(like) if source is None else source.take(like)


class Dropout(nn.Module):
    """Dropout with rate `p` (Srivastava et al. 2014, inverted form) that draws from the member's own noise.

    In training on a CPU that noise has 2^16 values, so a rate is met to 1 / 65,536.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x`; `x` itself in evaluation mode."""
        if not self.training or self.p == 0.0:
            return x
        scale = kept_scale(self.p, x.dtype)
        if launch_bound(x):
            found: Tensor = Dropped.apply(x, uniform(x), self.p, scale)[0]
            return found
        return keep(x, uniform(x), self.p) * scale


@over_members
class Dropped(torch.autograd.Function):
    """x where `drawn` is `rate` or more, times `scale`, else 0, in few launches, with its derivative."""

    @staticmethod
    def forward(x: Tensor, drawn: Tensor, rate: float, scale: float) -> tuple[Tensor, Tensor]:
        """The value, and what is kept."""
        kept = drawn >= rate
        return torch.ops.aten.native_dropout_backward(x, kept, scale), kept

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep what the derivative needs."""
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])
        ctx.scale = inputs[3]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        """The derivative."""
        return torch.ops.aten.native_dropout_backward(grad, ctx.saved_tensors[0], ctx.scale), None, None, None


def keep(x: Tensor, drawn: Tensor, rate: float, out: Tensor | None = None) -> Tensor:
    """x where the uniform numbers `drawn` are `rate` or more, else 0, into `out` where that is given. As one pass over
    floats: masks of bools take several times as long."""
    if out is not None:
        return torch.ops.aten.threshold_backward.grad_input(x, drawn, below(rate, x.dtype), grad_input=out)
    return torch.ops.aten.threshold_backward(x, drawn, below(rate, x.dtype))


@lru_cache(maxsize=64)
def below(rate: float, dtype: torch.dtype) -> float:
    """The largest number of a type below `rate`, as that type has it."""
    kind = np.float64 if dtype == torch.float64 else np.float32
    return float(np.nextafter(kind(rate), kind(-1)))


@lru_cache(maxsize=64)
def kept_scale(rate: float, dtype: torch.dtype) -> float:
    """What is kept is multiplied by: 1 / (1 - rate), rounded as a type has it."""
    kind = np.float64 if dtype == torch.float64 else np.float32
    return float(kind(1) / kind(1 - rate))


def own_dropout(model: nn.Module) -> nn.Module:
    """Replace every plain `nn.Dropout` below `model` by ours, in place, so that anyone's model can train in an
    ensemble."""
    for name, child in model.named_children():
        if type(child) is nn.Dropout:
            setattr(model, name, Dropout(child.p))
        else:
            own_dropout(child)
    return model
