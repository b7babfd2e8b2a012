"""How predictions of several predictors become one: on one scale, with weights chosen on held-out predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scale:
    """Brings the outputs of M models, whatever their units, to one scale: deviations from the mean over the
    architectures that a model was trained on, where models fitted to different parts of the labels are alike.

    mean, deviation: float64 [M].
    """

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, outputs: Floats, trained: Sequence[NDArray[np.int64]]) -> Scale:
        """The scale of outputs [M, n] for the labelled architectures. trained: [M], positions of those that each model
        was trained on."""
        own = [given[places] for given, places in zip(outputs, trained)]
        spread = np.array([given.std() for given in own])
        return cls(np.array([given.mean() for given in own]), np.where(spread > 1e-12, spread, np.inf))

    def __call__(self, outputs: Floats) -> Floats:
        """Outputs [M, T], standardised; those of a constant model are 0."""
        return (outputs - self.mean[:, None]) / self.deviation[:, None]


def greedy_weights(held_out: Floats, labels: Floats, rounds: int = 50, start: int = 3) -> Floats:
    """Weights [P], summing to 1, of P predictors by greedy ensemble selection with replacement (Caruana et al., ICML
    2004, with its sorted initialisation).

    held_out: float64 [P, n] predictions on one scale for architectures that the predictor was not trained on. labels:
    float64 [n]. In each round the predictor is added that leaves the smallest squared error once the sum is scaled to
    the labels, that is the highest correlation with them.
    """
    target = _centred(labels)
    candidates = _centred(held_out)
    alone = _correlation(candidates, target)
    first = np.argsort(-alone, kind="stable")[: min(start, len(alone))]
    counts = np.zeros(len(alone))
    counts[first] = 1
    total = candidates[first].sum(0)
    best, chosen = counts.copy(), _correlation(total[None], target)[0]
    for _ in range(rounds):
        reached = _correlation(total + candidates, target)
        pick = int(np.argmax(reached))
        counts[pick] += 1
        total = total + candidates[pick]
        if reached[pick] > chosen + 1e-9:
            best, chosen = counts.copy(), reached[pick]
    return np.asarray(best / best.sum())


def stacking_weights(held_out: Floats, labels: Floats, ridge: float = 30.0) -> Floats:
    """Weights [P], none negative, summing to 1: least squares of the labels on held-out predictions [P, n], drawn
    towards equal weights with the weight of `ridge` architectures: held-out predictions of few labels are a poor
    judge."""
    from scipy.optimize import nnls

    count = len(held_out)
    strength = np.sqrt(ridge)
    rows = np.vstack([_centred(held_out).T, strength * np.eye(count)])
    weights = nnls(rows, np.r_[_centred(labels), np.full(count, strength / count)])[0]
    return np.asarray(weights / weights.sum()) if weights.sum() > 0 else np.full(count, 1 / count)


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean(-1, keepdims=True))


def _correlation(rows: Floats, target: Floats) -> Floats:
    norm = np.sqrt((rows**2).sum(-1) * (target**2).sum())
    return np.asarray(np.where(norm > 0, rows @ target / np.where(norm > 0, norm, 1.0), -1.0))
