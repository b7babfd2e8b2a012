"""How each metric is computed, and the standard error that one finite test set leaves. See the package for the
conventions."""

from __future__ import annotations

import math
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Direction = Literal["max", "min"]
Floats = NDArray[np.float64]


class MetricFunction(Protocol):
    """(true [N], predicted [N], direction) -> the metric, NaN where it is undefined."""

    def __call__(self, true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float:
        """The value."""


def _inputs(true: ArrayLike, predicted: ArrayLike, direction: str) -> tuple[Floats, Floats] | None:
    """Both columns as float64 [N] with higher = better, or None where no order is predicted or measured."""
    if direction not in ("max", "min"):
        raise ValueError(f'direction is {direction!r}; it must be "max" (accuracy) or "min" (latency)')
    measured = np.asarray(true, dtype=np.float64)
    guess = np.asarray(predicted, dtype=np.float64)
    if measured.ndim != 1 or guess.shape != measured.shape:
        raise ValueError(
            f"true scores have shape {measured.shape} and predictions {guess.shape}; "
            "both must be one-dimensional and of one length"
        )
    if measured.size < 2:
        raise ValueError(f"{measured.size} test architecture(s) have no order; at least 2 are needed")
    if not np.isfinite(measured).all():
        raise ValueError(
            f"true score of row {int(np.flatnonzero(~np.isfinite(measured))[0])} is not finite; "
            "drop architectures without a measured score before scoring"
        )
    if not np.isfinite(guess).all() or (guess == guess[0]).all() or (measured == measured[0]).all():
        return None
    return (measured if direction == "max" else -measured), guess


def kendall(true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float:
    """Kendall's tau-b in [-1, 1] between ``predicted`` [N] and ``true`` [N] (M. Kendall, 1945)."""
    from scipy import stats

    columns = _inputs(true, predicted, direction)
    return math.nan if columns is None else float(stats.kendalltau(*columns).statistic)


def spearman(true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float:
    """Spearman's rank correlation in [-1, 1], ties by average ranks."""
    from scipy import stats

    columns = _inputs(true, predicted, direction)
    return math.nan if columns is None else float(stats.spearmanr(*columns).statistic)


def _top_probability(values: Floats, k: int) -> Floats:
    """[N] chance of each row to be among the ``k`` largest when ties at the boundary are broken at random."""
    boundary = np.partition(values, values.size - k)[values.size - k]
    above = values > boundary
    at = values == boundary
    chance = above.astype(np.float64)
    chance[at] = (k - int(above.sum())) / int(at.sum())
    return chance


def precision_at(fraction: float, true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float:
    """Share of the predicted best ``fraction`` that is among the truly best ``fraction``, in [0, 1].

    K = int(fraction * N), at least 1. With ties at either boundary it is the expected overlap when both are broken at
    random and independently. A random order scores K / N.

    Raises:
        ValueError: ``fraction`` outside (0, 1], or columns that do not match.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; it must lie in (0, 1], for example 0.05 for the best 5 %")
    columns = _inputs(true, predicted, direction)
    if columns is None:
        return math.nan
    measured, guess = columns
    k = max(1, math.floor(fraction * measured.size + 1e-9))  # 1e-9: 0.29 * 100 is 28.999... in floating point
    return float(_top_probability(measured, k) @ _top_probability(guess, k)) / k


def regret_at(k: int, true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float:
    """Best true score minus the best true score among the ``k`` best predicted, in the target's unit, >= 0.

    What is lost when only the ``k`` best predicted architectures are trained and the best of them is kept. With ties
    at the boundary it is the *expected* loss when they are broken at random: the worst case would charge a coarse
    predictor for luck it did not have, the best case would reward predicting the same value for everything.
    ``k`` larger than the test set means all of it (regret 0).

    Raises:
        ValueError: ``k`` below 1, or columns that do not match.
    """
    from scipy.special import gammaln

    if k < 1:
        raise ValueError(f"regret@{k}: k must be at least 1")
    columns = _inputs(true, predicted, direction)
    if columns is None:
        return math.nan
    measured, guess = columns
    best = float(measured.max())
    if k >= measured.size:
        return 0.0
    boundary = np.partition(guess, guess.size - k)[guess.size - k]
    above = measured[guess > boundary]
    tied = -np.sort(-measured[guess == boundary])
    drawn, among = k - above.size, tied.size
    # P(the best of `drawn` rows taken out of `among` is the j-th best) = C(among-1-j, drawn-1) / C(among, drawn)
    j = np.arange(among - drawn + 1, dtype=np.float64)
    left = among - 1 - j
    log_chance = gammaln(left + 1) - gammaln(left - drawn + 2) - gammaln(drawn)
    log_chance -= gammaln(among + 1) - gammaln(among - drawn + 1) - gammaln(drawn + 1)
    chance = np.exp(log_chance)
    top = tied[: j.size] if above.size == 0 else np.maximum(tied[: j.size], above.max())
    return max(0.0, float((best - top) @ (chance / chance.sum())))


def _calibrated(true: ArrayLike, predicted: ArrayLike, direction: Direction) -> tuple[Floats, Floats] | None:
    """True scores and the values predicted for them: a minimised target is predicted with its sign turned."""
    columns = _inputs(true, predicted, direction)
    if columns is None:
        return None
    measured, guess = columns if direction == "max" else (-columns[0], -columns[1])
    if (measured == 0).any():
        raise ValueError("a relative error is undefined for a true score of 0; drop such architectures or use kendall")
    return measured, guess


def mape(true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float:
    """Mean absolute error relative to the true score (0.05 is 5 %); only for predictions in the target's unit.

    For ``direction="min"`` the predicted value is ``-predicted``, since higher always means predicted better.
    """
    columns = _calibrated(true, predicted, direction)
    return math.nan if columns is None else float(np.mean(np.abs(columns[1] - columns[0]) / np.abs(columns[0])))


def acc_within(tolerance: float, true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float:
    """Share of architectures predicted within ``tolerance`` (0.1: +-10 %) of the true score (BRP-NAS, 2020)."""
    columns = _calibrated(true, predicted, direction)
    if columns is None:
        return math.nan
    return float(np.mean(np.abs(columns[1] - columns[0]) <= tolerance * np.abs(columns[0])))


def _ends(true: ArrayLike, ends: ArrayLike, direction: str) -> tuple[Floats, Floats, Floats] | None:
    """True scores [N], and the lower and upper ends [N] of their intervals; None where `ends` are no intervals."""
    intervals = np.asarray(ends, np.float64)
    if intervals.ndim != 2 or intervals.shape[1] != 2 or np.isnan(intervals).any():
        return None
    measured = np.asarray(true, np.float64)
    _inputs(measured, intervals[:, 0], direction)
    return measured, intervals[:, 0], intervals[:, 1]


def coverage(true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float:
    """Share of true scores [N] inside intervals.

    predicted: float [N, 2], their ends in the target's unit; NaN for anything else.
    """
    columns = _ends(true, predicted, direction)
    if columns is None:
        return math.nan
    measured, low, high = columns
    return float(np.mean((low <= measured) & (measured <= high)))


def interval_score(level: float, true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float:
    """Mean width of intervals, and 2 / (1 - level) times how far true scores [N] lie outside them.

    predicted: float [N, 2], their ends in the target's unit; NaN for anything else. It is smallest for intervals that
    hold a score with probability `level` and are no wider than that needs (Gneiting & Raftery, JASA 2007).
    """
    columns = _ends(true, predicted, direction)
    if columns is None:
        return math.nan
    measured, low, high = columns
    outside = np.maximum(low - measured, 0) + np.maximum(measured - high, 0)
    return float(np.mean(high - low + 2 / (1 - level) * outside))


def tau_standard_error(tau: float, n: int) -> float:
    """Standard error of Kendall's tau from the finite number ``n`` of test architectures alone.

    The exact variance for a bivariate normal (or any monotone transform of one: a Gaussian copula) with correlation
    rho = sin(pi tau / 2) (F. Esscher, 1924; M. Kendall, Rank Correlation Methods, 1970, chapter 10)::

        2 / (n (n - 1)) * (1 - tau^2 + 2 (n - 2) (1/9 - (2/pi * arcsin(rho / 2))^2))

    0.035 at n = 50, 0.016 at 200, 0.0069 at 1,000 and 0.0030 at 5,000 for tau = 0.8. NaN for n < 2 or an undefined tau.
    """
    if n < 2 or not math.isfinite(tau) or abs(tau) > 1:
        return math.nan
    rho = math.sin(math.pi * tau / 2)
    local = 1 / 9 - (2 / math.pi * math.asin(rho / 2)) ** 2
    return math.sqrt(max(0.0, 2 / (n * (n - 1)) * (1 - tau * tau + 2 * (n - 2) * local)))


def digits(half_width: float) -> int:
    """Decimals worth printing for a number known to ``+- half_width`` (>= 0; 4 where it is unknown or 0).

    The rule of the Particle Data Group: an uncertainty is shown with two significant digits when they are 10 to 35,
    else with one (0.019 -> 3 decimals, 0.004 -> 3, 0.06 -> 2), and the value to the same place.
    """
    if not math.isfinite(half_width) or half_width <= 0:
        return 4
    exponent = math.floor(math.log10(half_width))
    leading = half_width / 10**exponent
    return max(0, -exponent + (1 if leading < 3.55 else 0)) if leading < 9.5 else max(0, -exponent)


def no_error(value: float, n: int) -> float:
    """NaN: the error of a metric of n test architectures is not known."""
    return math.nan


def share_error(fraction: float, value: float, n: int) -> float:
    """Standard error of a share of the best `fraction` of n test architectures."""
    k = max(1, math.floor(fraction * n + 1e-9))
    return math.sqrt(max(value * (1 - value), 1 / (4 * k)) / k) if math.isfinite(value) else math.nan
