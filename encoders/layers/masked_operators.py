"""CATE's network: a graph encoder for each architecture of a pair, and a cross encoder that guesses hidden ops."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.attention import Block

SMOOTHING = 0.1


class GraphEncoder(nn.Module):
    """Operation embeddings through pre-norm attention blocks masked to given pairs, then a layer norm.

    unused_norms: also carry the official code's per-layer output norms, of which only the last is ever read.
    """

    def __init__(
        self,
        vocabulary: int,
        dim: int,
        layers: int,
        heads: int,
        hidden: int,
        dropout: float,
        unused_norms: bool = False,
    ) -> None:
        super().__init__()
        self.scale = math.sqrt(dim)
        self.embed = nn.Embedding(vocabulary, dim)
        self.drop = Dropout(dropout)
        self.blocks = Stack(dim, layers, heads, hidden, dropout, unused_norms)

    def forward(self, tokens: Tensor, allowed: Tensor, offset: Tensor | None = None) -> Tensor:
        """tokens int64 [B, L], allowed bool [B, L, L], offset float [B, L, L] -> [B, L, dim]."""
        states: Tensor = self.blocks(self.drop(self.embed(tokens) * self.scale), allowed, offset)
        return states


class Stack(nn.Module):
    """Pre-norm blocks and the norm of what comes out of them."""

    def __init__(self, dim: int, layers: int, heads: int, hidden: int, dropout: float, unused_norms: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Block(dim, heads, hidden, dropout=dropout, residual_dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.unused = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers - 1)) if unused_norms else None

    def forward(self, x: Tensor, allowed: Tensor | None, offset: Tensor | None) -> Tensor:
        """x [B, L, dim] -> [B, L, dim]."""
        for layer in self.layers:
            x = layer(x, allowed=allowed, offset=offset)
        done: Tensor = self.norm(x)
        return done


class PairModel(nn.Module):
    """Both architectures of a pair through one graph encoder, then together through the cross encoder to operations.

    Output: log-probabilities [B, 2L, ops] over the operations of every position of [first; second].

    unit_embeddings: embeddings have unit size once they are scaled, instead of sqrt(dim) as in the official code, where
    they outweigh all that attention adds and what is hidden is hardly ever learned.
    """

    def __init__(
        self,
        ops: int,
        dim: int,
        layers: int,
        cross_layers: int,
        heads: int,
        hidden: int,
        cross_hidden: int,
        dropout: float,
        extra_tokens: int,
        unused_norms: bool = False,
        unit_embeddings: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = GraphEncoder(ops + extra_tokens, dim, layers, heads, hidden, dropout, unused_norms)
        self.segment = nn.Embedding(2, dim)
        self.drop = Dropout(dropout)
        self.cross = Stack(dim, cross_layers, heads, cross_hidden, dropout, unused_norms)
        self.dense, self.guess = nn.Linear(dim, dim), nn.Linear(dim, ops)
        if unit_embeddings:
            for embedding in (self.encoder.embed, self.segment):
                nn.init.normal_(embedding.weight, std=1 / math.sqrt(dim))

    def forward(self, tokens: Tensor, allowed: Tensor, offset: Tensor | None, present: Tensor | None) -> Tensor:
        """tokens int64 [2, B, L], allowed bool [2, B, L, L], offset float [2, B, L, L], present float [B, 1, 2L]."""
        states = self.encoder(tokens, allowed, offset)
        segments = self.drop(self.segment.weight * self.encoder.scale)
        joined = torch.cat([states[0] + segments[0], states[1] + segments[1]], -2)
        x = self.cross(joined, None, present)
        return torch.log_softmax(self.guess(self.drop(torch.tanh(self.dense(x)))), -1)


def corrupt(tokens: Tensor, real: Tensor, ops: int, mask_token: int, rate: float) -> tuple[Tensor, Tensor]:
    """Hide the operations of real positions, each with probability `rate`: by the mask token (80 %) or a random one.

    Returns the tokens with some replaced, and bool of the positions chosen, both in the shape of `tokens`.
    """
    chosen = (torch.rand(tokens.shape, device=tokens.device) < rate) & real
    masked = torch.rand(tokens.shape, device=tokens.device) < 0.8
    replacement = torch.where(masked, mask_token, torch.randint(ops, tokens.shape, device=tokens.device))
    return torch.where(chosen, replacement, tokens), chosen


def guess_loss(guesses: Tensor, tokens: Tensor, chosen: Tensor, skip_class_zero: bool = False) -> Tensor:
    """Mean over chosen positions of the divergence from smoothed true operations to the guesses.

    guesses: log-probabilities [..., ops]; tokens: true operations [...]; chosen: bool [...].
    skip_class_zero: the official loss, whose padding label is operation 0: positions that truly hold it do not count,
    it is no possible target, and the smoothing is spread over the others.
    """
    ops = guesses.shape[-1]
    rest = max(ops - (2 if skip_class_zero else 1), 1)
    target = torch.full_like(guesses, SMOOTHING / rest).scatter(-1, tokens.unsqueeze(-1), 1 - SMOOTHING)
    if skip_class_zero:
        target = torch.cat([torch.zeros_like(target[..., :1]), target[..., 1:]], -1)
        chosen = chosen & (tokens != 0)
    divergence = (torch.xlogy(target, target) - target * guesses).sum(-1)
    return (divergence * chosen).sum() / chosen.sum().clamp(min=1)
