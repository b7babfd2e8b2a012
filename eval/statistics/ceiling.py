"""Noise ceiling: how well a benchmark's own training seeds agree with each other."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from archrank.eval.statistics.results import Interval

__all__ = ["NoiseCeiling", "noise_ceiling"]

Floats = NDArray[np.float64]
MOST_HALVES = 20
MOST_ROWS = 1500
"""Rows whose pairs are counted for the standard error; the estimate itself uses all rows."""


@dataclass(frozen=True)
class NoiseCeiling:
    """Agreement between repeated measurements of the same architectures, as Kendall's tau.

    Attributes:
        single: tau between one repeat and the mean of the others, averaged over repeats: about what a perfect
            predictor trained on the others would score when tested against a single training run.
        halves: tau between the means of two halves of the repeats, averaged over the ways of halving.
        oracle: estimated tau of the noise-free score with the *mean of all repeats* - the line no predictor of the
            mean can beat in the long run (Gaussian: Spearman-Brown on ``sin(pi/2 tau)`` of pairs of repeats).
        architectures: number of rows with every repeat.
        repeats: number of columns.
    """

    single: Interval
    halves: Interval
    oracle: Interval
    architectures: int
    repeats: int


def _influence(x: Floats, y: Floats) -> Floats:
    """Mean concordance of some rows (evenly spaced, at most `MOST_ROWS`) with all others: the influence on tau.

    tau is a U-statistic with kernel sign(x_i - x_j) sign(y_i - y_j); its variance is about 4 / n times that of the
    kernel's mean given one row (W. Hoeffding, 1948).
    """
    some = np.unique(np.linspace(0, x.size - 1, min(x.size, MOST_ROWS)).astype(np.int64))
    mean = np.empty(some.size)
    for part in np.array_split(np.arange(some.size), math.ceil(some.size / 100)):
        rows = some[part]
        signs = np.sign(x[rows, None] - x[None, :]) * np.sign(y[rows, None] - y[None, :])
        mean[part] = signs.sum(axis=1) / (x.size - 1)
    return mean


def _averaged(pairs: list[tuple[Floats, Floats]]) -> Interval:
    """Mean tau-b over pairs of columns measured on the same rows, with an interval for the finite number of rows."""
    n = pairs[0][0].size
    tau = float(np.mean([stats.kendalltau(x, y).statistic for x, y in pairs]))
    influence = np.mean([_influence(x, y) for x, y in pairs], axis=0)
    reach = 1.959963984540054 * 2 * float(influence.std(ddof=1)) / math.sqrt(n)
    return Interval(tau, max(-1.0, tau - reach), min(1.0, tau + reach), "test size", n)


def _oracle(tau: float, repeats: int) -> float:
    """tau of the noise-free score with the mean of ``repeats``, from the mean tau between two single repeats.

    With normal scores and independent noise of one size: r = sin(pi/2 tau) is the reliability of one repeat,
    R r / (1 + (R - 1) r) that of the mean of R (Spearman and Brown, 1910), its root the correlation with the truth.
    """
    correlation = max(0.0, math.sin(math.pi * tau / 2))
    mean = repeats * correlation / (1 + (repeats - 1) * correlation)
    return 2 / math.pi * math.asin(min(1.0, math.sqrt(mean)))


def noise_ceiling(repeats: ArrayLike) -> NoiseCeiling:
    """Noise ceiling of a benchmark from ``repeats`` [architectures, R >= 2]: one column per training seed.

    Rows with a NaN are left out. Intervals (kind "test size") are for the finite number of architectures.

    Raises:
        ValueError: fewer than two repeats or three complete rows, or a repeat that is the same for all of them.
    """
    table = np.asarray(repeats, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise ValueError(f"a noise ceiling needs [architectures, 2 or more repeats]; got shape {table.shape}")
    table = table[np.isfinite(table).all(axis=1)]
    count, columns = table.shape
    if count < 3:
        raise ValueError(f"only {count} architecture(s) have all {columns} repeats; a noise ceiling needs at least 3")
    if (table == table[0]).all(axis=0).any():
        raise ValueError("one repeat has the same score for every architecture: there is no order to agree on")
    everything = frozenset(range(columns))
    single = [(table[:, i], table[:, sorted(everything - {i})].mean(axis=1)) for i in range(columns)]
    halves = [
        (table[:, list(chosen)].mean(axis=1), table[:, sorted(everything - set(chosen))].mean(axis=1))
        for chosen in itertools.islice(itertools.combinations(range(columns), columns // 2), MOST_HALVES)
        if columns % 2 or 0 in chosen  # of an even number each halving comes up twice
    ]
    two = [(table[:, i], table[:, j]) for i, j in itertools.combinations(range(min(columns, 6)), 2)]
    between = _averaged(two)
    oracle = [_oracle(tau, columns) for tau in (between.estimate, between.low, between.high)]
    return NoiseCeiling(
        single=_averaged(single),
        halves=_averaged(halves),
        oracle=Interval(oracle[0], oracle[1], oracle[2], "test size", count),
        architectures=count,
        repeats=columns,
    )
