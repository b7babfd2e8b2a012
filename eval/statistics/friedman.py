"""Friedman's test and the critical difference over search spaces, from six independent spaces on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from archrank.eval.statistics.bootstrap import benchmarks_of
from archrank.eval.statistics.coverage import coverage
from archrank.eval.statistics.metric_range import Better, direction_of
from archrank.eval.statistics.paired import evenly, paired_results
from archrank.eval.statistics.results import ALPHA
from archrank.eval.statistics.tiers import holm

__all__ = ["MIN_SPACES", "Friedman", "friedman"]

MIN_SPACES = 6
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Friedman:
    """Friedman's test with a block per search space, or the reason why there is none.

    Attributes:
        possible: False when there is no test; then all but ``labels``, ``spaces`` and ``reason`` are empty.
        reason: one sentence.
        labels: the labels compared, sorted.
        spaces: the blocks.
        ranks: label -> mean rank over spaces (1 = best), best first.
        statistic, p: Friedman's chi-square and its p-value.
        p_f: p-value of Iman and Davenport's F (1980), the better approximation for few blocks.
        critical_difference: of two mean ranks, Nemenyi, 5 %.
        nemenyi: [L, L] frame of p-values.
        holm: [L, L] frame of p-values of the z test on mean ranks, Holm over all pairs (more power than Nemenyi).
        groups: maximal runs of labels that Nemenyi's test does not tell apart: the bars of the diagram.
    """

    possible: bool
    reason: str
    labels: tuple[str, ...]
    spaces: tuple[str, ...]
    ranks: dict[str, float]
    statistic: float
    p: float
    p_f: float
    critical_difference: float
    nemenyi: pd.DataFrame | None
    holm: pd.DataFrame | None
    groups: tuple[tuple[str, ...], ...]


def _refused(reason: str, labels: tuple[str, ...], spaces: tuple[str, ...]) -> Friedman:
    nan = math.nan
    return Friedman(False, reason, labels, spaces, {}, nan, nan, nan, nan, None, None, ())


def friedman(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    better: Better | None = None,
) -> Friedman:
    """Friedman's test over the spaces' means, those of the leaderboard (J. Demšar, 2006, JMLR 7, section 3.2).

    With fewer than six spaces or three labels `Friedman.possible` is False and its ``reason`` says why.

    Raises:
        ComparisonError: as `bootstrap`.
    """
    covered = coverage(frame, metric, labels)
    spaces = tuple(sorted(covered.common["space"].astype(str).unique()))
    if len(spaces) < MIN_SPACES:
        what = f"{len(spaces)} independent search space{'s' if len(spaces) != 1 else ''}"
        return _refused(
            f"No Friedman test and no critical-difference diagram: they need at least {MIN_SPACES} independent search "
            f"spaces, and there {'are' if len(spaces) != 1 else 'is'} {what} (data sets and seeds of one space are "
            "not further spaces).",
            covered.labels,
            spaces,
        )
    if len(covered.labels) < 3:
        return _refused(
            "No Friedman test: it compares three or more encoders; for two see the paired difference.",
            covered.labels,
            spaces,
        )
    results = paired_results(covered)
    blocks = []
    for number in range(len(spaces)):
        within = results.take(results.space == number)
        benchmarks_of(within, metric)
        blocks.append(np.nanmean(within.x, axis=2) @ within.weights(evenly))
    sign = 1 if direction_of(metric, better) == "lower" else -1
    ranks: Floats = stats.rankdata(sign * np.array(blocks), axis=1)
    return _test(covered.labels, spaces, ranks)


def _test(labels: tuple[str, ...], spaces: tuple[str, ...], ranks: Floats) -> Friedman:
    """Everything from ``ranks`` [spaces, labels]."""
    n, k = ranks.shape
    mean = ranks.mean(axis=0)
    if (ranks == ranks[0, 0]).all():
        return _refused("No Friedman test: all encoders score the same in every space.", labels, spaces)
    test = stats.friedmanchisquare(*ranks.T)
    statistic, p = float(test.statistic), float(test.pvalue)
    left = n * (k - 1) - statistic
    p_f = 0.0 if left <= 0 else float(stats.f.sf((n - 1) * statistic / left, k - 1, (k - 1) * (n - 1)))
    error = math.sqrt(k * (k + 1) / (6 * n))
    z = np.abs(mean[:, None] - mean[None, :]) / error
    nemenyi = stats.studentized_range.sf(z * math.sqrt(2), k, math.inf)
    above = np.triu_indices(k, 1)
    stepped = np.ones((k, k))
    stepped[above] = holm(2 * stats.norm.sf(z[above]))
    critical = float(stats.studentized_range.isf(ALPHA, k, math.inf)) / math.sqrt(2) * error
    order = sorted(range(k), key=lambda i: (mean[i], labels[i]))
    runs: list[tuple[int, int]] = []
    for start in range(k):
        stop = max(j for j in range(start, k) if mean[order[j]] - mean[order[start]] < critical)
        if stop > start and (not runs or stop > runs[-1][1]):
            runs.append((start, stop))
    names = list(labels)
    return Friedman(
        possible=True,
        reason=f"Friedman's test over {n} search spaces: chi-square {statistic:.2f}, p = {p:.3g}.",
        labels=labels,
        spaces=spaces,
        ranks={labels[i]: float(mean[i]) for i in order},
        statistic=statistic,
        p=p,
        p_f=p_f,
        critical_difference=critical,
        nemenyi=pd.DataFrame(np.where(np.eye(k, dtype=bool), 1.0, nemenyi), names, names),
        holm=pd.DataFrame(np.minimum(stepped, stepped.T), names, names),
        groups=tuple(tuple(labels[i] for i in order[a : b + 1]) for a, b in runs),
    )
