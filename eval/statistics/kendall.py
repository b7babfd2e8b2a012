"""How sure a rank correlation is."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 4_000_000


def kendall_interval(
    true: NDArray[np.float64], predicted: NDArray[np.float64], level: float = 0.95
) -> tuple[float, float]:
    """An interval of Kendall's tau over architectures like these, from the spread of each one's share of concordant
    pairs (the variance of a U-statistic; Hoeffding, Annals of Mathematical Statistics 19, 1948), within [-1, 1].

    true, predicted: [N]. Ties count as neither concordant nor discordant.
    """
    count = len(true)
    chunk = max(1, _AT_ONCE // count)
    shares = np.concatenate(
        [
            (np.sign(true[i : i + chunk, None] - true) * np.sign(predicted[i : i + chunk, None] - predicted)).sum(1)
            for i in range(0, count, chunk)
        ]
    ) / (count - 1)
    half = NormalDist().inv_cdf(0.5 + level / 2) * 2 * float(shares.std(ddof=1)) / np.sqrt(count)
    middle = float(shares.mean())
    return max(-1.0, middle - half), min(1.0, middle + half)
