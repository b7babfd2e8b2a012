"""Numbers with the digits that their interval allows."""

from __future__ import annotations

import math

from archrank.eval.metrics import digits
from archrank.eval.statistics.results import Interval

__all__ = ["rounded"]

UNKNOWN_DECIMALS = 3
FURTHER_DECIMALS = 2
"""Further decimals at most, where the end of a difference's interval would be rounded to 0."""


def _number(value: float, decimals: int, signed: bool) -> str:
    value = round(value, decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{value:+.{decimals}f}" if signed and value else f"{value:.{decimals}f}"


def rounded(interval: Interval, *, signed: bool = False, bare: bool = False) -> str:
    """E.g. "0.871 [0.852, 0.890]", "+0.031 [+0.012, +0.050]"; ``bare``: only the estimate, same digits.

    "n/a" for an estimate that is NaN; three decimals where there is no interval to say how many are known. The ends of
    a ``signed`` interval (a difference) have further decimals where they would be rounded to 0, since their sign says
    whether the interval holds 0: "+0.05 [-0.003, +0.113]".
    """
    if math.isnan(interval.estimate):
        return "n/a"
    if math.isnan(interval.low):
        return _number(interval.estimate, UNKNOWN_DECIMALS, signed) + ("" if bare else " [no interval]")
    decimals = digits(interval.half_width)
    centre = _number(interval.estimate, decimals, signed)
    ends = (interval.low, interval.high)
    more = FURTHER_DECIMALS if signed else 0
    finer = next(
        (d for d in range(decimals, decimals + more) if all(round(v, d) or not v for v in ends)), decimals + more
    )
    low, high = (_number(value, finer, signed) for value in ends)
    return centre if bare else f"{centre} [{low}, {high}]"
