"""Means over seeds with their intervals, one task at a time: the points of curves and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from archrank.eval.statistics.coverage import TASK, coverage
from archrank.eval.statistics.metric_range import Better, cut, direction_of
from archrank.eval.statistics.multiplier_bootstrap import joint
from archrank.eval.statistics.paired import paired_results

__all__ = ["values"]


def values(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    common: bool = False,
    better: Better | None = None,
) -> pd.DataFrame:
    """One row per (label, space, benchmark, target, budget): mean over seeds with its 95 % interval.

    Columns: ``label space benchmark target budget mean low high sd kind units test``. ``common=False`` uses all seeds
    a label has (for a curve of one encoder); ``True`` only settings that all labels have (for a table of comparisons).
    """
    direction_of(metric, better)
    covered = coverage(frame, metric, labels)
    if common:
        groups = [paired_results(covered)]
    else:
        done = frame[frame["label"].isin(covered.labels)]
        each = [coverage(done, metric, [label]) for label in covered.labels]
        groups = [paired_results(unit_weight) for unit_weight in each if not unit_weight.common.empty]
    rows = []
    alone, unit_weight = np.zeros(1, dtype=np.int64), np.ones(1)
    for results in groups:
        each_label = np.eye(len(results.labels))
        for t, task in enumerate(results.tasks.itertuples(index=False, name=None)):
            x = results.x[:, t : t + 1]
            got = joint(x, alone, unit_weight, False, results.test_error[:, t : t + 1], results.shared[t : t + 1])
            for i, label in enumerate(results.labels):
                interval = cut(got.contrast(each_label[i])[0], metric)
                seen = x[i, 0][np.isfinite(x[i, 0])]
                sd = float(seen.std(ddof=1)) if seen.size > 1 else math.nan
                numbers = (interval.estimate, interval.low, interval.high, sd)
                rows.append((label, *task, *numbers, interval.kind, interval.units))
    table = pd.DataFrame(rows, columns=["label", *TASK, "mean", "low", "high", "sd", "kind", "units"])
    if "test" in covered.common:
        rows_with = frame[frame["label"].isin(covered.labels)]
        size = rows_with.groupby(["label", *TASK], observed=True)["test"].min().rename("test").reset_index()
        table = table.merge(size, how="left", on=["label", *TASK])
    else:
        table["test"] = math.nan
    return table.sort_values(["label", *TASK], ignore_index=True)
