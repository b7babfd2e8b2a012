"""Ranking metrics: how well predictions order the test architectures.

Conventions, the same for every metric:

* ``true`` holds the measured scores in the target's own unit; ``direction`` says whether a good architecture has a
  high (``"max"``, accuracy) or a low one (``"min"``, latency).
* ``predicted`` holds one number per architecture, higher meaning *predicted better*, whatever the direction.
* A prediction that holds NaN or an infinity, or that is the same for every architecture, orders nothing: the metric is
  NaN (undefined), never 0. So is every metric when all true scores are equal.
* Ties are broken at random in the mind's eye: the top-K metrics are expectations over all ways of breaking them, so
  they depend neither on the order of the rows nor on a sorting algorithm.

Only numpy and scipy are needed. All metrics cost O(N log N) or less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archrank.datasets.registry import Registry

Direction = Literal["max", "min"]
Floats = NDArray[np.float64]

__all__ = [
    "METRICS",
    "Direction",
    "Metric",
    "acc_within",
    "coverage",
    "digits",
    "interval_score",
    "kendall",
    "mape",
    "precision_at",
    "regret_at",
    "score",
    "spearman",
    "tau_standard_error",
]


class MetricFunction(Protocol):
    """(true [N], predicted [N], direction) -> the metric, NaN where it is undefined."""

    def __call__(self, true: ArrayLike, predicted: ArrayLike, direction: Direction = "max") -> float: ...


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


def _no_error(value: float, n: int) -> float:
    return math.nan


def _share_error(fraction: float, value: float, n: int) -> float:
    k = max(1, math.floor(fraction * n + 1e-9))
    return math.sqrt(max(value * (1 - value), 1 / (4 * k)) / k) if math.isfinite(value) else math.nan


@dataclass(frozen=True)
class Metric:
    """One column of results and everything a report must know to show it.

    Attributes:
        name: column name in the store and in data frames.
        function: (true, predicted, direction) -> float.
        direction: whether a higher ("max") or a lower ("min") value of the *metric* is better.
        unit: "" for a pure number, "share" for one in [0, 1], "target" for the unit of the target.
        description: one line for a table's head or a tooltip.
        bounds: smallest and largest possible value; an interval is cut there.
        default: computed by `score` without being asked for.
        in_unit: needs predictions in the unit of the target, not only in its order.
        intervals: judges intervals: ``function`` is given their ends [N, 2], in the unit of the target, in place of
            predictions. Stored for a predictor that knows how far it may be off, not computed from predictions.
        error: (value, test architectures) -> the standard error that one finite test set leaves; NaN where unknown.
    """

    name: str
    function: MetricFunction
    direction: Direction
    unit: Literal["", "share", "target"]
    description: str
    bounds: tuple[float, float] = (-math.inf, math.inf)
    default: bool = True
    error: Callable[[float, int], float] = _no_error
    in_unit: bool = False
    intervals: bool = False

    @property
    def from_order(self) -> bool:
        """Whether it can be computed from the order of predictions, so that every predictor has it."""
        return not (self.in_unit or self.intervals)

    @property
    def arrow(self) -> str:
        """An arrow towards better, for a table's head."""
        return "↑" if self.direction == "max" else "↓"


METRICS: Registry[Metric] = Registry("metric", "metrics", __name__, Metric)
"""Every metric by its name; the report and the statistics learn all they know about a metric here."""

KENDALL = Metric(
    "kendall", kendall, "max", "", description="Kendall's tau-b", bounds=(-1.0, 1.0), error=tau_standard_error
)
SPEARMAN = Metric("spearman", spearman, "max", "", description="Spearman's rank correlation", bounds=(-1.0, 1.0))
PRECISION_1 = Metric(
    "p@1%",
    partial(precision_at, 0.01),
    "max",
    "share",
    bounds=(0.0, 1.0),
    error=partial(_share_error, 0.01),
    description="share of the predicted best 1 % that is truly among the best 1 % (random: 0.01)",
)
PRECISION_5 = Metric(
    "p@5%",
    partial(precision_at, 0.05),
    "max",
    "share",
    bounds=(0.0, 1.0),
    error=partial(_share_error, 0.05),
    description="share of the predicted best 5 % that is truly among the best 5 % (random: 0.05)",
)
PRECISION_10 = Metric(
    "p@10%",
    partial(precision_at, 0.1),
    "max",
    "share",
    bounds=(0.0, 1.0),
    error=partial(_share_error, 0.1),
    description="share of the predicted best 10 % that is truly among the best 10 % (random: 0.1)",
)
PRECISION_50 = Metric(
    "p@50%",
    partial(precision_at, 0.5),
    "max",
    "share",
    bounds=(0.0, 1.0),
    error=partial(_share_error, 0.5),
    description="share of the predicted best 50 % that is truly among the best 50 % (random: 0.5)",
)
REGRET_1 = Metric(
    "regret@1",
    partial(regret_at, 1),
    "min",
    "target",
    bounds=(0.0, math.inf),
    description="best true score minus the true score of the best predicted architecture",
)
REGRET_10 = Metric(
    "regret@10",
    partial(regret_at, 10),
    "min",
    "target",
    bounds=(0.0, math.inf),
    description="best true score minus the true score of the best of the 10 best predicted architectures",
)
REGRET_50 = Metric(
    "regret@50",
    partial(regret_at, 50),
    "min",
    "target",
    bounds=(0.0, math.inf),
    description="best true score minus the true score of the best of the 50 best predicted architectures",
)
MAPE = Metric(
    "mape",
    mape,
    "min",
    "",
    description="mean absolute error relative to the true score; of a cost whose order alone was learned, with predictions "
    "at the quantiles of the training scores",
    bounds=(0.0, math.inf),
    default=False,
    in_unit=True,
)
ACCURACY_10 = Metric(
    "acc@10%",
    partial(acc_within, 0.1),
    "max",
    "share",
    bounds=(0.0, 1.0),
    default=False,
    in_unit=True,
    description="share of architectures predicted within 10 % of the true score",
)
COVERAGE = Metric(
    "coverage@90%",
    coverage,
    "max",
    "share",
    bounds=(0.0, 1.0),
    default=False,
    intervals=True,
    description="share of true scores inside the predictor's 90 % intervals; 0.9 is right, more is too cautious",
)
INTERVAL_SCORE = Metric(
    "interval_score@90%",
    partial(interval_score, 0.9),
    "min",
    "target",
    bounds=(0.0, math.inf),
    default=False,
    intervals=True,
    description="width of the predictor's 90 % intervals and 20 times how far true scores lie outside",
)


def score(
    true: ArrayLike, predicted: ArrayLike, direction: Direction = "max", metrics: Iterable[str] | None = None
) -> dict[str, float]:
    """All default metrics (or the named ones) of one trial; NaN where a metric is undefined.

    Args:
        true: [N] measured scores in the target's unit.
        predicted: [N] predictions, higher = predicted better.
        direction: "max" or "min", of the target.
        metrics: names out of `METRICS`; default all whose ``default`` is set.

    Raises:
        ValueError: an unknown metric, columns that do not match, or a true score that is not finite.
    """
    names = [name for name, metric in METRICS.items() if metric.default] if metrics is None else list(metrics)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"no metric is called {unknown[0]!r}; there are {', '.join(METRICS)}")
    return {name: METRICS[name].function(true, predicted, direction) for name in names}
