"""What the statistics return: intervals, and the one error they raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from archrank.datasets.errors import ArchrankError

__all__ = ["ALPHA", "KINDS", "ComparisonError", "Interval", "IntervalKind"]

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
