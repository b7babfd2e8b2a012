"""What a report is about: trials read from stores, grouped by what may share a table, with their statistics.

No statistic is computed here; all come from `archrank.eval.statistics`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets import ArchrankError, Benchmark
from archrank.datasets.errors import ArchrankWarning
from archrank.datasets.io.visible import visible
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
    noise_ceiling,
    pairs,
)
from archrank.eval.trials.records import Damaged, TrialRecord
from archrank.eval.trials.rescore import with_metrics
from archrank.eval.trials.results import Reading, as_frame, latest
from archrank.eval.trials.store import Store
from archrank.eval.trials.suite import read_skipped
from archrank.reports.stores import read
from archrank.reports.style import Palette
from archrank.reports.words import join, slug

__all__ = [
    "MAIN",
    "Group",
    "Study",
    "View",
    "grouped",
    "interval",
    "intervals",
    "make_group",
    "read_study",
    "task_name",
]

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
                self._other[metric] = bootstrap(self.frame, metric, self.order, scope=self.scope, draws=0)
            except ComparisonError as error:
                self._other[metric] = str(error)
        return self._other[metric]


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


@dataclass
class Study:
    """Everything a section may ask for.

    problems: a line for each file that was left out and each key with two results. suites: those that were run into
    these stores.
    skipped: benchmark of a suite without any trial here -> (the suite, how to get it). formats: what is being written.
    """

    stores: tuple[Path, ...]
    frame: pd.DataFrame
    records: Mapping[str, TrialRecord]
    groups: tuple[Group, ...]
    palette: Palette
    superseded: int
    load: Callable[[str], Benchmark]
    reading: Reading = field(default_factory=Reading)
    problems: list[str] = field(default_factory=list)
    suites: tuple[str, ...] = ()
    skipped: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    formats: frozenset[str] = frozenset()
    _tables: dict[str, Benchmark | str] = field(default_factory=dict)
    _ceilings: dict[tuple[str, str], Interval | None] = field(default_factory=dict)

    def table(self, benchmark: str) -> Benchmark | str:
        """The benchmark's table, or the sentence that says why it cannot be used."""
        if benchmark not in self._tables:
            used = sorted({r.trial.table for r in self.records.values() if r.trial.benchmark == benchmark})
            try:
                table: Benchmark | str = self.load(benchmark)
            except (ArchrankError, OSError) as error:
                table = f"The table of {benchmark} is not available locally, so this part is left out ({error})."
            if isinstance(table, Benchmark) and used != [table.content_hash]:
                table = (
                    f"The local table of {benchmark} is not the one these trials were made on (sha256 "
                    f"{table.content_hash[:12]} against {', '.join(u[:12] for u in used)}), so this part is left out."
                )
            self._tables[benchmark] = table
        return self._tables[benchmark]

    def tested(self, group: Group, benchmark: str, target: str) -> str:
        """The score that a task was tested on: some protocols train on one score and test on another."""
        tests = (self.records[key].test.target for key in group.task(benchmark, target)["key"])
        return next((test for test in tests if test is not None), target)

    def ceiling(self, group: Group, benchmark: str, target: str) -> Interval | None:
        """The noise ceiling of the score that a task was tested on; None without the table, or with too few repeats."""
        score = self.tested(group, benchmark, target)
        if (benchmark, score) not in self._ceilings:
            table = self.table(benchmark)
            repeats = None if isinstance(table, str) else table.repeats(score)
            self._ceilings[benchmark, score] = None if repeats is None else _ceiling(repeats)
        return self._ceilings[benchmark, score]

    def predictions(self, key: str, table: Benchmark) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """What a trial predicted, rows of the table [N] and predictions [N]; None where its store has none that can be
        used (then `problems` says so)."""
        return self._beside(key, "predictions", table)

    def encodings(self, key: str, table: Benchmark) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Stored encodings of a trial, rows of the table [M] and encodings [M, F]; None as for `predictions`."""
        return self._beside(key, "encodings", table)

    def _beside(
        self, key: str, kind: Literal["predictions", "encodings"], table: Benchmark
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        store = Store(self.reading.store_of[key])
        path = store.path(key, kind)
        if not path.exists():
            return None
        read_file = store.predictions if kind == "predictions" else store.encodings
        try:
            return read_file(self.records[key], len(table))
        except Damaged as error:
            line = f"left out {visible(str(path))}: {error}"
            if line not in self.problems:
                self.problems.append(line)
                warnings.warn(line, ArchrankWarning, stacklevel=2)
            return None

    def look_alikes(self, spaces: Collection[str]) -> list[tuple[str, ...]]:
        """Search spaces of these names that have the same operations, roles and size as far as their tables are
        available: perhaps one space."""
        groups: dict[object, set[str]] = {}
        for benchmark, space in sorted(set(zip(self.frame["benchmark"], self.frame["space"]))):
            table = self.table(str(benchmark)) if space in spaces else ""
            if not isinstance(table, str):
                own = table.space
                shape = (own.ops, tuple(sorted(own.roles.items())), own.max_nodes, own.cells, own.attrs)
                groups.setdefault(shape, set()).add(str(space))
        return [tuple(sorted(names)) for names in groups.values() if len(names) > 1]


def _ceiling(repeats: NDArray[np.float64]) -> Interval | None:
    try:
        return noise_ceiling(repeats).oracle
    except ValueError:
        return None


def read_study(
    stores: Sequence[Path],
    *,
    only: Sequence[str] | None = None,
    load: Callable[[str], Benchmark] | None = None,
    formats: Sequence[str] = (),
) -> Study:
    """Reads the stores and computes the statistics of every group.

    `only` keeps predictors whose label or encoder name is listed; all ranks are then computed among those alone.
    ArchrankError if a folder holds no trials or `only` matches none.
    """
    from archrank.datasets import load as default_load

    reading = read([Path(store) for store in stores])
    tables = cache(load or default_load)
    chosen = _chosen(reading.records, only)
    chosen, superseded = latest(chosen)
    chosen, without = with_metrics(chosen, reading.store_of, METRICS, partial(_table, tables))
    records = {record.key: record for record in chosen}
    frame = as_frame(chosen)
    # Plain objects: pandas' own text columns take several times as long to select and group, and both is done some
    # hundred times.
    frame = frame.astype({name: object for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])})
    frame = frame.sort_values(
        ["label", "benchmark", "target", "protocol", "recipe", "budget", "seed"], ignore_index=True
    )
    groups = [make_group(protocol, recipe, part) for (protocol, recipe), part in grouped(frame, "protocol", "recipe")]
    groups = [
        replace(group, id=f"{group.id}-{number}") if group.id in {g.id for g in groups[:number]} else group
        for number, group in enumerate(groups)
    ]
    groups.sort(key=lambda g: (g.protocol != "clean", g.recipe != "common", -len(g.frame), g.id))
    present = set(frame["benchmark"])
    suites = read_skipped(Path(s) for s in stores)
    left = {
        name: (suite, how)
        for suite, named in sorted(suites.items())
        for name, how in sorted(named.items())
        if name not in present
    }
    palette = Palette(list(frame["label"]))
    problems = reading.problems() + [line for line in without if not METRICS[line.split()[1]].in_unit]
    return Study(
        tuple(Path(s) for s in stores),
        frame,
        records,
        tuple(groups),
        palette,
        superseded,
        tables,
        reading,
        problems,
        tuple(sorted(suites)),
        left,
        frozenset(formats),
    )


def _chosen(records: list[TrialRecord], only: Sequence[str] | None) -> list[TrialRecord]:
    """The trials whose label or encoder is named; ArchrankError for a name that no trial has."""
    if only is None:
        return records
    labels = sorted({record.label for record in records})
    known = {*labels, *(record.trial.encoder for record in records)}
    for name in only:
        if name not in known:
            raise ArchrankError(f"--only {name}: no trial of that name; the store has {', '.join(labels[:20])}")
    return [record for record in records if record.label in only or record.trial.encoder in only]


def _table(load: Callable[[str], Benchmark], name: str) -> Benchmark | str:
    try:
        return load(name)
    except (ArchrankError, OSError) as error:
        return f"the table of {name} is not available locally ({error})"


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
