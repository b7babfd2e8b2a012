"""Paired comparisons, tiers (compact letter display) and the leaderboard."""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from archrank.eval.statistics.bootstrap import Bootstrap, Scope, aggregate, resampled
from archrank.eval.statistics.comparison import Comparison
from archrank.eval.statistics.coverage import coverage
from archrank.eval.statistics.metric_range import Better, direction_of
from archrank.eval.statistics.paired import PairedResults, evenly, paired_results
from archrank.eval.statistics.results import ALPHA, ComparisonError, Interval

__all__ = ["as_family", "compare", "compare_each", "holm", "leaderboard", "letters", "pairs", "tiers", "win_rates"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def holm(p: Floats) -> Floats:
    """Holm's step-down adjustment of ``p`` [M] (1979); NaN counts as a test that cannot be won and stays NaN."""
    filled = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(filled, kind="stable")
    stepped = np.maximum.accumulate(filled[order] * np.arange(filled.size, 0, -1))
    adjusted = np.empty_like(filled)
    adjusted[order] = np.minimum(1.0, stepped)
    return np.where(np.isnan(p), np.nan, adjusted)


def letters(significant: Bools) -> list[str]:
    """Compact letter display of a symmetric relation ``significant`` [L, L], labels in the order best to worst.

    Two labels share a letter if and only if they do not differ significantly, with as few redundant letters as the
    insert-and-absorb algorithm leaves (H.-P. Piepho, 2004, J. Comput. Graph. Stat. 13). Many labels whose differences
    follow no order, as few splits leave them, make more groups than there are letters, at worst exponentially many:
    then "a" marks the first label and those without a significant difference from it, and the others have none.
    """
    count = len(significant)
    columns: list[frozenset[int]] = [frozenset(range(count))]
    for i, j in itertools.combinations(range(count), 2):
        if not significant[i, j]:
            continue
        rest = [c for c in columns if not {i, j} <= c]
        parts = {c - {one} for c in columns if {i, j} <= c for one in (i, j)}
        columns = rest + [part for part in parts if not any(part < other for other in (*rest, *parts))]
        if len(columns) > len(string.ascii_letters):
            return ["" if apart else "a" for apart in significant[0]]
    columns.sort(key=sorted)
    return ["".join(name for name, column in zip(string.ascii_letters, columns) if i in column) for i in range(count)]


def _sorted(result: Bootstrap, labels: Sequence[str] | None) -> list[int]:
    """Indices of the labels asked for, best first, equals by name."""
    unknown = sorted(set(labels or ()) - set(result.labels))
    if unknown:
        raise ComparisonError(f"{unknown[0]!r} is not among the compared labels: {', '.join(result.labels)}")
    chosen = [i for i, label in enumerate(result.labels) if labels is None or label in labels]
    sign = -1.0 if result.better == "higher" else 1.0
    return sorted(chosen, key=lambda i: (sign * result.estimate[i], result.labels[i]))


def _significant(result: Bootstrap, order: list[int]) -> Bools:
    """[n, n] whether two labels differ significantly, Holm over all pairs of ``order``."""
    n = len(order)
    above = np.triu_indices(n, 1)
    p = result.p_values()[np.ix_(order, order)]
    table = np.zeros((n, n), dtype=bool)
    table[above] = np.nan_to_num(holm(p[above]), nan=1.0) < ALPHA
    return table | table.T


def tiers(result: Bootstrap, labels: Sequence[str] | None = None) -> dict[str, str]:
    """Letters per label, best first: labels share a letter if and only if their difference is not significant (where
    letters do not suffice, as `letters` has it).

    Holm over all pairs keeps the chance of *any* false difference at 5 %; "a" is the tier of the best. ``labels``
    restricts to a subset and adjusts for that subset only.
    """
    order = _sorted(result, labels)
    return {result.labels[i]: mark for i, mark in zip(order, letters(_significant(result, order)))}


def _comparison(result: Bootstrap, a: str, b: str, p_adjusted: float, family: int, win_rate: float) -> Comparison:
    difference, p = result.difference(a, b)
    return Comparison(
        a=a,
        b=b,
        metric=result.metric,
        better=result.better,
        difference=difference,
        p=p,
        p_adjusted=p if family == 1 else p_adjusted,
        family=family,
        win_rate=win_rate,
        settings=result.settings,
        units=result.units,
        spaces=result.spaces,
        benchmarks=result.benchmarks,
        budgets=result.budgets,
    )


def _wins(results: PairedResults, better: Better) -> Floats:
    """[L, L] share of the settings in which the first beats the second, a tie counts half; settings weigh as in the
    means."""
    x = results.x if better == "higher" else -results.x
    first, second = x[:, None], x[None, :]
    won = np.where(np.isnan(first), np.nan, (first > second) + 0.5 * (first == second))
    weight = results.weights(evenly)
    return np.asarray(np.nanmean(won, axis=3) @ (weight / weight.sum()))


def _two(result: Bootstrap, used: PairedResults, a: str, b: str) -> Comparison:
    won = _wins(used, result.better)[result.labels.index(a), result.labels.index(b)]
    return _comparison(result, a, b, math.nan, 1, float(won))


def compare(
    frame: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "kendall",
    *,
    scope: Scope = "auto",
    better: Better | None = None,
) -> Comparison:
    """One paired comparison of ``a`` and ``b`` over all settings both have (a family of its own).

    Raises:
        ComparisonError: as `bootstrap`, or ``a`` is ``b``.
    """
    if a == b:
        raise ComparisonError(f"{a} cannot be compared with itself")
    return _two(*resampled(frame, metric, [a, b], scope, better), a, b)


def compare_each(
    frame: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "kendall",
    *,
    by: Sequence[str] = ("space", "benchmark", "target", "budget"),
    better: Better | None = None,
) -> list[Comparison]:
    """One `Comparison` per group of ``by`` that both labels have, Holm-adjusted over the rows, in sorted order.

    ``by`` names columns out of space, benchmark, target and budget. Where the two share no setting the list is empty.
    """
    direction = direction_of(metric, better)
    covered = coverage(frame, metric, [a, b])
    if covered.common.empty:
        return []
    results = paired_results(covered)
    comparisons = []
    for _, group in results.tasks.groupby(list(by), observed=True):
        only = results.take(results.tasks.index.isin(group.index))
        comparisons.append(_two(*aggregate(only, metric, direction, "auto"), a, b))
    return as_family(comparisons)


def as_family(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons that were made together, Holm-adjusted over all of them."""
    adjusted = holm(np.array([comparison.p for comparison in comparisons], dtype=float))
    return [comparison.adjusted(float(p), len(comparisons)) for comparison, p in zip(comparisons, adjusted)]


def pairs(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    scope: Scope = "auto",
    better: Better | None = None,
) -> list[Comparison]:
    """All L (L - 1) / 2 comparisons on the settings *every* label has, Holm-adjusted over all pairs.

    Best label first; in every comparison ``a`` is the one with the better estimate.
    """
    result, used = resampled(frame, metric, labels, scope, better)
    order = _sorted(result, None)
    won = _wins(used, result.better)
    both = list(itertools.combinations(order, 2))
    table = result.p_values()
    adjusted = holm(np.array([table[i, j] for i, j in both], dtype=float))
    return [
        _comparison(result, result.labels[i], result.labels[j], float(p), len(both), float(won[i, j]))
        for (i, j), p in zip(both, adjusted)
    ]


def win_rates(result: Bootstrap, results: PairedResults) -> list[Interval]:
    """Per label the share of (setting, opponent) pairs it wins, with Clopper and Pearson's interval, one coin per
    independent unit.

    A unit's share lies between 0 and 1, so it varies at most as a coin does, and the interval has width where every
    unit agrees too.
    """
    n, units = len(result.labels), result.units
    if n < 2:
        return [Interval(math.nan, math.nan, math.nan, "none", units)] * n
    rate = (_wins(results, result.better).sum(axis=1) - 0.5) / (n - 1)
    if result.kind not in ("spaces", "splits"):
        return [Interval(float(share), math.nan, math.nan, "none", units) for share in rate]
    won = np.clip(rate * units, 0, units)
    low = np.nan_to_num(stats.beta.ppf(ALPHA / 2, won, units - won + 1), nan=0.0)  # not defined where nothing was won
    high = np.nan_to_num(stats.beta.ppf(1 - ALPHA / 2, won + 1, units - won), nan=1.0)
    return [
        Interval(float(share), float(least), float(most), result.kind, units)
        for share, least, most in zip(rate, low, high)
    ]


def leaderboard(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    scope: Scope = "auto",
    better: Better | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per label, best first, over the settings every label has.

    Columns: ``label mean low high rank rank_low rank_high first win_rate win_low win_high tier kind units settings``.
    ``rank_low .. rank_high``: every rank the pairwise tests leave open, for all labels at once (95 %). ``first``: share
    of the draws in which the label ranks first. ``win_rate``: share of (setting, opponent) pairs won, ties half. The
    frame's ``attrs["notes"]`` holds sentences to print below the table.
    """
    result, used = resampled(frame, metric, labels, scope, better, draws, seed)
    order = _sorted(result, None)
    significant = _significant(result, order)
    marks = letters(significant)
    wins = win_rates(result, used)
    known = result.kind in ("spaces", "splits") and draws > 0
    leads = result.ranks() == np.nanmin(result.ranks(), axis=1, keepdims=True) if known else None
    rows = []
    for place, i in enumerate(order):
        value = result.value(result.labels[i])
        equal = [result.estimate[j] == result.estimate[i] for j in order].index(True)
        rows.append(
            {
                "label": result.labels[i],
                "mean": value.estimate,
                "low": value.low,
                "high": value.high,
                "rank": equal + 1,
                "rank_low": 1 + int(significant[place, :place].sum()),
                "rank_high": len(order) - int(significant[place, place + 1 :].sum()),
                "first": math.nan if leads is None else float((leads[:, i] / leads.sum(axis=1)).mean()),
                "win_rate": wins[i].estimate,
                "win_low": wins[i].low,
                "win_high": wins[i].high,
                "tier": marks[place],
                "kind": value.kind,
                "units": result.units,
                "settings": result.settings,
            }
        )
    table = pd.DataFrame(rows)
    table.attrs["notes"] = list(result.notes)
    return table
