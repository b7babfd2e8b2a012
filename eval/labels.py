"""What a loss sees of the training scores. Always turned so that higher is better, and fitted on the training labels alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Values = NDArray[np.float64]


def transform(scores: Values, kind: str, direction: str = "max") -> Values:
    """Labels [n] from raw training scores [n].

    kind: `normal` (normal scores of the ranks, ties sharing the mean rank: Blom's (r - 3/8) / (n + 1/4)), `standard` (mean 0, deviation 1; a
    constant stays 0), `unit` (percent divided by 100), `raw`.
    """
    values = np.asarray(scores, np.float64) * (1.0 if direction == "max" else -1.0)
    if kind == "normal":
        return np.asarray(norm.ppf((rankdata(values) - 0.375) / (len(values) + 0.25)), np.float64)
    if kind == "standard":
        spread = values.std()
        return (values - values.mean()) / (spread if spread > 0 else 1.0)
    if kind == "unit":
        return values / 100.0
    if kind == "raw":
        return values
    raise ValueError(f"unknown label transform '{kind}'")
