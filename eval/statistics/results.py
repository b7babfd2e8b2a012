"""What the statistics return: intervals, paired comparisons, and the one error they raise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from archrank.datasets.errors import ArchrankError

__all__ = ["ALPHA", "KINDS", "Comparison", "ComparisonError", "Interval", "IntervalKind"]

ALPHA = 0.05
"""Intervals are 95 % intervals, and this is the error rate of every test, throughout."""

IntervalKind = Literal["spaces", "splits", "test size", "none"]

KINDS: dict[str, str] = {
    "spaces": "over search spaces: of the mean over spaces like these (a single further one varies more)",
    "splits": "over splits and seeds, conditional on the benchmarks shown",
    "test size": "from one split, in one search space or all: only the sampling error of the finite test sets; what another split gives is unknown",
    "none": "no interval: one split, or every split gives exactly the same number",
}
"""What each kind of interval covers, in one line for a footnote."""


class ComparisonError(ArchrankError, ValueError):
    """The trials given cannot be compared (mixed protocols, recipes or splits, duplicates, nothing in common)."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval, in the unit of the metric; ``low`` and ``high`` are NaN for kind "none"."""

    estimate: float
    low: float
    high: float
    kind: IntervalKind
    units: int
    """Independent units the interval rests on: search spaces, or paired splits."""

    @property
    def half_width(self) -> float:
        """Half the interval's width; NaN without one."""
        return (self.high - self.low) / 2

    def covers(self, value: float) -> bool:
        """Whether ``value`` lies in the interval; an interval that does not exist rules nothing out."""
        return not (value < self.low or value > self.high)


@dataclass(frozen=True)
class Comparison:
    """The paired difference ``a - b`` on the splits both have, and whether it is real.

    Attributes:
        a, b: labels.
        metric: its column name.
        better: whether a "higher" or a "lower" value of the metric is better.
        difference: mean of a - b with its 95 % interval (of this one comparison, unadjusted).
        p: two-sided p-value of this one comparison; NaN where no test is possible.
        p_adjusted: Holm-adjusted over the ``family`` comparisons made together.
        family: number of comparisons made together (1: only this one).
        win_rate: share of the cells in which a is better (a tie counts half), weighted as the means are.
        cells: number of paired (benchmark, target, budget, seed) cells.
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
    cells: int
    units: int
    spaces: tuple[str, ...]
    benchmarks: tuple[str, ...]
    budgets: tuple[int, ...]

    def adjusted(self, p: float, family: int) -> Comparison:
        """The same comparison as one of ``family`` made together, with its adjusted p-value."""
        return replace(self, p_adjusted=p, family=family)

    def __str__(self) -> str:
        """The comparison as a sentence."""
        from archrank.eval.statistics.verdict import sentence

        return sentence(self)

    @property
    def real(self) -> bool:
        """True only if the interval excludes 0 and the adjusted test agrees; never from a single split of one search space."""
        testable = self.difference.kind in ("spaces", "splits") and math.isfinite(self.p_adjusted)
        return testable and self.p_adjusted < ALPHA and not self.difference.covers(0.0)

    @property
    def winner(self) -> str | None:
        """The better label of a real difference, else None."""
        if not self.real:
            return None
        return self.a if (self.difference.estimate > 0) == (self.better == "higher") else self.b
