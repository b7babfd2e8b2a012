"""Plain English with the digits that the interval allows."""

from __future__ import annotations

import math

from archrank.eval.metrics import METRICS, digits
from archrank.eval.statistics.results import Comparison, Interval

__all__ = ["rounded", "sentence"]

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

    "flowerformer ranks better than gcn on nasbench201/c10_val at 78 labels: tau +0.031 [+0.012, +0.050] over 5 paired
    splits." / "flowerformer and gcn are not separable on ...: tau +0.004 [-0.010, +0.018] over 5 paired splits."
    The number is that of the first-named minus that of the second.
    """
    name = "tau" if comparison.metric == "kendall" else comparison.metric
    difference, first, second = comparison.difference, comparison.a, comparison.b
    winner = comparison.winner
    if winner == second:
        first, second = second, first
        difference = Interval(-difference.estimate, -difference.high, -difference.low, difference.kind, difference.units)
    number = f"{name} {rounded(difference, signed=True)} {_basis(comparison)}"
    where = _where(comparison)
    if winner is None:
        reason = ""
        if comparison.units < 2:
            reason = " (one split cannot tell what another would give)"
        elif difference.kind == "test size":
            reason = " (where a search space has one split, that cannot tell what another would give)"
        elif difference.kind == "none":
            reason = " (every split gives the same difference, or a search space has one split: nothing says how sure it is)"
        elif not difference.covers(0.0):
            reason = f" (after Holm's correction for {comparison.family} comparisons)"
        return f"{first} and {second} are not separable {where}: {number}{reason}."
    if comparison.metric in METRICS:
        verb = "ranks better than" if METRICS[comparison.metric].unit != "target" else "loses less than"
    else:
        verb = f"has {comparison.better} {name} than"
    return f"{first} {verb} {second} {where}: {number}."
