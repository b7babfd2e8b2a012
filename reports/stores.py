"""Plain questions about stores: how far they have come, what failed, what one trial is, what moved between two of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from archrank.datasets.errors import ArchrankError
from archrank.eval.trials.store import Store, as_frame, read_trials

if TYPE_CHECKING:
    from archrank.eval.statistics import Comparison

__all__ = ["Moved", "alike", "cells", "encoder_argument", "find", "moved", "progress", "read", "repeat_trial"]

CELL = ["label", "benchmark", "target", "protocol", "recipe", "budget"]


def read(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """All trials of the stores, those that newer ones replace too; ArchrankError if a folder is missing or there is no trial at all."""
    for folder in folders:
        if not folder.is_dir():
            raise ArchrankError(f"there is no store at {folder}; `archrank run` makes one, --store names another")
    records = read_trials(folders)
    if not records:
        raise ArchrankError(f"no trials in {', '.join(str(f) for f in folders)}; `archrank run` makes them")
    return records


def encoder_argument(record: Mapping[str, Any]) -> str:
    """How to name a trial's predictor on the command line: an encoder from a file by its file, any other by its label."""
    return str(record.get("reference") or record["label"])


def repeat_trial(record: Mapping[str, Any]) -> str:
    """The command that runs a trial (and the seeds before it, where they are not stored yet)."""
    trial = record["trial"]
    return shlex.join(
        [
            "archrank",
            "run",
            "--encoders",
            encoder_argument(record),
            "--benchmark",
            trial["benchmark"],
            "--target",
            trial["target"],
            "--budgets",
            str(trial["budget"]),
            "--seeds",
            str(trial["seed"] + 1),
            "--protocol",
            trial["protocol"],
            "--recipe",
            trial["recipe"],
        ]
    )


def find(records: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    """The one trial whose key starts with `key`; ArchrankError if there is none or several."""
    found = [record for record in records if record["key"].startswith(key)]
    if not found:
        raise ArchrankError(f"no trial's key starts with '{key}'; report.json and `archrank failures` list keys")
    if len(found) > 1:
        some = ", ".join(record["key"][:16] for record in found[:4])
        raise ArchrankError(f"{len(found)} trials have a key that starts with '{key}' ({some}, ...); give more of it")
    return found[0]


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


def progress(records: Sequence[dict[str, Any]]) -> list[Progress]:
    """One row per (protocol, recipe, label), sorted."""
    frame = as_frame(records)
    out = []
    for (protocol, recipe, label), part in frame.groupby(["protocol", "recipe", "label"]):
        done = int((part["status"] == "done").sum())
        tasks = tuple(sorted({f"{b}/{t}" for b, t in zip(part["benchmark"], part["target"])}))
        budgets = tuple(sorted(int(b) for b in part["budget"].unique()))
        out.append(Progress(str(label), str(protocol), str(recipe), done, len(part) - done, tasks, budgets, int(part["seed"].nunique())))
    return out


def training(folders: Sequence[Path]) -> int:
    """Trials in open journals that are not stored yet: under way, or interrupted."""
    count = 0
    for folder in folders:
        store = Store(folder)
        stored = store.keys()
        count += sum(key not in stored for keys in store.journals().values() for key in keys)
    return count


def alike(failed: Iterable[dict[str, Any]], *apart: str) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Failed trials with equal errors together: (label, benchmark/target, type, message, and of the trial what is named in `apart`) -> the trials."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for record in sorted(failed, key=lambda one: (one["label"], *(one["trial"][name] for name in ("benchmark", "target", "budget", "seed")))):
        trial, error = record["trial"], record.get("error") or {}
        message = [*str(error.get("message", "")).splitlines(), ""][0]
        kind = (record["label"], f"{trial['benchmark']}/{trial['target']}", str(error.get("type", "unknown")), message)
        found.setdefault((*kind, *(str(trial[name]) for name in apart)), []).append(record)
    return found


def cells(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Trials as budget/seed."""
    return [f"{record['trial']['budget']}/{record['trial']['seed']}" for record in records]


@dataclass(frozen=True)
class Moved:
    """One cell in two stores: means over the seeds both have, their paired difference (second minus first).

    verdict: "equal" (every seed bit-equal), "moved" (by a paired test at 5 %, adjusted for all cells, or failed in one store only), "within" what chance gives, "no interval"
    (one seed, or every seed moved by exactly the same), "not comparable" (other splits, for one), "other seeds" (did not move where both have
    the seed, but one store has done seeds that the other has not), "only in the first" or "only in the second".
    """

    cell: tuple[Any, ...]
    seeds: int
    before: float
    after: float
    difference: str
    verdict: str


def moved(first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]], metric: str = "kendall") -> list[Moved]:
    """Every (label, benchmark, target, protocol, recipe, budget) of two stores (one trial per cell: `latest`), in sorted order; seeds are paired.

    ArchrankError if one of them has no trial with the metric.
    """
    from archrank.eval.statistics import as_family

    frames = [as_frame(records) for records in (first, second)]
    for side, frame in zip(("first", "second"), frames):
        if metric not in frame:
            raise ArchrankError(f"no trial in the {side} store has the metric '{metric}'")
    groups = [dict(list(frame.groupby(CELL))) for frame in frames]
    pairs = {cell: _paired(groups[0][cell], groups[1][cell], metric) for cell in groups[0] if cell in groups[1]}
    found = {cell: _difference(groups[0][cell], groups[1][cell], metric) for cell, pair in pairs.items() if not _equal(pair, metric)}
    compared = {cell: one for cell, one in found.items() if not isinstance(one, str)}
    found |= zip(compared, as_family([*compared.values()]))
    out = []
    for cell in sorted(set(groups[0]) | set(groups[1])):
        if cell not in groups[1] or cell not in groups[0]:
            side = "first" if cell in groups[0] else "second"
            mean = groups[0 if side == "first" else 1][cell][metric].mean()
            both = (mean, float("nan")) if side == "first" else (float("nan"), mean)
            out.append(Moved(cell, 0, *both, "", f"only in the {side}"))
        else:
            out.append(_moved(cell, groups[0][cell], groups[1][cell], metric, pairs[cell], found.get(cell)))
    return out


def _moved(cell: tuple[Any, ...], before: pd.DataFrame, after: pd.DataFrame, metric: str, pair: pd.DataFrame,
           found: Comparison | str | None) -> Moved:
    from archrank.eval.statistics import rounded

    if (before["status"] != "done").all() or (after["status"] != "done").all():
        state = "equal" if (before["status"] != "done").all() and (after["status"] != "done").all() else "moved"
        return Moved(cell, 0, before[metric].mean(), after[metric].mean(), "failed", state)
    means = (pair[metric].mean(), pair[f"{metric}_2"].mean())
    if found is None:
        difference, verdict = "0", "equal"
    elif isinstance(found, str):
        difference, verdict = found, "not comparable"
    else:
        known = found.difference.kind in ("spaces", "splits")
        difference, verdict = rounded(found.difference, signed=True), "moved" if found.real else "within" if known else "no interval"
    first, second = ({int(seed) for seed in part.loc[part[metric].notna(), "seed"]} for part in (before, after))
    if first != second and verdict != "moved":
        alone = [f"{', '.join(map(str, sorted(seeds)))} only in the {side}" for side, seeds in (("first", first - second), ("second", second - first)) if seeds]
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
        return compare(pd.concat([before.assign(label="first"), after.assign(label="second")]), "second", "first", metric)
    except ComparisonError as error:
        return str(error)
