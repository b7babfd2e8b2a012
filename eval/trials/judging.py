"""What a trained member said, judged by the true scores of its test architectures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.eval import metrics
from archrank.eval.auto.scores import ScoreScale
from archrank.eval.engine.training import Outcome
from archrank.eval.trials.records import TrialFailure

Floats = NDArray[np.float64]


def judge(outcome: Outcome, truth: Floats, direction: Any) -> tuple[dict[str, float | None], TrialFailure | None]:
    """The metrics by true scores [T], or why there are none: a missing number is a failure, never a zero."""
    problem = outcome.problem
    if problem is None and not np.isfinite(outcome.predictions).all():
        problem = "a prediction is not a finite number"
    if problem is None and np.ptp(outcome.predictions) == 0:
        problem = "every architecture got the same prediction"
    if problem is not None:
        return {}, TrialFailure(type="Undefined", message=problem)
    return _defined(metrics.score(truth, outcome.predictions, direction)), None


def judge_intervals(outcome: Outcome, scale: ScoreScale, truth: Floats, direction: Any) -> dict[str, float | None]:
    """The metrics of intervals by true scores [T], where there are intervals. scale: from labels to scores."""
    if outcome.half_width is None:
        return {}
    around = outcome.predictions, outcome.half_width
    ends = np.sort([scale(around[0] - around[1]), scale(around[0] + around[1])], 0).T
    judges = {name: metric for name, metric in metrics.METRICS.items() if metric.intervals}
    return _defined({name: metric.function(truth, ends, direction) for name, metric in judges.items()})


def _defined(values: dict[str, float]) -> dict[str, float | None]:
    return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}
