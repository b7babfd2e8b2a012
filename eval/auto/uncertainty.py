"""How far a prediction may be off, learned from the errors on held-out folds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST_SLOPE = 0.01  # deviations of the labels for one of the predictions


@dataclass(frozen=True, eq=False)
class Calibration:
    """Turns a combined prediction and the disagreement of its parts into an expected label and its deviation.

    intercept, slope: of the labels on held-out predictions, rising at least a little. noise, trust: the squared error
    that is expected is noise + trust * disagreement**2. errors: float64 [n], sorted, held-out errors in units of that
    expectation's root, each by the line and the expectation of the other folds.
    """

    intercept: float
    slope: float
    noise: float
    trust: float
    errors: Floats

    @classmethod
    def of(cls, held_out: Floats, disagreement: Floats, labels: Floats, folds: NDArray[np.int64]) -> Calibration:
        """Fitted to predictions [n] for architectures that were held out, how far the parts disagree on them [n], and
        their labels [n]. folds: int64 [n], which of them were held out together."""
        errors = np.empty(len(labels))
        for fold in np.unique(folds):
            out = folds == fold
            others = cls._line(held_out[~out], disagreement[~out], labels[~out])
            errors[out] = np.abs(labels[out] - others.mean(held_out[out])) / others.expected(disagreement[out])
        return replace(cls._line(held_out, disagreement, labels), errors=np.sort(errors))

    @classmethod
    def _line(cls, held_out: Floats, disagreement: Floats, labels: Floats) -> Calibration:
        """One without errors."""
        from scipy.optimize import nnls

        slope = 0.0
        if np.ptp(held_out) > 0:
            # Few labels may speak against a predictor by chance. They do not turn its order round.
            slope = max(np.polyfit(held_out, labels, 1)[0], LEAST_SLOPE * labels.std() / held_out.std())
        intercept = labels.mean() - slope * held_out.mean()
        residuals = labels - intercept - slope * held_out
        basis = np.column_stack([np.ones(len(labels)), disagreement**2])
        noise, trust = nnls(basis, residuals**2)[0]
        noise = max(float(noise), 1e-3 * float((residuals**2).mean()), 1e-12)
        return cls(float(intercept), float(slope), noise, float(trust), np.empty(0))

    def mean(self, predictions: Floats) -> Floats:
        """Expected labels [T] of combined predictions [T]."""
        return self.intercept + self.slope * predictions

    def expected(self, disagreement: Floats) -> Floats:
        """The error [T] to expect where parts disagree so far [T]: a deviation."""
        return np.asarray(np.sqrt(self.noise + self.trust * disagreement**2))

    def half_width(self, disagreement: Floats, level: float = 0.9) -> Floats:
        """Half the width [T] of intervals that hold a label with probability `level`, by split conformal prediction
        (Lei et al., JASA 2018) with the held-out errors."""
        count = len(self.errors)
        place = min(math.ceil((count + 1) * level), count) - 1
        return np.asarray(self.expected(disagreement) * self.errors[place])

    def deviation(self, disagreement: Floats) -> Floats:
        """The deviation [T] of a normal distribution whose 90 % interval is that of `half_width`."""
        return self.half_width(disagreement, 0.9) / NormalDist().inv_cdf(0.95)
