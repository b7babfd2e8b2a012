"""Noise ceiling: how well a benchmark's own training seeds agree with each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archrank.eval.statistics.results import Interval

__all__ = ["NoiseCeiling", "noise_ceiling"]

Floats = NDArray[np.float64]


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


def noise_ceiling(repeats: ArrayLike) -> NoiseCeiling:
    """Noise ceiling of a benchmark from ``repeats`` [architectures, R >= 2]: one column per training seed.

    Rows with a NaN are left out. Intervals (kind "test size") are for the finite number of architectures.

    Raises:
        ValueError: fewer than two repeats or three complete rows.
    """
    raise NotImplementedError
