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
from typing import Literal

from numpy.typing import ArrayLike

from archrank.datasets.registry import Registry
from archrank.eval.metrics.functions import (
    Direction,
    MetricFunction,
    acc_within,
    coverage,
    digits,
    interval_score,
    kendall,
    mape,
    no_error,
    precision_at,
    regret_at,
    share_error,
    spearman,
    tau_standard_error,
)

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
    error: Callable[[float, int], float] = no_error
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
    error=partial(share_error, 0.01),
    description="share of the predicted best 1 % that is truly among the best 1 % (random: 0.01)",
)
PRECISION_5 = Metric(
    "p@5%",
    partial(precision_at, 0.05),
    "max",
    "share",
    bounds=(0.0, 1.0),
    error=partial(share_error, 0.05),
    description="share of the predicted best 5 % that is truly among the best 5 % (random: 0.05)",
)
PRECISION_10 = Metric(
    "p@10%",
    partial(precision_at, 0.1),
    "max",
    "share",
    bounds=(0.0, 1.0),
    error=partial(share_error, 0.1),
    description="share of the predicted best 10 % that is truly among the best 10 % (random: 0.1)",
)
PRECISION_50 = Metric(
    "p@50%",
    partial(precision_at, 0.5),
    "max",
    "share",
    bounds=(0.0, 1.0),
    error=partial(share_error, 0.5),
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
