"""Multi-head attention over padded sequences, and the pre-norm transformer block made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from archrank.encoders.ensembling.launches import launch_bound
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.ensembling.stacked import over_members

BARRED = -1e9  # a pair that may not look at each other
# Padding is far below BARRED, so that a row with every pair barred spreads over what is there, never over padding.
ABSENT = -1e30
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "gelu": torch.nn.functional.gelu}


def absent(present: Tensor, dtype: torch.dtype) -> Tensor:
    """Score offsets for keys: 0 where bool `present` holds, else so low that the softmax gives exactly 0."""
    return torch.zeros(present.shape, dtype=dtype, device=present.device).masked_fill(~present, ABSENT)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[..., L, heads * d] -> [..., heads, L, d]."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(-2, -3)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    allowed: Tensor | None = None,
    offset: Tensor | None = None,
    drop: nn.Module | None = None,
) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017) of queries [..., H, Q, d] over keys [..., H, K, d].

    Returns [..., Q, H * value dim], heads side by side.

    allowed: bool [..., Q, K], pairs that may look; a query that may look at nobody looks at every key alike.
    offset: float [..., Q or 1, K], added to the scores (`absent(...)` for padding; log m for a key that stands for m
    equal ones).
    drop: dropout on the weights.
    """
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if allowed is not None:
        scores = scores.masked_fill(~allowed.unsqueeze(-3), BARRED)
    if offset is not None:
        scores = scores + offset.unsqueeze(-3)
    weights = torch.softmax(scores, -1)
    if drop is not None:
        weights = drop(weights)
    return (weights @ value).transpose(-2, -3).flatten(-2)


def masked_softmax(scores: Tensor, allowed: Tensor, barred: Tensor | None = None) -> Tensor:
    """Softmax over the last dimension of scores [..., K] where bool `allowed` (broadcast) holds, 0 elsewhere; all 0 in
    a row without any. barred: where it does not, if the caller knows it anyway."""
    weights: Tensor
    if launch_bound(scores):
        barred = ~allowed if barred is None else barred
        weights = ShortMaskedSoftmax.apply(scores, barred.expand(torch.broadcast_shapes(scores.shape, barred.shape)))
    else:
        weights = MaskedSoftmax.apply(scores, allowed.expand(torch.broadcast_shapes(scores.shape, allowed.shape)))
    return weights


def keep_weights(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    """Keep what the derivative of a softmax needs: its value, and the shape of the scores."""
    ctx.save_for_backward(output)
    ctx.shape = inputs[0].shape


@over_members
class MaskedSoftmax(torch.autograd.Function):
    """`masked_softmax` with its derivative: over rows as short as these, torch's own softmax takes several times as
    long."""

    @staticmethod
    def forward(scores: Tensor, allowed: Tensor) -> Tensor:
        """The value, and what its derivative needs."""
        scores = torch.where(allowed, scores, -torch.inf)
        e = scores.sub_(scores.amax(-1, keepdim=True).clamp_(min=ABSENT)).exp_()
        return e.div_(e.sum(-1, keepdim=True).clamp_(min=torch.finfo(e.dtype).tiny))

    setup_context = staticmethod(keep_weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """The derivative."""
        (weights,) = ctx.saved_tensors
        product = grad * weights
        return product.sub_(weights * product.sum(-1, keepdim=True)).sum_to_size(ctx.shape), None


@over_members
class ShortMaskedSoftmax(torch.autograd.Function):
    """`masked_softmax` in few launches, with its derivative."""

    @staticmethod
    def forward(scores: Tensor, barred: Tensor) -> Tensor:
        """The value."""
        return torch.softmax(scores.masked_fill(barred, ABSENT), -1).masked_fill_(barred, 0.0)

    setup_context = staticmethod(keep_weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """The derivative."""
        (weights,) = ctx.saved_tensors
        found: Tensor = torch.ops.aten._softmax_backward_data(grad, weights, -1, weights.dtype)
        return found.sum_to_size(ctx.shape), None


class Attention(nn.Module):
    """Multi-head attention with biased projections and dropout on the weights.

    project_query: False leaves queries as they come (learned queries need no projection).
    """

    def __init__(self, dim: int, heads: int, *, dropout: float = 0.0, project_query: bool = True) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"attention: dim {dim} is not a multiple of heads {heads}")
        self.heads = heads
        self.query = nn.Linear(dim, dim) if project_query else None
        self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(3))
        self.drop = Dropout(dropout)

    def forward(
        self, query: Tensor, context: Tensor, *, allowed: Tensor | None = None, offset: Tensor | None = None
    ) -> Tensor:
        """query [..., Q, dim], context [..., K, dim] -> [..., Q, dim]; `allowed` and `offset` as in `attend`."""
        asked = query if self.query is None else self.query(query)
        heads = (split_heads(x, self.heads) for x in (asked, self.key(context), self.value(context)))
        attended: Tensor = self.out(attend(*heads, allowed=allowed, offset=offset, drop=self.drop))
        return attended


class FeedForward(nn.Module):
    """Pre-norm feed-forward part of a transformer block, its residual included: x + W2 drop(act(W1 LN(x)))."""

    def __init__(
        self, dim: int, hidden: int, *, dropout: float = 0.0, residual_dropout: float = 0.0, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.wide, self.narrow = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.activation = ACTIVATIONS[activation]
        self.drop, self.drop_residual = Dropout(dropout), Dropout(residual_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        return x + self.drop_residual(self.narrow(self.drop(self.activation(self.wide(self.norm(x))))))


class Block(nn.Module):
    """A pre-norm transformer block: x + attention(LN(x)), then `FeedForward`.

    dropout acts on attention weights and inside the feed-forward part; residual_dropout on what either adds to x.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int,
        *,
        dropout: float = 0.0,
        residual_dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout=dropout)
        self.drop = Dropout(residual_dropout)
        self.feed = FeedForward(dim, hidden, dropout=dropout, residual_dropout=residual_dropout, activation=activation)

    def forward(self, x: Tensor, *, allowed: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
        """x [..., L, dim] -> [..., L, dim]; `allowed` [..., L, L] and `offset` [..., L or 1, L] as in `attend`."""
        y = self.norm(x)
        x = x + self.drop(self.attention(y, y, allowed=allowed, offset=offset))
        done: Tensor = self.feed(x)
        return done
