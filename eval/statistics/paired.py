"""The common settings of a coverage as arrays: what the bootstrap resamples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.eval.metrics import METRICS
from archrank.eval.statistics.coverage import TASK, Coverage, numbered
from archrank.eval.statistics.results import ComparisonError

__all__ = ["PairedResults", "Weigh", "evenly", "paired_results"]

Floats = NDArray[np.float64]
Weigh = Callable[[Floats], Floats]
"""Sorted budgets of one (benchmark, target) -> their weights, summing to 1."""


@dataclass(frozen=True)
class PairedResults:
    """The common settings as arrays: ``x`` [L, T, S] with the same NaN (missing results) for every label, made of
    ``settings`` [T] settings."""

    labels: tuple[str, ...]
    tasks: pd.DataFrame
    x: Floats
    space: NDArray[np.int64]
    test_error: Floats
    shared: NDArray[np.bool_]
    settings: NDArray[np.int64]

    def take(self, keep: NDArray[np.bool_]) -> PairedResults:
        """Only the tasks where ``keep`` [T]."""
        space = np.unique(self.space[keep], return_inverse=True)[1].astype(np.int64)
        tasks = self.tasks[keep].reset_index(drop=True)
        return PairedResults(
            self.labels, tasks, self.x[:, keep], space, self.test_error[:, keep], self.shared[keep], self.settings[keep]
        )

    def weights(self, weigh: Weigh) -> Floats:
        """[T] weight of each task within its space: every benchmark the same, within it ``weigh`` of its budgets."""
        weight = np.zeros(len(self.tasks))
        for _, group in self.tasks.groupby(["space", "benchmark", "target"], observed=True):
            weight[group.index] = weigh(group["budget"].to_numpy(dtype=float))
        return weight / np.bincount(self.space, weight)[self.space]


def paired_results(covered: Coverage) -> PairedResults:
    """The common settings of a coverage as arrays.

    Where several seeds share a split, their mean is one unit: more seeds say nothing about another split. A task whose
    several splits all have one test set is `shared`.

    Raises:
        ComparisonError: no setting that every label has.
    """
    common, metric = covered.common, covered.metric
    if common.empty:
        raise ComparisonError(
            f"no setting (benchmark, target, budget, seed) has a {metric} from every one of: {', '.join(covered.labels)}"
        )
    t, tasks = numbered(common, TASK)
    seeds = sorted(common["seed"].unique())
    s = common["seed"].map({seed: i for i, seed in enumerate(seeds)}).to_numpy()
    e = common["label"].map({label: i for i, label in enumerate(covered.labels)}).to_numpy()
    x = np.full((len(covered.labels), len(tasks), len(seeds)), np.nan)
    x[e, t, s] = common[metric].to_numpy(dtype=float)
    settings = np.isfinite(x[0]).sum(axis=1)
    shared = np.zeros(len(tasks), dtype=bool)
    first = common.assign(task=t)[e == 0]
    if "split" in common:
        known = first[first["split"].notna()]
        repeated = known.loc[known.duplicated(["task", "split"]), "task"]
        for task, group in known[known["task"].isin(repeated)].groupby("task"):
            for members in group.groupby("split")["seed"].apply(list):
                at = [seeds.index(seed) for seed in members]
                together = x[:, task, at].mean(axis=1)
                x[:, task, at] = np.nan
                x[:, task, at[0]] = together
    if "test_set" in common:
        # Splits may differ in what is trained on and agree in what is tested on.
        repeated = first.loc[first.duplicated(["task", "test_set"]) & first["test_set"].notna(), "task"]
        for task, group in first[first["task"].isin(repeated)].groupby("task")["test_set"]:
            shared[task] = group.nunique(dropna=False) == 1
    shared &= np.isfinite(x[0]).sum(axis=1) > 1
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(x, axis=2)
    size = common.groupby(t)["test"].first().to_numpy(dtype=float) if "test" in common else np.full(len(tasks), np.nan)
    error = METRICS[metric].error if metric in METRICS else None
    test_error = np.array(
        [
            [math.nan if error is None or math.isnan(n) else error(value, int(n)) for value, n in zip(row, size)]
            for row in mean
        ]
    )
    space = np.unique(tasks["space"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)
    return PairedResults(covered.labels, tasks, x, space, test_error, shared, settings)


def evenly(budgets: Floats) -> Floats:
    """Every budget the same weight."""
    return np.full(budgets.size, 1 / budgets.size)
