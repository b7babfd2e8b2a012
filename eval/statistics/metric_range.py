"""Which way a metric is better, and where its values end."""

from __future__ import annotations

import math
from typing import Literal

from archrank.eval.metrics import METRICS
from archrank.eval.statistics.results import ComparisonError, Interval

__all__ = ["Better", "cut", "direction_of"]

Better = Literal["higher", "lower"]


def direction_of(metric: str, better: Better | None) -> Better:
    """Which way the metric is better: as given, else as `METRICS` says.

    Raises:
        ComparisonError: a column that is not a metric, without ``better``.
    """
    if better is not None:
        return better
    if metric not in METRICS:
        raise ComparisonError(f'{metric!r} is not a known metric: say better="higher" or better="lower"')
    return "higher" if METRICS[metric].direction == "max" else "lower"


def cut(interval: Interval, metric: str) -> Interval:
    """The interval inside the metric's bounds."""
    low, high = METRICS[metric].bounds if metric in METRICS else (-math.inf, math.inf)
    if interval.kind == "none":
        return interval
    return Interval(interval.estimate, max(low, interval.low), min(high, interval.high), interval.kind, interval.units)
