"""The loss that a recipe names, and what it adds to it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from archrank.eval.engine.losses import LOSSES
from archrank.eval.engine.losses.pairwise import pair_mask
from archrank.eval.engine.recipes import Recipe


def supervised(recipe: Recipe, scores: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
    """The recipe's loss [M] of scores [M, B] against labels [M, B].

    noise: uniform numbers [M, B, B], needed where the recipe caps the pairs; the first column of each row orders the
    pairs of `difference`.
    """
    chosen, options = LOSSES[recipe.loss], _options(recipe)
    if chosen.over == "odds":
        raise ValueError(f"loss '{recipe.loss}' is not a loss of scores")
    pairs = [pair_mask(labels, recipe.pairs_per_item, noise, chosen.ties)] if chosen.over == "pairs" else []
    loss = chosen(scores, labels, *pairs, **options)
    if recipe.difference and noise is not None:
        order = noise[..., 0].argsort(-1)
        gap = (scores - scores.gather(-1, order)) - (labels - labels.gather(-1, order))
        loss = loss + recipe.difference * gap.abs().mean(-1)
    return loss


def compared(recipe: Recipe, odds: Tensor, labels: Tensor) -> Tensor:
    """The loss [M] of log-odds [M, B, B] that row beats column: the recipe's, or `relation` where the recipe's is one
    of scores."""
    chosen = LOSSES[recipe.loss]
    return chosen(odds, labels, **_options(recipe)) if chosen.over == "odds" else LOSSES["relation"](odds, labels)


def _options(recipe: Recipe) -> dict[str, Any]:
    takes_margin = "margin" in LOSSES.find(recipe.loss).options
    return ({"margin": recipe.margin} if takes_margin else {}) | recipe.loss_options
