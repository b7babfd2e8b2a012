"""Trials of one or several stores, checked: as records, as a data frame, and which of them count. No torch here."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import ArchrankError, ArchrankWarning
from archrank.datasets.io.visible import visible
from archrank.eval.trials.records import Damaged, TrialRecord
from archrank.eval.trials.specs import parse
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import HARNESS_VERSION

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Conflict", "Reading", "as_frame", "latest", "read_results", "read_stores", "read_trials"]

MOST_NAMED = 10


@dataclass(frozen=True)
class Conflict:
    """Two different results for one key. The first is used."""

    first: TrialRecord
    second: TrialRecord
    stores: tuple[Path, Path]

    def __str__(self) -> str:
        trial = self.first.trial
        first, second = (
            f"{_differing(mine, theirs)} in {visible(str(store))} ({mine.provenance.hardware or 'unknown hardware'}, "
            f"archrank {mine.provenance.archrank or 'unknown'}, {mine.provenance.finished or 'no date'})"
            for mine, theirs, store in (
                (self.first, self.second, self.stores[0]),
                (self.second, self.first, self.stores[1]),
            )
        )
        return (
            f"two results for {self.first.key[:12]} ({self.first.label} on {trial.benchmark}/{trial.target}, {trial.budget} labels, "
            f"seed {trial.seed}): {first}, {second}"
        )


@dataclass
class Reading:
    """What reading stores gave.

    Attributes:
        records: trials in the order of their keys, each key once, a finished one before a failed one.
        store_of: key -> the store that the trial is from.
        damaged: a line for each file that is not what a run wrote: its path and what is wrong. The trial is left out.
        conflicts: keys that several stores have with different results.
    """

    records: list[TrialRecord] = field(default_factory=list)
    store_of: dict[str, Path] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Every problem in a line, at most ten of a kind by name."""
        lines = [f"left out {line}; the next run trains it again" for line in self.damaged[:MOST_NAMED]]
        lines += [f"{conflict}; the first is used" for conflict in self.conflicts[:MOST_NAMED]]
        for what, count in (
            ("damaged files are left out", len(self.damaged)),
            ("keys have two results", len(self.conflicts)),
        ):
            if count > MOST_NAMED:
                lines.append(f"... {count:,} {what} in all")
        return lines


def read_stores(folders: Iterable[Path | str]) -> Reading:
    """All trials of the stores that can be read. Files are checked against their records; nothing is changed, and none
    of a store's code is run."""
    reading, records = Reading(), dict[str, TrialRecord]()
    for store in map(Store, folders):
        for key in sorted(store.keys()):
            try:
                record = store.load(key)
            except Damaged as error:
                reading.damaged.append(f"{visible(str(store.path(key)))}: {error}")
                continue
            if (damage := store.damage(record)) is not None:
                reading.damaged.append(damage)
                continue
            known = records.get(key)
            if known is not None and known.status == record.status == "done" and differ(known, record):
                reading.conflicts.append(Conflict(known, record, (reading.store_of[key], store.folder)))
            if known is None or (known.status != "done" and record.status == "done"):
                records[key], reading.store_of[key] = record, store.folder
    reading.records = [records[key] for key in sorted(records)]
    return reading


def differ(first: TrialRecord, second: TrialRecord) -> bool:
    """Whether two records of one key hold different results: a metric that both have, or predictions of another digest
    where no metric is common."""
    common = first.metrics.keys() & second.metrics.keys()
    if common:
        return any(first.metrics[name] != second.metrics[name] for name in common)
    return first.predictions is not None and second.predictions is not None and first.predictions != second.predictions


def _differing(record: TrialRecord, other: TrialRecord) -> str:
    name = next(
        (name for name in record.metrics if name in other.metrics and record.metrics[name] != other.metrics[name]), None
    )
    return "other predictions" if name is None else f"{name} {record.metrics[name]}"


def read_trials(folders: Iterable[Path | str]) -> list[TrialRecord]:
    """The records of `read_stores`; a Python warning for every problem."""
    reading = read_stores(folders)
    for line in reading.problems():
        warnings.warn(line, ArchrankWarning, stacklevel=2)
    return reading.records


def read_results(folders: Iterable[Path | str]) -> pd.DataFrame:
    """One row per trial with the columns of docs/store.md; metrics that are not defined are NaN. A Python warning for
    every problem."""
    return as_frame(read_trials(folders))


def as_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """The same of trials that were read already."""
    import pandas as pd

    rows = [_row(record) for record in records]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["key", "status", "label"])


def _row(record: TrialRecord) -> dict[str, Any]:
    from archrank.eval.metrics import METRICS  # brings SciPy's statistics, which planning does without

    trial, timings, nan = record.trial, record.timings, float("nan")
    error = f"{record.error.type}: {record.error.message}" if record.error else None
    row: dict[str, Any] = {name: nan if value is None else value for name, value in record.metrics.items()}
    row = dict.fromkeys(METRICS, nan) | row
    return {
        "key": record.key,
        "status": record.status,
        "label": record.label,
        "family": record.family,
        "space": record.space,
        "encoder": trial.encoder,
        "head": trial.head,
        "benchmark": trial.benchmark,
        "target": trial.target,
        "protocol": trial.protocol,
        "recipe": trial.recipe,
        "budget": trial.budget,
        "seed": trial.seed,
        "split": trial.split,
        "device": record.provenance.device,
        "hardware": record.provenance.hardware,
        "parameters": record.model.parameters,
        "dim": record.model.dim,
        "test": record.test.architectures,
        "test_set": record.test.set,
        "train": record.test.train,
        "fit_s": timings.fit_s,
        "predict_s": timings.predict_s,
        "pretrain_s": timings.pretrain_s,
        "architectures_per_s": timings.architectures_per_s,
        "error": error,
    } | {name: value for name, value in row.items() if name not in COLUMNS}


COLUMNS = frozenset(
    (
        "key status label family space encoder head benchmark target protocol recipe budget seed split device hardware parameters dim "
        "test test_set train fit_s predict_s pretrain_s architectures_per_s error"
    ).split()
)


def latest(records: Iterable[TrialRecord]) -> tuple[list[TrialRecord], int]:
    """The trials that count, in the order given, and how many others they leave behind: those of other programs, and
    older ones of a cell.

    What a label did on one task is of one program (source, table, numerics, training), for a mean over two would be of
    neither: the one that its encoder is now, where that can be found and has trials, else the one of the newest trial.
    A failed trial that was stored without its search space gets that of the benchmark's other trials.
    """
    every = list(records)
    space = {record.trial.benchmark: record.space for record in every if record.space}
    tasks: dict[tuple[Any, ...], dict[tuple[Any, ...], list[TrialRecord]]] = {}
    for record in every:
        trial = record.trial
        task = (record.label, trial.benchmark, trial.target, trial.protocol, trial.recipe)
        tasks.setdefault(task, {}).setdefault((trial.source, trial.table, trial.numerics, trial.training), []).append(
            record
        )
    keys = set()
    for programs in tasks.values():
        counted = max(
            programs.values(), key=lambda trials: (len(programs) > 1 and _is_current(trials[0]), max(map(_age, trials)))
        )
        newest: dict[tuple[int, int], TrialRecord] = {}
        for record in counted:
            cell = record.trial.budget, record.trial.seed
            newest[cell] = max(record, newest.get(cell, record), key=_age)
        keys |= {record.key for record in newest.values()}
    chosen = [_with_space(record, space) for record in every if record.key in keys]
    return chosen, len(every) - len(chosen)


def _with_space(record: TrialRecord, space: Mapping[str, str | None]) -> TrialRecord:
    return record if record.space else record.model_copy(update={"space": space.get(record.trial.benchmark)})


def _age(record: TrialRecord) -> tuple[str, str]:
    return record.provenance.finished or "", record.key


def _is_current(record: TrialRecord) -> bool:
    """Whether the same command would train the same program now: False where its encoder is not to be found from
    here."""
    try:
        sources: Sequence[str] = [spec.source for spec in parse(record.command_name)]
    except (ArchrankError, OSError):
        return False
    return record.trial.source in sources and record.trial.numerics == HARNESS_VERSION
