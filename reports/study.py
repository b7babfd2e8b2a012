"""What a report is about: trials read from stores, in groups of what may share a table (`groups`), and what lies beside
them: tables, predictions, encodings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets import ArchrankError, Benchmark
from archrank.datasets.errors import ArchrankWarning
from archrank.datasets.io.visible import visible
from archrank.eval.metrics import METRICS
from archrank.eval.statistics import Interval, noise_ceiling
from archrank.eval.trials.records import Damaged, TrialRecord
from archrank.eval.trials.rescore import with_metrics
from archrank.eval.trials.results import Reading, as_frame, latest
from archrank.eval.trials.store import Store
from archrank.eval.trials.suite import read_skipped
from archrank.reports.groups import MAIN, Group, View, grouped, interval, intervals, make_group, task_name
from archrank.reports.stores import read
from archrank.reports.style import Palette

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
    problems = reading.problems() + [line for line in without if METRICS[line.split()[1]].from_order]
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
