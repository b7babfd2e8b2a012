"""A paired comparison, and the sentence that says it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from archrank.eval.metrics import METRICS
from archrank.eval.statistics.results import ALPHA, Interval
from archrank.eval.statistics.rounding import rounded

__all__ = ["Comparison", "sentence"]


@dataclass(frozen=True)
class Comparison:
    """The paired difference ``a - b`` on the splits both have, and whether it is significant.

    Attributes:
        a, b: labels.
        metric: its column name.
        better: whether a "higher" or a "lower" value of the metric is better.
        difference: mean of a - b with its 95 % interval (of this one comparison, unadjusted).
        p: two-sided p-value of this one comparison; NaN where no test is possible.
        p_adjusted: Holm-adjusted over the ``family`` comparisons made together.
        family: number of comparisons made together (1: only this one).
        win_rate: share of the settings in which a is better (a tie counts half), weighted as the means are.
        settings: number of paired (benchmark, target, budget, seed) settings.
        units: number of independent units the difference rests on: search spaces or paired splits, see its ``kind``.
        spaces, benchmarks, budgets: what the difference was taken over. A benchmark is written "name/target".
    """

    a: str
    b: str
    metric: str
    better: Literal["higher", "lower"]
    difference: Interval
    p: float
    p_adjusted: float
    family: int
    win_rate: float
    settings: int
    units: int
    spaces: tuple[str, ...]
    benchmarks: tuple[str, ...]
    budgets: tuple[int, ...]

    def adjusted(self, p: float, family: int) -> Comparison:
        """The same comparison as one of ``family`` made together, with its adjusted p-value."""
        return replace(self, p_adjusted=p, family=family)

    def __str__(self) -> str:
        """The comparison as a sentence."""
        return sentence(self)

    @property
    def significant(self) -> bool:
        """True only if the interval excludes 0 and the adjusted test agrees; never from a single split of one search
        space."""
        testable = self.difference.kind in ("spaces", "splits") and math.isfinite(self.p_adjusted)
        return testable and self.p_adjusted < ALPHA and not self.difference.covers(0.0)

    @property
    def winner(self) -> str | None:
        """The better label of a significant difference, else None."""
        if not self.significant:
            return None
        return self.a if (self.difference.estimate > 0) == (self.better == "higher") else self.b


def _where(comparison: Comparison) -> str:
    if len(comparison.benchmarks) == 1:
        place = comparison.benchmarks[0]
    else:
        spaces = len(comparison.spaces)
        over = f"{spaces} search spaces" if spaces > 1 else comparison.spaces[0]
        place = f"{len(comparison.benchmarks)} benchmarks of {over}"
    budgets = [str(budget) for budget in comparison.budgets]
    if len(budgets) == 1:
        return f"on {place} at {budgets[0]} labels"
    return f"on {place} over {', '.join(budgets[:-1])} and {budgets[-1]} labels"


def _basis(comparison: Comparison) -> str:
    units = comparison.units
    if comparison.difference.kind == "spaces":
        return f"over {units} search spaces"
    return f"over {units} paired split{'' if units == 1 else 's'}"


def sentence(comparison: Comparison) -> str:
    """One sentence: who ranks better, where, by how much, over how many splits - or that nobody can tell.

    "flowerformer ranks significantly better than gcn on nasbench201/c10_val at 78 labels: tau +0.031 [+0.012, +0.050]
    over 5 paired splits." / "No significant difference between flowerformer and gcn on ...: tau +0.004 [-0.010, +0.018]
    over 5 paired splits." The number is that of the first-named minus that of the second.
    """
    name = "tau" if comparison.metric == "kendall" else comparison.metric
    difference, first, second = comparison.difference, comparison.a, comparison.b
    winner = comparison.winner
    if winner == second:
        first, second = second, first
        difference = Interval(
            -difference.estimate, -difference.high, -difference.low, difference.kind, difference.units
        )
    number = f"{name} {rounded(difference, signed=True)} {_basis(comparison)}"
    where = _where(comparison)
    if winner is None:
        reason = ""
        if comparison.units < 2:
            reason = " (one split cannot tell what another would give)"
        elif difference.kind == "test size":
            reason = " (where a search space has one split, that cannot tell what another would give)"
        elif difference.kind == "none":
            reason = (
                " (every split gives the same difference, or a search space has one split: nothing says how sure it is)"
            )
        elif not difference.covers(0.0):
            reason = f" (after Holm's correction for {comparison.family} comparisons)"
        return f"No significant difference between {first} and {second} {where}: {number}{reason}."
    if comparison.metric in METRICS:
        verb = (
            "ranks significantly better than"
            if METRICS[comparison.metric].unit != "target"
            else "loses significantly less than"
        )
    else:
        verb = f"has significantly {comparison.better} {name} than"
    return f"{first} {verb} {second} {where}: {number}."
