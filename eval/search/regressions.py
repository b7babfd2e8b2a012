"""Heads on fixed encodings as searches need them: fitted to few labels, thousands of times, all repeats of a round
together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.heads import FittedWithStd
from archrank.eval.engine.regressors import fit_regressor
from archrank.eval.search.dngo import fit_networks
from archrank.eval.search.gaussian_process import fit_process
from archrank.eval.search.steps import Belief

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Regression:
    """What one repeat asks of a head.

    table: features of every architecture [N, F]. scales: factors [F] on them, or None. rows, labels: the n labelled
    ones, higher is better. asked: rows [m] to predict. seed: of the repeat. spread: whether deviations matter.
    """

    table: Floats
    scales: Floats | None
    rows: NDArray[np.int64]
    labels: Floats
    asked: NDArray[np.int64]
    seed: int
    spread: bool

    def features(self, rows: NDArray[np.int64]) -> Floats:
        """[n, F] of some rows."""
        features = self.table[rows]
        return features if self.scales is None else features * self.scales


def regress(head: str, options: Mapping[str, Any], regressions: Sequence[Regression]) -> list[Belief]:
    """A belief for each regression.

    `gp` and `dngo` are the models of those heads with a fit of their own that is faster (see `FAST`); others are fitted
    as in a run, one after the other.

    Raises:
        ArchrankError: deviations are asked of a head that has none.
    """
    if head in FAST:
        return FAST[head](regressions, **options)
    return [_fitted(head, options, item) for item in regressions]


def _fitted(head: str, options: Mapping[str, Any], item: Regression) -> Belief:
    features = item.features(item.rows)
    if not (features != features[0]).any():  # all labelled architectures have one encoding
        return Belief(np.zeros(len(item.asked)), np.ones(len(item.asked)))
    fitted = fit_regressor(head, features, item.labels, item.seed, options)
    asked = item.features(item.asked)
    mean = np.asarray(fitted.predict(asked), np.float64)
    if not item.spread:
        return Belief(mean, np.zeros(len(mean)))
    if not isinstance(fitted, FittedWithStd):
        raise ArchrankError(
            f"head {head} gives no standard deviation, which this strategy needs; use gp, dngo, forest, knn or mlp"
        )
    return Belief(mean, np.asarray(fitted.std(asked), np.float64))


def _processes(items: Sequence[Regression]) -> list[Belief]:
    return [
        Belief(*fit_process(item.features(item.rows), item.labels).predict(item.features(item.asked), item.spread))
        for item in items
    ]


def _networks(items: Sequence[Regression], *, passes: int = 500) -> list[Belief]:
    """Networks of equal numbers of labels train together; failed evaluations make them differ."""
    beliefs: dict[int, Belief] = {}
    for size in sorted({len(item.rows) for item in items}):
        alike = [number for number, item in enumerate(items) if len(item.rows) == size]
        models = fit_networks(
            np.stack([items[number].features(items[number].rows) for number in alike]),
            np.stack([items[number].labels for number in alike]),
            [items[number].seed for number in alike],
            passes,
        )
        for number, model in zip(alike, models):
            beliefs[number] = Belief(*model.predict(items[number].features(items[number].asked)))
    return [beliefs[number] for number in range(len(items))]


FAST: dict[str, Callable[..., list[Belief]]] = {"gp": _processes, "dngo": _networks}
