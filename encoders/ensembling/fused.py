"""Ways of computing the same that differ in where they are fast.

Called as it stands, a layer costs as much as it makes calls, so products with matrices of zeros and ones are cheap. In
a compiled program there are no
calls: gathers and sums are fused with what stands around them, and such products are work for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from archrank.encoders.ensembling.stacked import over_members

_fused: ContextVar[bool] = ContextVar("fused", default=False)


@contextmanager
def fusing() -> Iterator[None]:
    """What is called inside becomes part of a compiled program."""
    token = _fused.set(True)
    try:
        yield
    finally:
        _fused.reset(token)


def fused() -> bool:
    """Whether what is called now becomes part of a compiled program."""
    return _fused.get()


def row_sums(x: Tensor, table: Tensor, inverse: Tensor) -> Tensor:
    """Sums of rows of x [B, N, d]: row r of the result [B, R, d] is the sum of rows table[r] of x.

    table: int64 [R, K], padded with N where K > 1. inverse: int64 [N, L], padded with R where L > 1: in which rows of
    the table each row of x stands.
    """
    sums: Tensor = RowSums.apply(x, table, inverse)
    return sums


@over_members
class RowSums(torch.autograd.Function):
    """x [*, B, N, d], table [*, R, K], inverse [*, N, L] -> [*, B, R, d]; its derivative is the same function with the
    tables exchanged."""

    @staticmethod
    def forward(x: Tensor, table: Tensor, inverse: Tensor) -> Tensor:
        """The value."""
        rows, most = table.shape[-2:]
        padded = torch.nn.functional.pad(x, (0, 0, 0, 1)) if most > 1 else x
        index = table.flatten(-2)[..., None, :, None].expand(*x.shape[:-2], rows * most, x.shape[-1])
        return torch.gather(padded, -2, index).unflatten(-2, (rows, most)).sum(-2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep the tables."""
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The derivative."""
        table, inverse = ctx.saved_tensors
        return RowSums.forward(grad, inverse, table), None, None
