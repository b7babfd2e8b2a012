"""Trials that may share a table, and readings of them: all settings, one budget, one benchmark.

No statistic is computed here; all come from `archrank.eval.statistics`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from archrank.eval.metrics import METRICS
from archrank.eval.statistics import (
    KINDS,
    Bootstrap,
    Comparison,
    ComparisonError,
    Coverage,
    Interval,
    bootstrap,
    coverage,
    leaderboard,
    pairs,
)
from archrank.reports.words import join, slug

__all__ = ["MAIN", "Group", "View", "grouped", "interval", "intervals", "make_group", "task_name"]

MAIN = "kendall"
"""The metric that orders everything."""

ENOUGH = 0.5
"""Share of a group's settings a predictor must have results for to be ranked; below it the common settings of all would
shrink too far."""


def grouped(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows that agree in all of the columns, with their values, in sorted order."""
    for values, part in frame.groupby(list(columns)):
        yield (values if isinstance(values, tuple) else (values,)), part


def interval(row: pd.Series[Any]) -> Interval:
    """The mean and interval in a row of `values`."""
    return Interval(row["mean"], row["low"], row["high"], row["kind"], int(row["units"]))


def intervals(kind: str) -> str:
    """What the intervals of a table or a figure cover, as a sentence."""
    return f"{KINDS[kind][0].upper()}{KINDS[kind][1:]}." if kind == "none" else f"95 % intervals {KINDS[kind]}."


def task_name(benchmark: str, target: str) -> str:
    """How a task is written everywhere, as in `Bootstrap.benchmarks`."""
    return f"{benchmark}/{target}"


@dataclass(frozen=True)
class View:
    """One reading of a group: all settings, one budget or one benchmark, with everything the leaderboard needs."""

    id: str
    title: str
    frame: pd.DataFrame
    board: pd.DataFrame
    boot: Bootstrap
    pairs: tuple[Comparison, ...]
    covered: Coverage
    scope: Literal["auto", "splits"]
    _other: dict[str, Bootstrap | str] = field(default_factory=dict, repr=False)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Labels, best first."""
        return tuple(self.board["label"])

    @cached_property
    def tier(self) -> Mapping[str, str]:
        """Tier letters by label."""
        return dict(zip(self.board["label"], self.board["tier"]))

    @property
    def testable(self) -> bool:
        """Whether any difference can be tested; one split cannot tell."""
        return self.boot.kind in ("spaces", "splits")

    @cached_property
    def top(self) -> tuple[str, ...]:
        """The label with the best mean and, in their order, all that do not differ significantly from it: that share a
        tier letter with it."""
        first = self.order[0]
        return tuple(label for label in self.order if label == first or not self.comparison(first, label).significant)

    def comparison(self, a: str, b: str) -> Comparison:
        """The stored comparison of two labels, whichever stands first in it."""
        return next(c for c in self.pairs if {c.a, c.b} == {a, b})

    @cached_property
    def over(self) -> str:
        """What the means are over; a budget or a benchmark without a setting that can be used is not in it."""
        budgets = [str(b) for b in self.boot.budgets]
        whole = [
            len(budgets) == self.frame["budget"].nunique(),
            len(self.boot.benchmarks) == len(self.frame[["benchmark", "target"]].drop_duplicates()),
        ]
        if all(whole):
            return "all budgets and benchmarks"
        return f"{'all budgets' if whole[0] else f'{join(budgets)} labels'}, {'all benchmarks' if whole[1] else join(self.boot.benchmarks)}"

    @cached_property
    def others(self) -> tuple[str, ...]:
        """Every other metric that was measured."""
        return tuple(n for n in METRICS if n != MAIN and n in self.frame and bool(self.frame[n].notna().any()))

    def other(self, metric: str) -> Bootstrap | str:
        """The means of another metric, or the reason why it has none over these settings."""
        if metric not in self._other:
            try:
                labels = self._with_intervals(metric) if METRICS[metric].intervals else self.order
                self._other[metric] = bootstrap(self.frame, metric, labels, scope=self.scope, draws=0)
            except ComparisonError as error:
                self._other[metric] = str(error)
        return self._other[metric]

    def _with_intervals(self, metric: str) -> tuple[str, ...]:
        """The labels that have a metric of intervals at all, which only some predictors give."""
        having = set(self.frame["label"][self.frame[metric].notna()])
        return tuple(label for label in self.order if label in having)


@dataclass(frozen=True)
class Group:
    """Trials of one protocol and one recipe: the only ones that may stand in one table."""

    id: str
    protocol: str
    recipe: str
    frame: pd.DataFrame
    views: tuple[View, ...]
    problem: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How headings name the group."""
        return f"protocol {self.protocol}, recipe {self.recipe}"

    @property
    def here(self) -> View:
        """All settings, read as a statement about these benchmarks alone; only for a group that has views."""
        return next(view for view in self.views if view.id == "here" or view.boot.kind != "spaces")

    @property
    def tasks(self) -> list[tuple[str, str]]:
        """Every (benchmark, target), sorted."""
        return sorted({(str(b), str(t)) for b, t in zip(self.frame["benchmark"], self.frame["target"])})

    @property
    def budgets(self) -> list[int]:
        """Every budget, ascending."""
        return sorted(int(b) for b in self.frame["budget"].unique())

    def task(self, benchmark: str, target: str) -> pd.DataFrame:
        """The rows of one task."""
        return self.frame[(self.frame["benchmark"] == benchmark) & (self.frame["target"] == target)]


def make_group(protocol: str, recipe: str, frame: pd.DataFrame) -> Group:
    """The trials of one protocol and one recipe with their statistics: over all, by budget and by benchmark."""
    frame = frame.reset_index(drop=True)
    name = slug(f"{protocol}-{recipe}")
    try:
        labels, left_out = _rankable(frame)
        ranked = frame[frame["label"].isin(labels)]
        views = [_view("all", "", ranked, labels)]
        if views[0].boot.kind == "spaces":
            views.append(_view("here", "these benchmarks only", ranked, labels, "splits"))
        budgets = sorted(ranked["budget"].unique())
        tasks = sorted(set(zip(ranked["benchmark"], ranked["target"])))
        parts = [(f"b{b}", f"{b} labels", ranked[ranked["budget"] == b]) for b in budgets if len(budgets) > 1]
        parts += [
            (f"t{i}", task_name(b, t), ranked[(ranked["benchmark"] == b) & (ranked["target"] == t)])
            for i, (b, t) in enumerate(tasks)
            if len(tasks) > 1
        ]
        for view_id, title, part in parts:
            try:
                views.append(_view(view_id, title, part, labels, "splits"))
            except ComparisonError as error:
                left_out += (f"No table for {title}: {error}",)
        return Group(name, protocol, recipe, frame, tuple(views), left_out=left_out)
    except ComparisonError as error:
        return Group(name, protocol, recipe, frame, (), problem=str(error))


def _rankable(frame: pd.DataFrame) -> tuple[list[str], tuple[str, ...]]:
    """Labels that have results for enough of the settings, and a sentence for each one that has not."""
    whole = coverage(frame, MAIN)
    done = whole.settings[whole.settings["state"] == "done"].groupby("label").size()
    counts = {label: int(done.get(label, 0)) for label in whole.labels}
    most = max(counts.values())
    keep = [label for label in whole.labels if counts[label] >= max(1, ENOUGH * most)]
    out = [
        f"{label} is not ranked: it has results for {counts[label]} of {whole.expected} settings."
        for label in whole.labels
        if label not in keep
    ]
    while len(keep) > 1 and coverage(frame[frame["label"].isin(keep)], MAIN).shared == 0:
        worst = min(keep, key=lambda label: (counts[label], label))
        keep.remove(worst)
        out.append(f"{worst} is not ranked: it shares no setting with all the others ({counts[worst]} settings done).")
    return keep, tuple(out)


def _view(
    view_id: str,
    title: str,
    frame: pd.DataFrame,
    labels: Sequence[str],
    scope: Literal["auto", "splits"] = "auto",
) -> View:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        board = leaderboard(frame, MAIN, labels, scope=scope)
        compared = tuple(pairs(frame, MAIN, labels, scope=scope)) if len(labels) > 1 else ()
        boot = bootstrap(frame, MAIN, labels, scope=scope, draws=0)
        view = View(view_id, title, frame, board, boot, compared, coverage(frame, MAIN, labels), scope)
        return (
            view if title else replace(view, title="search spaces like these" if boot.kind == "spaces" else view.over)
        )
