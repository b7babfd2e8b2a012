"""Plain questions about stores: how far they have come, what failed, what one trial is, what moved between two of
them."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from archrank.datasets.errors import ArchrankError, ArchrankWarning
from archrank.datasets.io.paths import is_folder
from archrank.eval.trials.records import TrialFailure, TrialRecord
from archrank.eval.trials.results import Reading, as_frame, read_stores
from archrank.eval.trials.store import Store

if TYPE_CHECKING:
    from archrank.datasets import Benchmark
    from archrank.eval.statistics import Comparison

__all__ = ["Moved", "alike", "cells", "find", "moved", "progress", "read", "repeat_trial", "scored"]

CELL = ["label", "benchmark", "target", "protocol", "recipe", "budget"]


def read(folders: Sequence[Path]) -> Reading:
    """All trials of the stores, those that newer ones replace too; a warning for every file that is left out and every
    key with two results.

    Raises:
        ArchrankError: a folder is missing, or there is no trial that can be read.
    """
    for folder in folders:
        if not is_folder(folder):
            raise ArchrankError(f"there is no store at {folder}; `archrank run` makes one, --store names another")
    reading = read_stores(folders)
    if not reading.records:
        more = f" that can be read ({reading.damaged[0]})" if reading.damaged else ""
        raise ArchrankError(f"no trial{more} in {', '.join(str(f) for f in folders)}; `archrank run` makes them")
    for line in reading.problems():
        warnings.warn(line, ArchrankWarning, stacklevel=2)
    return reading


def scored(records: Iterable[TrialRecord], reading: Reading, metric: str) -> list[TrialRecord]:
    """The trials with one metric, computed from their predictions where it is not stored and the table is available; a
    warning where it cannot be."""
    from archrank.datasets import load
    from archrank.eval.trials.rescore import with_metrics

    @cache
    def table(name: str) -> Benchmark | str:
        try:
            return load(name)
        except (ArchrankError, OSError) as error:
            return f"the table of {name} is not available locally ({error})"

    rescored, without = with_metrics(records, reading.store_of, [metric], table)
    for line in without:
        warnings.warn(line, ArchrankWarning, stacklevel=2)
    return rescored


def repeat_trial(record: TrialRecord) -> str:
    """The command that runs a trial (and the seeds before it, where they are not stored yet)."""
    trial = record.trial
    options = {
        "encoders": record.command_name,
        "benchmark": trial.benchmark,
        "target": trial.target,
        "budgets": trial.budget,
        "seeds": trial.seed + 1,
        "protocol": trial.protocol,
        "recipe": trial.recipe,
    }
    return shlex.join(
        ["archrank", "run", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    )


def find(records: Sequence[TrialRecord], key: str) -> TrialRecord:
    """The one trial whose key starts with `key`; ArchrankError if there is none or several."""
    matching = [record for record in records if record.key.startswith(key)]
    if not matching:
        raise ArchrankError(
            f"no trial's key starts with '{key}'; `archrank report --format csv` and `archrank failures` list keys"
        )
    if len(matching) > 1:
        some = ", ".join(record.key[:16] for record in matching[:4])
        raise ArchrankError(
            f"{len(matching)} trials have a key that starts with '{key}' ({some}, ...); give more of it"
        )
    return matching[0]


@dataclass(frozen=True)
class Progress:
    """Trials of one label in one group: done and failed by (benchmark, target), and those now in training."""

    label: str
    protocol: str
    recipe: str
    done: int
    failed: int
    tasks: tuple[str, ...]
    budgets: tuple[int, ...]
    seeds: int


def progress(records: Sequence[TrialRecord]) -> list[Progress]:
    """One row per (protocol, recipe, label), sorted."""
    frame = as_frame(records)
    out = []
    for (protocol, recipe, label), part in frame.groupby(["protocol", "recipe", "label"]):
        done = int((part["status"] == "done").sum())
        tasks = tuple(sorted({f"{b}/{t}" for b, t in zip(part["benchmark"], part["target"])}))
        budgets = tuple(sorted(int(b) for b in part["budget"].unique()))
        out.append(
            Progress(
                str(label),
                str(protocol),
                str(recipe),
                done,
                len(part) - done,
                tasks,
                budgets,
                int(part["seed"].nunique()),
            )
        )
    return out


def training(folders: Sequence[Path]) -> int:
    """Trials in open journals that are not stored yet: under way, or interrupted."""
    count = 0
    for folder in folders:
        store = Store(folder)
        stored = store.keys()
        count += sum(key not in stored for keys in store.journals().values() for key in keys)
    return count


def alike(failed: Iterable[TrialRecord], *apart: str) -> dict[tuple[str, ...], list[TrialRecord]]:
    """Failed trials with equal errors together: (label, benchmark/target, type, message, and of the trial what is named
    in `apart`) -> the trials."""
    groups: dict[tuple[str, ...], list[TrialRecord]] = {}
    for record in sorted(
        failed, key=lambda r: (r.label, r.trial.benchmark, r.trial.target, r.trial.budget, r.trial.seed)
    ):
        trial = record.trial
        error = record.error or TrialFailure(type="unknown", message="")
        kind = (record.label, f"{trial.benchmark}/{trial.target}", error.type, error.headline)
        groups.setdefault((*kind, *(str(getattr(trial, name)) for name in apart)), []).append(record)
    return groups


def cells(records: Iterable[TrialRecord]) -> list[str]:
    """Trials as budget/seed."""
    return [f"{record.trial.budget}/{record.trial.seed}" for record in records]


@dataclass(frozen=True)
class Moved:
    """One cell in two stores: means over the seeds both have, their paired difference (second minus first).

    verdict: "equal" (every seed bit-equal), "moved" (by a paired test at 5 %, adjusted for all cells, or failed in one
    store only), "within" what chance gives, "no interval" (one seed, or every seed moved by exactly the same), "not
    comparable" (other splits, for one), "other seeds" (did not move where both have the seed, but one store has done
    seeds that the other has not), "only in the first" or "only in the second".
    """

    cell: tuple[Any, ...]
    seeds: int
    before: float
    after: float
    difference: str
    verdict: str


def moved(first: Sequence[TrialRecord], second: Sequence[TrialRecord], metric: str = "kendall") -> list[Moved]:
    """Every (label, benchmark, target, protocol, recipe, budget) of two stores (one trial per cell: `latest`), in
    sorted order; seeds are paired.

    ArchrankError if one of them has no trial with the metric.
    """
    from archrank.eval.statistics import as_family

    frames = [as_frame(records) for records in (first, second)]
    for side, frame in zip(("first", "second"), frames):
        if metric not in frame:
            raise ArchrankError(f"no trial in the {side} store has the metric '{metric}'")
    groups = [dict(list(frame.groupby(CELL))) for frame in frames]
    pairs = {cell: _paired(groups[0][cell], groups[1][cell], metric) for cell in groups[0] if cell in groups[1]}
    differences = {
        cell: _difference(groups[0][cell], groups[1][cell], metric)
        for cell, pair in pairs.items()
        if not _equal(pair, metric)
    }
    compared = {cell: comparison for cell, comparison in differences.items() if not isinstance(comparison, str)}
    differences |= zip(compared, as_family([*compared.values()]))
    out = []
    for cell in sorted(set(groups[0]) | set(groups[1])):
        if cell not in groups[1] or cell not in groups[0]:
            side = "first" if cell in groups[0] else "second"
            mean = groups[0 if side == "first" else 1][cell][metric].mean()
            both = (mean, float("nan")) if side == "first" else (float("nan"), mean)
            out.append(Moved(cell, 0, *both, "", f"only in the {side}"))
        else:
            out.append(_moved(cell, groups[0][cell], groups[1][cell], metric, pairs[cell], differences.get(cell)))
    return out


def _moved(
    cell: tuple[Any, ...],
    before: pd.DataFrame,
    after: pd.DataFrame,
    metric: str,
    pair: pd.DataFrame,
    comparison: Comparison | str | None,
) -> Moved:
    from archrank.eval.statistics import rounded

    if (before["status"] != "done").all() or (after["status"] != "done").all():
        state = "equal" if (before["status"] != "done").all() and (after["status"] != "done").all() else "moved"
        return Moved(cell, 0, before[metric].mean(), after[metric].mean(), "failed", state)
    means = (pair[metric].mean(), pair[f"{metric}_2"].mean())
    if comparison is None:
        difference, verdict = "0", "equal"
    elif isinstance(comparison, str):
        difference, verdict = comparison, "not comparable"
    else:
        known = comparison.difference.kind in ("spaces", "splits")
        difference, verdict = (
            rounded(comparison.difference, signed=True),
            "moved" if comparison.significant else "within" if known else "no interval",
        )
    first, second = ({int(seed) for seed in part.loc[part[metric].notna(), "seed"]} for part in (before, after))
    if first != second and verdict != "moved":
        alone = [
            f"{', '.join(map(str, sorted(seeds)))} only in the {side}"
            for side, seeds in (("first", first - second), ("second", second - first))
            if seeds
        ]
        difference, verdict = f"{difference}; done seeds {'; '.join(alone)}", "other seeds"
    return Moved(cell, len(pair), *means, difference, verdict)


def _paired(before: pd.DataFrame, after: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A row per seed that both have; columns of the second end in _2."""
    pair = before.merge(after, on="seed", suffixes=("", "_2"))
    return pair[pair[metric].notna() & pair[f"{metric}_2"].notna()]


def _equal(pair: pd.DataFrame, metric: str) -> bool:
    return len(pair) > 0 and bool((pair[metric] == pair[f"{metric}_2"]).all())


def _difference(before: pd.DataFrame, after: pd.DataFrame, metric: str) -> Comparison | str:
    """The difference over the seeds both have, or why it cannot be taken."""
    from archrank.eval.statistics import ComparisonError, compare

    try:
        return compare(
            pd.concat([before.assign(label="first"), after.assign(label="second")]), "second", "first", metric
        )
    except ComparisonError as error:
        return str(error)
