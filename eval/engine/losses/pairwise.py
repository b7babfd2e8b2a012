"""Losses of differences: which of two architectures is the better one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from archrank.eval.engine.losses import loss


@loss("hinge", over="pairs")
def hinge(scores: Tensor, labels: Tensor, pairs: Tensor, *, margin: float = 0.1) -> Tensor:
    """Mean over pairs of max(0, margin - sign(y_i - y_j)(s_i - s_j)); 0 where a member has no pair."""
    sign = torch.sign(labels.unsqueeze(-1) - labels.unsqueeze(-2))
    return mean_over(torch.relu(margin - sign * (scores.unsqueeze(-1) - scores.unsqueeze(-2))), pairs)


@loss("bpr", over="pairs")
def bpr(scores: Tensor, labels: Tensor, pairs: Tensor) -> Tensor:
    """Mean over pairs of softplus(-sign(y_i - y_j)(s_i - s_j)) (Bayesian personalised ranking)."""
    gap = (scores.unsqueeze(-1) - scores.unsqueeze(-2)) * torch.sign(labels.unsqueeze(-1) - labels.unsqueeze(-2))
    return mean_over(softplus(-gap), pairs)


@loss("bce", over="pairs", ties=True)
def bce(scores: Tensor, labels: Tensor, pairs: Tensor, *, soft: bool = False) -> Tensor:
    """Mean over pairs of the cross-entropy of sigmoid(s_i - s_j) with 1, 1/2 (a tie) or 0 (RankNet).

    C. Burges et al., "Learning to Rank using Gradient Descent", ICML 2005. soft: with sigmoid(y_i - y_j) in their
    place.
    """
    gap = labels.unsqueeze(-1) - labels.unsqueeze(-2)
    truth = torch.sigmoid(gap) if soft else 0.5 + 0.5 * torch.sign(gap)
    odds = scores.unsqueeze(-1) - scores.unsqueeze(-2)
    return mean_over(binary_cross_entropy_with_logits(odds, truth, reduction="none"), pairs)


@loss("relation", over="odds")
def relation(odds: Tensor, labels: Tensor) -> Tensor:
    """Mean over ordered pairs of the divergence of the predicted odds from the softmax of the two labels (BRP-NAS)."""
    truth = torch.sigmoid(labels.unsqueeze(-1) - labels.unsqueeze(-2))
    divergence = binary_cross_entropy_with_logits(odds, truth, reduction="none")
    divergence = divergence - torch.special.entr(truth) - torch.special.entr(1 - truth)
    off = ~torch.eye(labels.shape[-1], dtype=torch.bool, device=labels.device)
    return mean_over(divergence, off.expand_as(divergence))


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last two dimensions of the entries in mask; 0 where there is none."""
    weight = mask.to(values.dtype)
    return (values * weight).sum((-1, -2)) / weight.sum((-1, -2)).clamp(min=1)


def pair_mask(labels: Tensor, per_item: float | None, noise: Tensor | None, ties: bool = False) -> Tensor:
    """The pairs to compare: bool [M, B, B], i < j, with different labels.

    labels: [M, B]. per_item: at most int(per_item * B) pairs (None: all), drawn without replacement by `noise`, uniform
    numbers [M, B, B].
    ties: pairs of equal labels too.
    """
    size = labels.shape[-1]
    upper = torch.ones(size, size, dtype=torch.bool, device=labels.device).triu(1)
    pairs = upper.expand(*labels.shape, size) if ties else upper & (labels.unsqueeze(-1) != labels.unsqueeze(-2))
    if per_item is None or int(per_item * size) >= size * (size - 1) // 2 or noise is None:
        return pairs
    ranked = torch.where(pairs, noise[..., :size, :size], 2.0).flatten(-2)
    last = ranked.kthvalue(int(per_item * size), -1, keepdim=True).values
    return pairs & (ranked <= last).view_as(pairs)
