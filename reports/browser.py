"""What a page carries of a group's trials, so that it can compute every mean, interval and test that a reader asks for
(templates/stats.js)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.eval.metrics import METRICS
from archrank.eval.statistics import ComparisonError, coverage
from archrank.eval.statistics.paired import PairedResults, paired_results
from archrank.reports.study import MAIN, View, task_name

__all__ = ["MOST_VALUES", "page_data"]

MOST_VALUES = 30_000
"""Values of trials that a page carries of one group; further metrics are left to the tables."""


def page_data(view: View) -> dict[str, Any]:
    """The common settings of a view's predictors as plain JSON values.

    Keys: `labels` [L]; `tasks` [T] of {benchmark, space, budget}; `seeds`, their number S; `metrics`, of each its
    values `x` [L * T * S] (null where there is none), which way it is `better`, its `bounds`, whether it is in the unit
    of its `target`, and where they are needed the sampling `error` of the test sets [L * T] and which tasks have one
    test set for all seeds (`shared` [T]). Empty where the trials are too many for a page.
    """
    whole = paired_results(view.covered)
    tasks = [
        {
            "benchmark": task_name(str(row["benchmark"]), str(row["target"])),
            "space": str(row["space"]),
            "budget": int(row["budget"]),
        }
        for row in whole.tasks.to_dict("records")
    ]
    if whole.x.size > MOST_VALUES:
        return {}
    metrics = {MAIN: _metric(whole, MAIN, whole)}
    for name in view.others:
        if (len(metrics) + 1) * whole.x.size > MOST_VALUES:
            break
        try:
            paired = paired_results(coverage(view.frame, name, whole.labels))
        except ComparisonError:
            continue
        metrics[name] = _metric(paired, name, whole)
    return {"labels": list(whole.labels), "tasks": tasks, "seeds": whole.x.shape[2], "metrics": metrics}


def _metric(results: PairedResults, name: str, whole: PairedResults) -> dict[str, Any]:
    """One metric, laid out over the tasks of the main one."""
    metric = METRICS[name]
    place = {tuple(row): t for t, row in enumerate(whole.tasks.itertuples(index=False, name=None))}
    at = [
        (t, place[key])
        for t, row in enumerate(results.tasks.itertuples(index=False, name=None))
        if (key := tuple(row)) in place
    ]
    x = np.full_like(whole.x, np.nan)
    error = np.full(x.shape[:2], np.nan)
    shared = np.zeros(x.shape[1], dtype=bool)
    for there, here in at:
        x[:, here, : results.x.shape[2]] = results.x[:, there, : x.shape[2]]
        error[:, here], shared[here] = results.test_error[:, there], results.shared[there]
    out: dict[str, Any] = {
        "x": _plain(x, 6),
        "better": "higher" if metric.direction == "max" else "lower",
        "bounds": [None if not np.isfinite(end) else end for end in metric.bounds],
        "target": metric.unit == "target",
    }
    single = (np.isfinite(x[0]).sum(axis=1) < 2).any()
    if shared.any() or single:
        out |= {"error": _plain(error, 6), "shared": [bool(value) for value in shared]}
    return out


def _plain(values: NDArray[np.float64], decimals: int) -> Sequence[float | None]:
    return [None if not np.isfinite(v) else round(float(v), decimals) for v in values.ravel()]
