"""What a loss sees of the training scores. Always turned so that higher is better, and fitted on the training labels alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Values = NDArray[np.float64]


def transform(scores: Values, kind: str, direction: str = "max", unit: str = "%") -> Values:
    """Labels [n] from raw training scores [n].

    kind: `normal` (normal scores of the ranks, ties sharing the mean rank: Blom's (r - 3/8) / (n + 1/4)), `standard` (mean 0, deviation 1; a
    constant stays 0), `raw`, `unit` (into [0, 1] for a sigmoid output: a metric whose `unit` is "%" divided by 100, one that is a "fraction" as it is,
    any other scaled from its smallest to its largest training value).
    """
    values = np.asarray(scores, np.float64) * {"max": 1.0, "min": -1.0}[direction]
    if kind == "normal":
        return np.asarray(norm.ppf((rankdata(values) - 0.375) / (len(values) + 0.25)), np.float64)
    if kind == "standard":
        spread = values.std()
        return (values - values.mean()) / (spread if spread > 0 else 1.0)
    if kind == "unit":
        if direction == "max" and unit in ("%", "fraction"):
            return values / (100.0 if unit == "%" else 1.0)
        span = float(np.ptp(values))
        return (values - values.min()) / span if span > 0 else np.full_like(values, 0.5)
    if kind == "raw":
        return values
    raise ValueError(f"unknown label transform '{kind}'")
