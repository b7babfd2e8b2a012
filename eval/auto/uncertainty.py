"""How far a prediction may be off, learned from the errors on held-out folds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Turns a combined prediction and the disagreement of its parts into an expected label and its deviation.

    intercept, slope: of the labels on held-out predictions. noise, trust: the squared error that is expected is
    noise + trust * disagreement**2. errors: float64 [n], sorted, held-out errors in units of that expectation's root.
    """

    intercept: float
    slope: float
    noise: float
    trust: float
    errors: Floats

    @classmethod
    def of(cls, held_out: Floats, disagreement: Floats, labels: Floats) -> Calibration:
        """Fitted to predictions [n] for architectures that were held out, and their labels [n]."""
        from scipy.optimize import nnls

        slope, intercept = np.polyfit(held_out, labels, 1) if np.ptp(held_out) > 0 else (0.0, float(labels.mean()))
        residuals = labels - intercept - slope * held_out
        basis = np.column_stack([np.ones(len(labels)), disagreement**2])
        noise, trust = nnls(basis, residuals**2)[0]
        noise = max(float(noise), 1e-3 * float((residuals**2).mean()), 1e-12)
        expected = np.sqrt(noise + trust * disagreement**2)
        return cls(float(intercept), float(slope), noise, float(trust), np.sort(np.abs(residuals) / expected))

    def mean(self, predictions: Floats) -> Floats:
        """Expected labels [T] of combined predictions [T]."""
        return self.intercept + self.slope * predictions

    def half_width(self, disagreement: Floats, level: float = 0.9) -> Floats:
        """Half the width [T] of intervals that hold a label with probability `level`, by split conformal prediction
        (Lei et al., JASA 2018) with the held-out errors."""
        count = len(self.errors)
        place = min(math.ceil((count + 1) * level), count) - 1
        return np.asarray(np.sqrt(self.noise + self.trust * disagreement**2) * self.errors[place])

    def deviation(self, disagreement: Floats) -> Floats:
        """The deviation [T] of a normal distribution whose 90 % interval is that of `half_width`."""
        return self.half_width(disagreement, 0.9) / NormalDist().inv_cdf(0.95)
