"""A portfolio fitted to labels: every part cross-validated, the parts weighted, the errors of the whole calibrated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError, one_line
from archrank.encoders.registry import Portfolio
from archrank.eval.auto.combine import greedy_weights, stacking_weights
from archrank.eval.auto.folds import assign_folds, same_computation
from archrank.eval.auto.parts import FittedPart, fit_part
from archrank.eval.auto.pool import Pool
from archrank.eval.auto.uncertainty import Calibration
from archrank.eval.engine.batching import Rows
from archrank.eval.engine.recipes import Recipe
from archrank.eval.metrics import kendall

Floats = NDArray[np.float64]
LEAST_FOLDS = 2


@dataclass(frozen=True)
class PartReport:
    """What became of a part: its weight, the tau of its held-out predictions, and what it cost."""

    name: str
    weight: float
    tau: float
    seconds: float


@dataclass(eq=False)
class FittedPortfolio:
    """A portfolio that predicts.

    parts: those that were fitted, weights: [P] of them. held_out: float64 [n] combined predictions for labelled
    architectures that neither the parts nor their weights were fitted to, and tau: theirs. assigned: int64 [n] the fold
    that held each of them out. refused: label -> why. seconds: of everything, encodings included; pretrain_s: of what
    was trained before, without a label of these.
    """

    parts: list[FittedPart]
    weights: Floats
    calibration: Calibration
    tau: float
    held_out: Floats
    assigned: NDArray[np.int64]
    refused: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    pretrain_s: float = 0.0

    @property
    def folds(self) -> int:
        """How many folds the labels were cut into."""
        return int(self.assigned.max()) + 1

    def predict(self, pool: Pool, rows: Rows) -> tuple[Floats, Floats]:
        """Expected labels [T] of some architectures, higher is better, and their deviations [T]."""
        mean, apart = self._asked(pool, rows)
        return self.calibration.mean(mean), self.calibration.deviation(apart)

    def interval(self, pool: Pool, rows: Rows, level: float = 0.9) -> tuple[Floats, Floats]:
        """Expected labels [T], and half the width [T] of intervals that hold them with probability `level`."""
        mean, apart = self._asked(pool, rows)
        return self.calibration.mean(mean), self.calibration.half_width(apart, level)

    def _asked(self, pool: Pool, rows: Rows) -> tuple[Floats, Floats]:
        """Combined predictions [T] of the used models; and how far the parts are apart [T], as those models are that
        held a fold out, for the errors of such are what is known."""
        chosen = np.flatnonzero(self.weights)
        parts, weights = [self.parts[number] for number in chosen], self.weights[chosen]
        answers = [part.predict(pool, rows) for part in parts]
        apart = [_combined(np.array([outputs[fold] for outputs in answers]), weights)[1] for fold in range(self.folds)]
        mean = weights @ np.array([outputs[part.used].mean(0) for part, outputs in zip(parts, answers)])
        return mean, np.sqrt(np.mean(np.square(apart), 0))

    def explain(self, labels: Floats) -> list[PartReport]:
        """Each part, the heaviest first. labels: [n], as it was fitted to."""
        reports = [
            PartReport(fitted.part.label, float(weight), kendall(labels, fitted.held_out, "max"), fitted.seconds)
            for fitted, weight in zip(self.parts, self.weights)
        ]
        return sorted(reports, key=lambda part: (-part.weight, -part.tau))


def fit_portfolio(
    portfolio: Portfolio,
    pool: Pool,
    rows: Rows,
    labels: Floats,
    recipe: Recipe,
    seed: int = 0,
    *,
    device: torch.device | str = "cpu",
    compiled: bool = False,
    progress: Callable[[float], None] | None = None,
) -> FittedPortfolio:
    """Fit a portfolio to labels [n] (higher is better) of rows [n] of a pool.

    A part that fails is left out and says why. recipe: of its networks. progress: called with the share that is done.
    ArchrankError where no part can be fitted, or where there are too few different architectures to hold any out.
    """
    classes = same_computation(pool.graphs[torch.as_tensor(rows, device=pool.graphs.device)].plain(), pool.space)
    count = min(portfolio.folds, len(np.unique(classes)))
    if count < LEAST_FOLDS or len(rows) < 2 * count:
        raise ArchrankError(f"{len(rows)} labelled architectures are too few to hold some of them out")
    folds = assign_folds(labels, classes, count, seed)
    fitted, refused = [], dict(portfolio.refused)
    total, done = sum(part.cost for part in portfolio.parts), 0.0
    for part in portfolio.parts:
        try:
            fitted.append(fit_part(part, pool, rows, labels, folds, recipe, seed, device=device, compiled=compiled))
        except (ArchrankError, ValueError, RuntimeError) as error:
            refused[part.label] = one_line(error)
        done += part.cost
        if progress is not None:
            progress(done / total)
    if not fitted:
        raise ArchrankError("no part of the portfolio could be fitted: " + "; ".join(map(": ".join, refused.items())))
    alone = np.array([member.held_out for member in fitted])
    weights = _weights(portfolio.combine, alone, labels)
    held_out, apart = _held_out(portfolio.combine, alone, labels, folds)
    pretrain_s = pool.beside_s + sum(member.pretrain_s for member in fitted)
    seconds = sum(member.seconds for member in fitted) + sum(pool.seconds.values()) + pretrain_s
    return FittedPortfolio(
        fitted,
        weights,
        Calibration.of(held_out, apart, labels, folds),
        kendall(labels, held_out, "max"),
        held_out,
        folds,
        refused,
        seconds,
        pretrain_s,
    )


def _held_out(combine: str, alone: Floats, labels: Floats, folds: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Combined predictions [n] and disagreements [n] for held-out architectures, the weights for each fold chosen on
    the others. alone: [P, n]."""
    mean, apart = np.empty(len(labels)), np.empty(len(labels))
    for fold in np.unique(folds):
        out = folds == fold
        weights = _weights(combine, alone[:, ~out], labels[~out])
        mean[out], apart[out] = _combined(alone[:, out], weights)
    return mean, apart


def _weights(combine: str, held_out: Floats, labels: Floats) -> Floats:
    """Weights [P] by held-out predictions [P, n]."""
    choose: Mapping[str, Callable[[Floats, Floats], Floats]] = {
        "selection": greedy_weights,
        "stacking": stacking_weights,
        "mean": lambda predictions, _: np.full(len(predictions), 1 / len(predictions)),
    }
    return choose[combine](held_out, labels)


def _combined(predictions: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The weighted mean [T] of predictions [P, T], and their weighted deviation from it [T]."""
    mean = weights @ predictions
    return mean, np.sqrt(weights @ (predictions - mean) ** 2)
