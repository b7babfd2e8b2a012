"""Losses for a whole ensemble at once: scores and labels [M, B] (M members, B architectures) -> one loss per member [M]."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.eval.engine.recipes import Recipe


def supervised(recipe: Recipe, scores: Tensor, labels: Tensor, drawn: Tensor | None = None) -> Tensor:
    """The recipe's loss [M] of scores [M, B] against labels [M, B].

    drawn: uniform numbers [M, B, B], needed where the recipe caps the pairs; the first column of each row orders the matches of `difference`.
    """
    if recipe.loss == "mse":
        loss = ((scores - labels) ** 2).mean(-1)
    elif recipe.loss == "l1":
        loss = (scores - labels).abs().mean(-1)
    elif recipe.loss == "hinge":
        loss = hinge(scores, labels, recipe.margin, pair_mask(labels, recipe.pairs_per_item, drawn))
    elif recipe.loss == "bpr":
        gap = (scores.unsqueeze(-1) - scores.unsqueeze(-2)) * torch.sign(labels.unsqueeze(-1) - labels.unsqueeze(-2))
        loss = mean_over(torch.nn.functional.softplus(-gap), pair_mask(labels, recipe.pairs_per_item, drawn))
    else:
        raise ValueError(f"loss '{recipe.loss}' is not a loss of scores")
    if recipe.difference and drawn is not None:
        order = drawn[..., 0].argsort(-1)
        gap = (scores - scores.gather(-1, order)) - (labels - labels.gather(-1, order))
        loss = loss + recipe.difference * gap.abs().mean(-1)
    return loss


def hinge(scores: Tensor, labels: Tensor, margin: float, pairs: Tensor) -> Tensor:
    """Mean over the pairs (bool [M, B, B]) of max(0, margin - sign(y_i - y_j)(s_i - s_j)); 0 where a member has no pair."""
    sign = torch.sign(labels.unsqueeze(-1) - labels.unsqueeze(-2))
    return mean_over(torch.relu(margin - sign * (scores.unsqueeze(-1) - scores.unsqueeze(-2))), pairs)


def relation(logits: Tensor, labels: Tensor) -> Tensor:
    """BRP-NAS: KL of the softmax of two labels from the predicted odds, over all ordered pairs; logits[m, i, j] = odds that i beats j."""
    truth = torch.sigmoid(labels.unsqueeze(-1) - labels.unsqueeze(-2))
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    loss = loss - torch.special.entr(truth) - torch.special.entr(1 - truth)
    off = ~torch.eye(labels.shape[-1], dtype=torch.bool, device=labels.device)
    return mean_over(loss, off.expand_as(loss))


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last two dimensions of the entries in mask; 0 where there is none."""
    weight = mask.to(values.dtype)
    return (values * weight).sum((-1, -2)) / weight.sum((-1, -2)).clamp(min=1)


def pair_mask(labels: Tensor, per_item: float | None, drawn: Tensor | None) -> Tensor:
    """bool [M, B, B]: pairs i < j with different labels; at most int(per_item * B) of them, drawn without replacement."""
    size = labels.shape[-1]
    upper = torch.ones(size, size, dtype=torch.bool, device=labels.device).triu(1)
    pairs = upper & (labels.unsqueeze(-1) != labels.unsqueeze(-2))
    if per_item is None or int(per_item * size) >= size * (size - 1) // 2 or drawn is None:
        return pairs
    ranked = torch.where(pairs, drawn[..., :size, :size], 2.0).flatten(-2)
    last = ranked.kthvalue(int(per_item * size), -1, keepdim=True).values
    return pairs & (ranked <= last).view_as(pairs)
