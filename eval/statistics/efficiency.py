"""How many labels an encoder needs: sample-efficiency curves read sideways, and the area under them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.eval.statistics.bootstrap import Bootstrap, Scope, bootstrap, over_spaces
from archrank.eval.statistics.coverage import TASK, coverage, numbered
from archrank.eval.statistics.metric_range import Better, direction_of
from archrank.eval.statistics.multiplier_bootstrap import joint
from archrank.eval.statistics.paired import paired_results
from archrank.eval.statistics.results import ALPHA, ComparisonError

__all__ = ["Efficiency", "area_under_curve", "label_efficiency"]

Floats = NDArray[np.float64]
GROUP = [name for name in TASK if name != "budget"]


@dataclass(frozen=True)
class Efficiency:
    """How many labels ``b`` needs to reach what ``a`` has at ``at``.

    Attributes:
        a, b, at, metric: the question.
        labels: the number; 0 for "fewer than the smallest budget", infinity for "more than the largest".
        low, high: 95 % interval, with the same two ends; NaN where there is none (one seed).
        smallest, largest: the budgets the curves span.
        settings: common settings per label that it rests on.
        units: number of independent search spaces or paired splits.
    """

    a: str
    b: str
    at: int
    metric: str
    labels: float
    low: float
    high: float
    smallest: int
    largest: int
    settings: int
    units: int

    def words(self, labels: float) -> str:
        """A number of labels in words, honest about both ends of the curves."""
        if labels < self.smallest:
            return f"fewer than {self.smallest}"
        return f"more than {self.largest}" if labels > self.largest else f"{labels:.0f}"

    def sentence(self) -> str:
        """E.g. "gcn needs 156 labels [110, more than 390] to reach what flowerformer has at 78 labels."."""
        ends = {self.words(self.labels), self.words(self.low), self.words(self.high)}
        within = "" if math.isnan(self.low) or len(ends) == 1 else f" [{self.words(self.low)}, {self.words(self.high)}]"
        unsure = " (no interval: one split cannot tell)" if math.isnan(self.low) else ""
        return f"{self.b} needs {self.words(self.labels)} labels{within} to reach what {self.a} has at {self.at} labels{unsure}."


def isotonic(y: Floats) -> Floats:
    """Least-squares non-decreasing fit along the last axis of ``y`` [..., B], all rows at once.

    The min-max formula of isotonic regression: max over j <= i of min over k >= i of mean(y[j..k]).
    """
    size = y.shape[-1]
    total = np.concatenate([np.zeros((*y.shape[:-1], 1)), np.cumsum(y, axis=-1)], axis=-1)
    fit = np.empty_like(y)
    for i in range(size):
        best = np.full(y.shape[:-1], -np.inf)
        for j in range(i + 1):
            ends = np.arange(i, size)
            means = (total[..., ends + 1] - total[..., j : j + 1]) / (ends + 1 - j)
            best = np.maximum(best, means.min(axis=-1))
        fit[..., i] = best
    return fit


def crossing(curve: Floats, level: Floats, budgets: Floats) -> Floats:
    """First budget at which non-decreasing ``curve`` [D, B] reaches ``level`` [D], linear in log budget.

    0 where the curve starts above the level, infinity where it ends below.
    """
    log = np.log(budgets)
    reached = curve >= level[:, None]
    right = np.argmax(reached, axis=1)
    left = np.maximum(right - 1, 0)
    rows = np.arange(len(curve))
    low, high = curve[rows, left], curve[rows, right]
    step = np.where(high > low, (level - low) / np.where(high > low, high - low, 1.0), 0.0)
    at = np.exp(log[left] + step * (log[right] - log[left]))
    first = np.where(curve[:, 0] > level, 0.0, budgets[0])
    return np.where(~reached.any(axis=1), np.inf, np.where(right == 0, first, at))


def label_efficiency(
    frame: pd.DataFrame,
    a: str,
    b: str,
    at: int = 78,
    metric: str = "kendall",
    *,
    scope: Scope = "auto",
    better: Better | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> Efficiency:
    """Labels ``b`` needs to reach what ``a`` has at ``at`` labels: monotone interpolation in log budget, paired draws.

    Both curves are made non-decreasing (isotonic regression over the budgets that every benchmark has for both); the
    interval holds the middle 95 % of the crossings of the joint draws of both curves.

    Raises:
        ComparisonError: as `coverage`, a budget ``at`` that was not run, or fewer than two common budgets.
    """
    sign = 1.0 if direction_of(metric, better) == "higher" else -1.0
    covered = coverage(frame, metric, sorted({a, b}))
    results = paired_results(covered)
    number, groups = numbered(results.tasks, GROUP)
    per_budget = results.tasks.groupby("budget").size()
    budgets = sorted(int(budget) for budget in per_budget.index[per_budget == len(groups)])
    if at not in budgets:
        raise ComparisonError(
            f"{a} and {b} have no common results at {at} labels in every benchmark; there are: {budgets or 'none'}"
        )
    if len(budgets) < 2:
        raise ComparisonError(f"label efficiency needs two or more common budgets; there is only {budgets[0]}")
    seeds = results.x.shape[2]
    x = np.full((len(covered.labels), len(budgets), len(groups), seeds), np.nan)
    error = np.full(x.shape[:3], np.nan)
    shared = np.zeros(len(groups), dtype=bool)
    for t, (budget, g) in enumerate(zip(results.tasks["budget"], number)):
        if budget in budgets:
            x[:, budgets.index(budget), g] = results.x[:, t]
            error[:, budgets.index(budget), g] = results.test_error[:, t]
            shared[g] |= results.shared[t]
    space = np.unique(groups["space"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)
    further = over_spaces(int(space.max()) + 1, scope)
    both = [covered.labels.index(label) for label in (a, b)]
    needed, units = labels_needed(
        sign * x[both], error[both], space, shared, np.array(budgets, float), at, further, draws, seed
    )
    settings = int(results.settings[results.tasks["budget"].isin(budgets)].sum())
    return Efficiency(a, b, at, metric, *needed, budgets[0], budgets[-1], settings, units)


def labels_needed(
    x: Floats,
    error: Floats,
    space: NDArray[np.int64],
    shared: NDArray[np.bool_],
    budgets: Floats,
    at: int,
    further_spaces: bool,
    draws: int,
    seed: int,
) -> tuple[tuple[float, float, float], int]:
    """(estimate, low, high) of the labels the second needs for what the first has at ``at``, and the units.

    Args:
        x: [2, B, T, S] results, higher = better; ``error`` [2, B, T], ``space`` and ``shared`` [T] as in `joint`;
            ``budgets`` [B] ascending.
    """
    weight = 1 / np.bincount(space)[space]
    flat = x.reshape(-1, x.shape[2], x.shape[3])
    got = joint(flat, space, weight, further_spaces, error.reshape(flat.shape[:2]), shared)
    place = int(np.flatnonzero(budgets == at)[0])

    def answer(curves: Floats) -> Floats:
        fitted = isotonic(curves.reshape(-1, 2, budgets.size))
        return crossing(fitted[:, 1], fitted[:, 0, place], budgets)

    low = high = math.nan
    if got.kind in ("spaces", "splits"):
        answers = np.sort(answer(got.draw(draws, seed)))
        low, high = float(answers[int(ALPHA / 2 * draws)]), float(answers[int((1 - ALPHA / 2) * draws)])
    return (float(answer(got.estimate[None])[0]), low, high), got.units


def _log_area(budgets: Floats) -> Floats:
    """Weights that turn values at ``budgets`` into their mean over log budget, by trapezoids."""
    if budgets.size < 2:
        raise ComparisonError("an area under the curve needs two or more budgets for every benchmark")
    log = np.log(budgets)
    weight = np.zeros(budgets.size)
    weight[:-1] += np.diff(log) / 2
    weight[1:] += np.diff(log) / 2
    return np.asarray(weight / (log[-1] - log[0]))


def area_under_curve(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    scope: Scope = "auto",
    better: Better | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> Bootstrap:
    """Mean of the metric over log budget (trapezoids between the budgets all labels have), per label, in its unit.

    The result is a `Bootstrap`, so values, differences and tiers of areas come as for means.

    Raises:
        ComparisonError: as `bootstrap`, or a benchmark with a single common budget.
    """
    return bootstrap(frame, metric, labels, scope=scope, better=better, draws=draws, seed=seed, weigh=_log_area)
