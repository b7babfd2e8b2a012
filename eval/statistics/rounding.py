"""Numbers with the digits that their interval allows."""

from __future__ import annotations

import math

from archrank.eval.metrics import digits
from archrank.eval.statistics.results import Interval

__all__ = ["rounded"]

UNKNOWN_DECIMALS = 3


def _number(value: float, decimals: int, signed: bool) -> str:
    value = round(value, decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"


def rounded(interval: Interval, *, signed: bool = False, bare: bool = False) -> str:
    """E.g. "0.871 [0.852, 0.890]", "+0.031 [+0.012, +0.050]"; ``bare``: only the estimate, same digits.

    "n/a" for an estimate that is NaN; three decimals where there is no interval to say how many are known.
    """
    if math.isnan(interval.estimate):
        return "n/a"
    if math.isnan(interval.low):
        return _number(interval.estimate, UNKNOWN_DECIMALS, signed) + ("" if bare else " [no interval]")
    decimals = digits(interval.half_width)
    centre, low, high = (_number(value, decimals, signed) for value in (interval.estimate, interval.low, interval.high))
    return centre if bare else f"{centre} [{low}, {high}]"
