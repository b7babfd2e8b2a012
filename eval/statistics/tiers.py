"""Paired comparisons, tiers (compact letter display) and the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from archrank.eval.statistics.bootstrap import Bootstrap
from archrank.eval.statistics.results import Comparison

__all__ = ["compare", "compare_each", "leaderboard", "pairs", "tiers"]


def compare(
    frame: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "kendall",
    *,
    scope: Literal["auto", "spaces", "splits"] = "auto",
    better: Literal["higher", "lower"] | None = None,
) -> Comparison:
    """One paired comparison of ``a`` and ``b`` over all cells both have (a family of its own)."""
    raise NotImplementedError


def compare_each(
    frame: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "kendall",
    *,
    by: Sequence[str] = ("benchmark", "target", "budget"),
    better: Literal["higher", "lower"] | None = None,
) -> list[Comparison]:
    """One `Comparison` per group of ``by`` that both labels have, Holm-adjusted over the rows, in sorted order."""
    raise NotImplementedError


def pairs(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    scope: Literal["auto", "spaces", "splits"] = "auto",
    better: Literal["higher", "lower"] | None = None,
) -> list[Comparison]:
    """All L (L - 1) / 2 comparisons on the cells *every* label has, Holm-adjusted over all pairs; the better one is a."""
    raise NotImplementedError


def tiers(result: Bootstrap, labels: Sequence[str] | None = None) -> dict[str, str]:
    """Letters per label, best first: labels share a letter if and only if their difference is not real.

    Holm over all pairs keeps the chance of *any* false separation at 5 %; "a" is the tier of the best. ``labels``
    restricts to a subset and adjusts for that subset only.
    """
    raise NotImplementedError


def leaderboard(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    scope: Literal["auto", "spaces", "splits"] = "auto",
    better: Literal["higher", "lower"] | None = None,
) -> pd.DataFrame:
    """One row per label, best first, over the cells every label has.

    Columns: ``label mean low high rank rank_low rank_high first win_rate win_low win_high tier kind units cells``.
    ``rank_low .. rank_high``: every rank the pairwise tests leave open, for all labels at once (95 %). ``first``: share
    of the draws in which the label leads. ``win_rate``: share of (cell, opponent) pairs won, ties half. The frame's
    ``attrs["notes"]`` holds sentences to print below the table.
    """
    raise NotImplementedError
