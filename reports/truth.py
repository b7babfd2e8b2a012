"""Predictions beside the benchmark's true scores: ranks, residuals, and what they depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from archrank.datasets import Benchmark
from archrank.reports.study import Study

__all__ = ["Prediction", "op_slopes", "percentile", "predictions", "residual_by_depth"]


def percentile(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of each value in [0, 1], 1 for the largest, ties averaged."""
    return (rankdata(values) - 1) / max(len(values) - 1, 1)


@dataclass(frozen=True)
class Prediction:
    """Predictions of one label on one task at one budget, all seeds pooled; M = seeds x test architectures.

    index: rows of the table [M]. seed: [M]. true, predicted: percentile inside the trial's own test set [M], 1 = best.
    """

    label: str
    index: NDArray[np.int64]
    seed: NDArray[np.int64]
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]

    @property
    def residual(self) -> NDArray[np.float64]:
        """Predicted minus true percentile, in points: above 0 means over-rated [M]."""
        return 100 * (self.predicted - self.true)

    def trial(self, seed: int) -> Prediction:
        """The predictions of one seed alone."""
        at = self.seed == seed
        return Prediction(self.label, self.index[at], self.seed[at], self.true[at], self.predicted[at])

    def first_predicted(self) -> NDArray[np.float64]:
        """Where the architecture predicted best truly stands, in per cent from the top, for each seed in ascending
        order.

        Architectures that share the best prediction are as likely as each other to be taken, so it is their mean.
        """
        places = []
        for seed in np.unique(self.seed):
            trial = self.trial(int(seed))
            places.append(float(np.mean(100 * (1 - trial.true[trial.predicted == trial.predicted.max()]))))
        return np.array(places)

    def typical_seed(self) -> int:
        """The seed whose predicted best has the median true place (of two in the middle the better one)."""
        places = self.first_predicted()
        order = np.argsort(places, kind="stable")
        return int(np.unique(self.seed)[order[(len(order) - 1) // 2]])

    def place_of_best(self, share: float = 0.01) -> tuple[float, float]:
        """Where the truly best `share` of a test set stands in the predicted order: median and worst, in per cent from
        the top (0 = predicted best); of each the median over seeds."""
        medians, worsts = [], []
        for seed in np.unique(self.seed):
            at = self.seed == seed
            count = max(1, int(share * at.sum()))
            best = np.argsort(-self.true[at], kind="stable")[:count]
            from_top = 100 * (1 - self.predicted[at][best])
            medians.append(float(np.median(from_top)))
            worsts.append(float(from_top.max()))
        return float(np.median(medians)), float(np.median(worsts))


def predictions(
    study: Study,
    table: Benchmark,
    frame: pd.DataFrame,
    labels: Sequence[str],
    target: str,
    most_seeds: int = 5,
) -> dict[str, Prediction]:
    """The stored predictions of the done trials in `frame` (one task, one budget), by label, in the order of `labels`.

    target: the score they were tested on (`Study.tested`). Labels without a stored prediction are left out.
    """
    score = table.oriented(target)
    out: dict[str, Prediction] = {}
    for label in labels:
        rows = frame[(frame["label"] == label) & (frame["status"] == "done")].sort_values("seed").head(most_seeds)
        parts = []
        for key, seed in zip(rows["key"], rows["seed"]):
            stored = study.predictions(key, table)
            if stored is None:
                continue
            index, predicted = stored
            parts.append((index, np.full(len(index), seed), percentile(score[index]), percentile(predicted)))
        if parts:
            out[label] = Prediction(label, *(np.concatenate(column) for column in zip(*parts)))
    return out


def residual_by_depth(
    table: Benchmark, predicted: Mapping[str, Prediction]
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Depths that at least 1 % of the tested architectures have [D], and the mean residual of each label there [D]."""
    depth = np.where(table.mask, table.depth, 0).max(1).astype(np.int64)
    tested = np.concatenate([p.index for p in predicted.values()])
    values, counts = np.unique(depth[tested], return_counts=True)
    values = values[counts >= 0.01 * len(tested)]
    out = {}
    for label, p in predicted.items():
        here = depth[p.index]
        out[label] = np.array([p.residual[here == d].mean() if (here == d).any() else np.nan for d in values])
    return values, out


def op_slopes(
    table: Benchmark, predicted: Mapping[str, Prediction]
) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """Operations whose number varies [O], and the least-squares slope of the residual on that number [O], by label."""
    fixed = {op for role, op in table.space.roles.items() if role in ("input", "output")}
    count = np.stack([((table.ops == op) & table.mask).sum(1) for op in range(len(table.space.ops))], 1)
    varying = [op for op in range(len(table.space.ops)) if op not in fixed and np.ptp(count[:, op]) > 0]
    out = {}
    for label, p in predicted.items():
        x = count[p.index][:, varying].astype(float)
        x -= x.mean(0)
        spread = (x**2).sum(0)
        out[label] = np.divide(x.T @ p.residual, spread, out=np.full(len(varying), np.nan), where=spread > 0)
    return [table.space.ops[op] for op in varying], out
