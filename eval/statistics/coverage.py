"""Which trials exist, which are missing, and which settings every listed label shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.eval.statistics.results import ComparisonError

__all__ = ["SETTING", "TASK", "Coverage", "coverage", "numbered"]

TASK = ["space", "benchmark", "target", "budget"]
SETTING = [*TASK, "seed"]


@dataclass(frozen=True)
class Coverage:
    """What was run, and over what a fair comparison can be taken.

    Attributes:
        labels: the labels compared, sorted.
        metric: its column name.
        settings: one row per (label, space, benchmark, target, budget, seed) of the full grid with ``state``: "done",
            "failed" (the trial failed), "undefined" (done, but the metric is NaN: a constant prediction) or "missing".
        common: the done rows of the settings that every label has, with the metric and, where known, split, test and
            test_set.
        expected: number of settings of the grid per label.
        shared: number of settings every label has.
    """

    labels: tuple[str, ...]
    metric: str
    settings: pd.DataFrame
    common: pd.DataFrame
    expected: int
    shared: int

    @property
    def missing(self) -> pd.DataFrame:
        """The rows of ``settings`` that are not done."""
        return self.settings[self.settings["state"] != "done"]

    @property
    def matrix(self) -> pd.DataFrame:
        """Rows = label, columns = (benchmark, target, budget); number of done seeds."""
        done = self.settings.assign(done=(self.settings["state"] == "done").astype(int))
        where = ["benchmark", "target", "budget"]
        return done.pivot_table(index="label", columns=where, values="done", aggfunc="sum").astype(int)

    def sentence(self) -> str:
        """One sentence: over how many settings the comparison is taken, and whose missing results shrank it."""
        whom = f"all {len(self.labels)} predictors" if len(self.labels) > 1 else self.labels[0]
        if self.shared == self.expected:
            return f"Mean over {self.expected} settings (benchmark, target, budget, seed) present for {whom}."
        counted = self.missing.groupby(["label", "state"], observed=True).size().reset_index(name="count_")
        listed = ", ".join(f"{row.label} {row.count_} {row.state}" for row in counted.itertuples(index=False))
        return f"Mean over {self.shared} of {self.expected} settings (benchmark, target, budget, seed), those present for {whom}; results missing: {listed}."


def coverage(frame: pd.DataFrame, metric: str = "kendall", labels: Sequence[str] | None = None) -> Coverage:
    """Grid of settings, missing results and common settings of ``labels`` (default: all in the frame) for ``metric``.

    The grid is every (space, benchmark, target, budget, seed) that at least one of the labels has a row for.

    Raises:
        ComparisonError: no rows, a missing column, an unknown label, several protocols or recipes, one label twice in
            one setting with different values, or labels that used different splits (or test sizes) for one seed.
    """
    rows, names = _selected(frame, metric, labels)
    rows = _without_repeats(rows, metric)
    # Everything below works on numbers of settings and labels: joining columns of text costs ten times as much, and a
    # page asks often.
    setting, grid = numbered(rows, SETTING)
    who = np.searchsorted(np.array(names, dtype=object), rows["label"].to_numpy(dtype=object))
    state = np.full((len(names), len(grid)), "missing", dtype=object)
    state[who, setting] = rows["state"].to_numpy(dtype=object)
    done = state[who, setting] == "done"
    _refuse_unpaired(rows[done], setting[done])
    settings = grid.take(np.tile(np.arange(len(grid)), len(names))).reset_index(drop=True)
    settings.insert(0, "label", np.repeat(np.array(names, dtype=object), len(grid)))
    settings["state"] = state.ravel()
    shared = done & (np.bincount(setting[done], minlength=len(grid)) == len(names))[setting]
    columns = ["label", *SETTING, metric, *(column for column in ("split", "test", "test_set") if column in rows)]
    order = np.lexsort((setting, who))
    common = rows[columns].take(order[shared[order]]).reset_index(drop=True)
    return Coverage(tuple(names), metric, settings, common, len(grid), len(common) // len(names))


def numbered(rows: pd.DataFrame, columns: Sequence[str]) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """The number of each row's combination of ``columns``, and the combinations in sorted order, one row each."""
    number: NDArray[np.int64] = (
        rows.groupby(list(columns), observed=True, dropna=False).ngroup().to_numpy().astype(np.int64)
    )
    first = np.unique(number, return_index=True)[1]
    return number, rows[list(columns)].take(first).reset_index(drop=True)


def _selected(frame: pd.DataFrame, metric: str, labels: Sequence[str] | None) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the labels asked for with a ``state``, and the labels sorted; mixed protocols and recipes refused."""
    if frame.empty:
        raise ComparisonError("no results to compare; run some trials first (archrank run)")
    if metric not in frame or frame[metric].isna().all():
        broken = int((frame["status"] == "failed").sum()) if "status" in frame else 0
        raise ComparisonError(f"none of the {len(frame)} trials has a {metric} ({broken} of them failed)")
    for column in ["label", *SETTING]:
        if column not in frame:
            raise ComparisonError(f"the results have no column {column!r}; see docs/store.md for what is needed")
    present = sorted(str(label) for label in frame["label"].unique())
    names = present if labels is None else sorted(set(labels))
    unknown = [name for name in names if name not in present]
    if unknown:
        raise ComparisonError(
            f"no results for {unknown[0]!r}; there are results for: {', '.join(present) or 'nothing'}"
        )
    if not names:
        raise ComparisonError("no label given to compare")
    rows = frame[frame["label"].isin(names)].copy()
    for column, remedy in (("protocol", "choose one protocol"), ("recipe", "choose one recipe")):
        mixed = sorted(str(value) for value in rows[column].dropna().unique()) if column in rows else []
        if len(mixed) > 1:
            raise ComparisonError(f"{column}s {', '.join(mixed)} are never compared in one table: {remedy}")
    failed = rows["status"] == "failed" if "status" in rows else pd.Series(False, index=rows.index)
    defined = np.isfinite(pd.to_numeric(rows[metric], errors="coerce").to_numpy(dtype=float))
    rows["state"] = np.where(failed, "failed", np.where(defined, "done", "undefined"))
    return rows, names


def _setting(row: pd.Series) -> str:
    return f"{row['benchmark']}/{row['target']}, budget {row['budget']}, seed {row['seed']}"


def _without_repeats(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row per label and setting; a failure beside a success is dropped, two different successes are refused."""
    key = ["label", *SETTING]
    if not rows.duplicated(key).any():
        return rows
    order = rows["state"].map({"done": 0, "undefined": 1, "failed": 2})
    rows = rows.assign(_order=order).sort_values([*key, "_order"], kind="stable").drop(columns="_order")
    done = rows[rows["state"] == "done"]
    spread = done.groupby(key, observed=True)[metric].nunique()
    if (spread > 1).any():
        row = done.set_index(key).loc[[spread.idxmax()]].reset_index().iloc[0]
        raise ComparisonError(
            f"{row['label']} has {int(spread.max())} different results for {_setting(row)}: "
            "trials of several versions of an encoder are in the store; keep one store per version"
        )
    return rows.drop_duplicates(key, keep="first")


def _refuse_unpaired(done: pd.DataFrame, setting: NDArray[np.int64]) -> None:
    """One seed must mean one split and one test set for every label, else nothing is paired. setting: the number of
    each row's setting."""
    for column, what in (("split", "splits"), ("test", "numbers of test architectures")):
        if column not in done:
            continue
        code, _ = pd.factorize(done[column])
        known = code >= 0
        pairs = np.unique(np.stack([setting[known], code[known]]), axis=1)
        several = np.flatnonzero(np.bincount(pairs[0]) > 1)
        if several.size:
            where = done[setting == several[0]]
            owners = where.drop_duplicates(column)["label"].tolist()
            raise ComparisonError(
                f"{owners[0]} and {owners[1]} used different {what} for {_setting(where.iloc[0])}: they are not paired "
                "(was the benchmark's table or the protocol changed between runs? run the older one again)"
            )
