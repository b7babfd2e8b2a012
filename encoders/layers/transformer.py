"""Self-attention whose heads may have masks and biases of their own, and the post-norm transformer block made of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.attention import masked_softmax, split_heads


class SelfAttention(nn.Module):
    """Multi-head self-attention; queries, keys and values come from one projection, stacked in this order.

    dim: of tokens. heads: number of heads. width: of one head (None: dim / heads). bias: of both projections.
    dropout: rate on attention weights. beside: features that the output projection reads in front of the heads'.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        beside: int = 0,
    ) -> None:
        super().__init__()
        if width is None and dim % heads:
            raise ValueError(f"attention: dim {dim} is not a multiple of heads {heads}")
        self.heads, self.width = heads, width or dim // heads
        self.project = nn.Linear(dim, 3 * heads * self.width, bias)
        self.out = nn.Linear(beside + heads * self.width, dim, bias)
        self.drop = Dropout(dropout)

    def forward(
        self, x: Tensor, allowed: Tensor, *, offset: Tensor | None = None, beside: Tensor | None = None
    ) -> Tensor:
        """Tokens x [B, L, dim] -> [B, L, dim].

        allowed: bool [B, heads or 1, L or 1, L], row = query; a token that may look at nobody hears nothing.
        offset: float [B, heads, L, L], added to the scores. beside: [B, L, beside].
        """
        query, key, value = (split_heads(part, self.heads) for part in self.project(x).chunk(3, -1))
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.width)
        if offset is not None:
            scores = scores + offset
        weights = self.drop(masked_softmax(scores, allowed))
        heard = (weights @ value).transpose(-2, -3).flatten(-2)
        mixed: Tensor = self.out(heard if beside is None else torch.cat([beside, heard], -1))
        return mixed

    def start_as_torch(self) -> SelfAttention:
        """Initial weights as of `nn.MultiheadAttention`: Xavier for the stacked projection, biases of zero."""
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.out.bias)
        return self


class PostNormBlock(nn.Module):
    """LN(x + attention(x)), then LN(x + W2 relu(W1 x)): the block of Vaswani et al. 2017, attention without biases.

    dropout: rate on attention weights and on what either part adds to x. beside: as of `SelfAttention`.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int,
        *,
        width: int | None = None,
        dropout: float = 0.0,
        beside: int = 0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, heads, width=width, bias=False, dropout=dropout, beside=beside)
        self.norm_attention, self.norm_feed = nn.LayerNorm(dim, eps), nn.LayerNorm(dim, eps)
        self.wide, self.narrow = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, allowed: Tensor, beside: Tensor | None = None) -> Tensor:
        """x [B, L, dim] -> [B, L, dim]; `allowed` and `beside` as of `SelfAttention`."""
        x = self.norm_attention(x + self.drop(self.attention(x, allowed, beside=beside)))
        done: Tensor = self.norm_feed(x + self.drop(self.narrow(torch.relu(self.wide(x)))))
        return done
