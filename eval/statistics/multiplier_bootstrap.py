"""The multiplier bootstrap: from an array of results to the joint uncertainty of their weighted means.

Axes: E entries (what is compared: a label, or a label at a budget), T tasks (what is averaged over), S seeds (the
paired splits), K search spaces.

**Derivation.** A mean over n independent units u has the residuals r_u = x_u - mean(x). Weighing them with independent
standard normal numbers z_u,

    mean + sum_u z_u r_u / sqrt(n (n - 1)),

has the mean and the estimated variance of the sampling distribution of the mean, given the data (the multiplier
bootstrap; R. Y. Liu, 1988, Annals of Statistics 16; E. Mammen, 1993, Annals of Statistics 21). The variance is itself
estimated, from n - 1 degrees of freedom; dividing the sum by a drawn scale sqrt(chi2_{n-1} / (n - 1)) accounts for
that: the draws then have Student's t distribution with n - 1 degrees of freedom around the estimate. Everything taken
here is linear in the results, so a weighted mean over tasks and spaces has the form

    estimate[e] + sum_u factors[e, u] z_u / sqrt(chi2_df[group[u]] / df[group[u]]),

with one z and one scale for all entries: the pairing is kept, and every contrast of entries has exactly a t
distribution (several groups: Welch and Satterthwaite's approximation). One set of draws serves values, differences and
ranks alike. Resampling units with replacement and taking percentiles has neither property: with three seeds its 95 %
intervals cover 75 % (docs/statistics.md).

What a unit is: with ``over_spaces`` a search space, r_k = space mean - grand mean, n = K. Else a seed within its space:
all tasks of a space share their splits, so seed s of space k moves every task of k together, r_s = sum over tasks of
weight[t] (x[e, t, s] - mean[e, t]), and each space has its own scale. Where one split has to do for several seeds, or
there is one, the test set's own sampling error is added as a unit per entry with a known scale (df = infinity).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from archrank.eval.statistics.results import ALPHA, Interval, IntervalKind

__all__ = ["Joint", "joint"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Joint:
    """Joint uncertainty of E entries.

    Attributes:
        estimate: [E].
        factors: [E, U] what one standard normal weight on unit u does to each entry.
        group: [U] index of the group whose scale a unit shares.
        df: [G] degrees of freedom per group (infinity: the scale is known).
        kind: which level the units are of.
        units: independent units behind it.
        scale: largest absolute result, to tell a spread of exactly nothing from rounding.
    """

    estimate: Floats
    factors: Floats
    group: Ints
    df: Floats
    kind: IntervalKind
    units: int
    scale: float

    def contrast(self, weights: Floats) -> tuple[Interval, float]:
        """``weights`` [E] @ entries with its 95 % interval and two-sided p-value against 0 (NaN where there is none).

        Several groups (spaces taken as fixed) are combined with Welch and Satterthwaite's degrees of freedom.
        """
        estimate, variance, _ = self.spread(weights)
        total = float(variance.sum())
        error = math.sqrt(total)
        if self.kind == "none" or error <= 1e-10 * self.scale:
            return Interval(estimate, math.nan, math.nan, "none", self.units), math.nan
        variance_of_variance = float(np.sum(variance**2 / self.df))
        freedom = total**2 / variance_of_variance if variance_of_variance > 0 else math.inf
        reach = float(stdtrit(freedom, 1 - ALPHA / 2)) * error
        p = math.nan if self.kind == "test size" else float(2 * stdtr(freedom, -abs(estimate) / error))
        return Interval(estimate, estimate - reach, estimate + reach, self.kind, self.units), p

    def spread(self, weights: Floats) -> tuple[float, Floats, Floats]:
        """``weights`` [E] @ entries, its variance by group [G], and the degrees of freedom each rests on [G]."""
        moved = weights @ self.factors  # [U]
        variance: Floats = np.bincount(self.group, moved * moved, minlength=self.df.size).astype(np.float64)
        return float(weights @ self.estimate), variance, self.df

    def draw(self, count: int, seed: int) -> Floats:
        """[count, E] joint draws, mirrored in pairs so that every margin is symmetric about its estimate."""
        if self.kind == "none":
            return np.full((count, self.estimate.size), np.nan)
        random = np.random.default_rng(seed)
        half = (count + 1) // 2
        inverse_scale = np.ones((half, self.df.size))  # [draws / 2, G]
        estimated = np.isfinite(self.df)
        inverse_scale[:, estimated] = np.sqrt(
            self.df[estimated] / random.chisquare(self.df[estimated], (half, int(estimated.sum())))
        )
        moves = (
            random.standard_normal((half, self.group.size)) * inverse_scale[:, self.group]
        ) @ self.factors.T  # [draws / 2, E]
        mirrored = np.stack([moves, -moves], axis=1).reshape(2 * half, len(self.estimate))
        return (self.estimate + mirrored)[:count]


def joint(x: Floats, space: Ints, weight: Floats, over_spaces: bool, test_error: Floats, shared: Bools) -> Joint:
    """Joint uncertainty of the weighted mean over tasks.

    Args:
        x: [E, T, S] results, NaN where there is none; every (entry, task) has at least one.
        space: [T] index of the task's space, 0 .. K-1, every space has a task.
        weight: [T] weight of a task within its space; sums to 1 per space. Spaces count the same.
        over_spaces: the units are spaces (K >= 2) instead of seeds within spaces.
        test_error: [E, T] standard error that one finite test set leaves; NaN where unknown.
        shared: [T] all seeds of the task share one split, so their spread does not hold the test set's sampling error.
    """
    spaces = int(space.max()) + 1
    weight_in_space = (space[None, :] == np.arange(spaces)[:, None]) * weight  # [K, T], rows sum to 1
    seen = np.isfinite(x)
    seeds_per_task = seen.sum(axis=2)  # [E, T]
    task_mean = np.nansum(x, axis=2) / seeds_per_task  # [E, T]
    space_mean = task_mean @ weight_in_space.T  # [E, K]
    estimate = space_mean.mean(axis=1)
    largest = float(np.nanmax(np.abs(x)))
    if over_spaces:
        factors = (space_mean - estimate[:, None]) / math.sqrt(spaces * (spaces - 1))
        one_group = np.zeros(spaces, dtype=np.int64)
        return Joint(estimate, factors, one_group, np.array([spaces - 1.0]), "spaces", spaces, largest)
    single = bool(seeds_per_task.min() < 2)
    units = sum(int(np.count_nonzero(seen[:, space == k].any(axis=(0, 1)))) for k in range(spaces))
    factors_of_group: list[Floats] = []  # of each group [E, its units]
    group_of_unit: list[int] = []
    freedom: list[float] = []
    if not single:
        # r / sqrt(n (n - 1)) of every task and seed, [E, T, S]; a seed that a task lacks moves nothing.
        residual = np.nan_to_num(x - task_mean[:, :, None]) / np.sqrt(seeds_per_task * (seeds_per_task - 1))[:, :, None]
        for k in range(spaces):
            factors_of_group.append(np.einsum("ets,t->es", residual, weight_in_space[k]) / spaces)
            group_of_unit += [k] * x.shape[2]
            freedom.append(float(seeds_per_task[:, space == k].min() - 1))
    if single or shared.any():
        # Budgets and targets of one space share their test architectures: their sampling errors may be one and the
        # same, so they are added as they are; those of different spaces are independent.
        error_in_space = np.where(shared | single, test_error, 0.0) @ weight_in_space.T / spaces  # [E, K]
        if single and not np.isfinite(error_in_space).all():
            return Joint(estimate, np.zeros((len(estimate), 0)), _ints([]), np.zeros(0), "none", units, largest)
        factors_of_group.append(np.diag(np.sqrt(np.sum(np.nan_to_num(error_in_space) ** 2, axis=1))))
        group_of_unit += [len(freedom)] * len(estimate)
        freedom.append(math.inf)
    kind: IntervalKind = "test size" if single else "splits"
    return Joint(
        estimate,
        np.concatenate(factors_of_group, axis=1),
        _ints(group_of_unit),
        np.array(freedom),
        kind,
        units,
        largest,
    )


def _ints(values: list[int]) -> Ints:
    return np.asarray(values, dtype=np.int64)
