"""Which search is better: paired over repeats, with intervals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from archrank.eval.search.traces import Judge, Regret
from archrank.eval.statistics.results import ALPHA
from archrank.eval.statistics.tiers import holm, letters

Floats = NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over repeats with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Standing:
    """One search among those of its benchmark.

    at: mean test regret after some numbers of queries. log_regret: mean over the queries, from the tenth, of log10 test
    regret: what searches are ranked by. tier: searches share a letter where they do not differ significantly. reached:
    share of repeats that found an architecture of the best 0.1 %, and the median number of queries it took those.
    saved: queries after which mean regret is what random search expects to reach with the whole budget, subtracted
    from that budget.
    """

    label: str
    at: dict[int, Estimate]
    log_regret: Estimate
    tier: str
    reached: float
    median_queries: float
    saved: Estimate
    seconds: float


@dataclass(frozen=True)
class Difference:
    """Paired difference in mean log10 regret, first minus second: below 0, the first is better. p is adjusted (Holm)
    over all pairs."""

    first: str
    second: str
    difference: Estimate
    p: float

    @property
    def significant(self) -> bool:
        """At the 5 % level, over all pairs together."""
        return self.p < ALPHA


def compare_searches(judge: Judge, regrets: Sequence[Regret]) -> tuple[list[Standing], list[Difference]]:
    """Standings, best first, and all paired differences, of searches with equal budgets and repeats on one
    benchmark."""
    queries = regrets[0].curve.shape[1]
    logs = {regret.label: log_area(judge, regret.curve) for regret in regrets}
    order = sorted(regrets, key=lambda regret: (logs[regret.label].mean(), regret.label))
    differences = paired_differences([regret.label for regret in order], logs)
    apart = np.zeros((len(order), len(order)), bool)
    place = {regret.label: number for number, regret in enumerate(order)}
    for item in differences:
        apart[place[item.first], place[item.second]] = apart[place[item.second], place[item.first]] = item.significant
    budgets = [n for n in (25, 50, 100, 150, 300) if n < queries] + [queries]
    random, target = judge.expected_random(queries), judge.target_regret()
    standings = []
    for regret, tier in zip(order, letters(apart)):
        first = _first_below(regret.curve, target)
        reached = np.isfinite(first)
        standings.append(
            Standing(
                regret.label,
                {n: _mean(regret.curve[:, n - 1]) for n in budgets},
                _mean(logs[regret.label]),
                tier,
                float(reached.mean()),
                float(np.median(first[reached])) if reached.any() else float("nan"),
                _saved(regret.curve, random[-1]),
                regret.seconds,
            )
        )
    return standings, differences


def log_area(judge: Judge, curve: Floats) -> Floats:
    """Mean log10 regret [R] of curves [R, Q] from the tenth query on."""
    start = min(9, curve.shape[1] - 1)
    return np.asarray(np.log10(np.maximum(curve[:, start:], judge.floor)).mean(1), np.float64)


def paired_differences(labels: Sequence[str], logs: Mapping[str, Floats]) -> list[Difference]:
    """All pairs in the order of `labels`, by their `log_area` [R]; p by paired t tests, adjusted over all of them."""
    pairs = [*itertools.combinations(labels, 2)]
    gaps = [logs[first] - logs[second] for first, second in pairs]
    p = np.array([stats.ttest_1samp(gap, 0.0).pvalue if np.ptp(gap) > 0 else float(gap.mean() == 0) for gap in gaps])
    return [
        Difference(first, second, _mean(gap), float(adjusted))
        for (first, second), gap, adjusted in zip(pairs, gaps, holm(p) if len(p) else p)
    ]


def mean_curve(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean over repeats of [R, ...], and the ends of Student's 95 % interval."""
    mean, count = values.mean(0), len(values)
    half = stats.t.ppf(1 - ALPHA / 2, count - 1) * values.std(0, ddof=1) / np.sqrt(count)
    return mean, mean - half, mean + half


def _mean(values: Floats) -> Estimate:
    return Estimate(*map(float, mean_curve(values)))


def _first_below(curve: Floats, bound: float) -> Floats:
    """Queries [R] until the regret is at most `bound`; infinite where it never is."""
    below = curve <= bound + 1e-12
    return np.where(below.any(1), below.argmax(1) + 1.0, np.inf)


def _saved(curve: Floats, bound: float) -> Estimate:
    """Queries saved, with a percentile bootstrap over repeats; negative infinity is cut at 0 saved less the budget."""
    queries = curve.shape[1]

    def saved(mean: Floats) -> Floats:
        below = mean <= bound
        return np.where(below.any(-1), queries - (below.argmax(-1) + 1.0), 0.0)

    rng = np.random.default_rng(0)
    picks = rng.integers(len(curve), size=(DRAWS, len(curve)))
    weights = np.apply_along_axis(np.bincount, 1, picks, minlength=len(curve)) / len(curve)
    drawn = saved(weights @ curve)
    return Estimate(float(saved(curve.mean(0))), *(float(q) for q in np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])))


def digits_of(standings: Sequence[Standing]) -> int:
    """Decimals that show two figures of the largest regret and of those a tenth of it."""
    scale = max(value.value for item in standings for value in item.at.values())
    return max(2, 2 - int(np.floor(np.log10(scale)))) if scale > 0 else 3


def rounded(value: Estimate, digits: int) -> str:
    """`mean [low, high]`."""
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"
