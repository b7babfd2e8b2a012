"""How many labels an encoder needs: sample-efficiency curves read sideways, and the area under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from archrank.eval.statistics.bootstrap import Bootstrap

__all__ = ["Efficiency", "area_under_curve", "curve", "label_efficiency"]


@dataclass(frozen=True)
class Efficiency:
    """How many labels ``b`` needs to reach what ``a`` has at ``at``.

    Attributes:
        labels: the number; 0 for "fewer than the smallest budget", infinity for "more than the largest".
        low, high: 95 % interval, with the same two ends; NaN where there is none (one seed).
        smallest, largest: the budgets the curves span.
        cells, splits: what it rests on.
    """

    a: str
    b: str
    at: int
    metric: str
    labels: float
    low: float
    high: float
    smallest: int
    largest: int
    cells: int
    splits: int

    def sentence(self) -> str:
        """E.g. "gcn needs 156 labels [110, more than 390] to reach what flowerformer has at 78 labels."."""
        raise NotImplementedError


def label_efficiency(
    frame: pd.DataFrame,
    a: str,
    b: str,
    at: int = 78,
    metric: str = "kendall",
    *,
    scope: Literal["auto", "spaces", "splits"] = "auto",
    draws: int = 4000,
    seed: int = 0,
) -> Efficiency:
    """Labels ``b`` needs to reach what ``a`` has at ``at`` labels: monotone interpolation in log budget, paired draws.

    Raises:
        ComparisonError: as `coverage`, a budget ``at`` that was not run, or fewer than two common budgets.
    """
    raise NotImplementedError


def curve(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    scope: Literal["auto", "spaces", "splits"] = "auto",
    better: Literal["higher", "lower"] | None = None,
) -> pd.DataFrame:
    """Mean over benchmarks per (label, budget), common cells: columns ``label budget mean low high kind units``."""
    raise NotImplementedError


def area_under_curve(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    scope: Literal["auto", "spaces", "splits"] = "auto",
    better: Literal["higher", "lower"] | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> Bootstrap:
    """Mean of the metric over log budget (trapezoids between the budgets all labels have), per label, in its unit.

    The result is a `Bootstrap`, so values, differences and tiers of areas come as for means.
    """
    raise NotImplementedError
