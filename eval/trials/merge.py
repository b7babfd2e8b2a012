"""Several stores, or published results, into one: files are copied, nothing is overwritten. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.paths import is_folder
from archrank.datasets.io.visible import visible
from archrank.eval.trials.files import RECORD_LIMIT, TABLE_LIMIT, read_whole, replace_bytes
from archrank.eval.trials.pretrained import LIMIT as PRETRAINED_LIMIT
from archrank.eval.trials.publication import opened
from archrank.eval.trials.records import Damaged
from archrank.eval.trials.results import MOST_NAMED, Conflict, read_stores
from archrank.eval.trials.store import Store
from archrank.eval.trials.suite import MOST_NOTE

__all__ = ["Merged", "merge_stores"]


@dataclass
class Merged:
    """What a merge did.

    Attributes:
        trials: trials copied from each store, by the name that it was given by.
        known: trials of the stores that `out` had already.
        total: trials in the merged store.
        bare: trials in the merged store that are done and lack their predictions, which a run into it trains again.
        problems: a line for each file that was left out.
    """

    trials: dict[Path, int] = field(default_factory=dict)
    known: int = 0
    total: int = 0
    bare: int = 0
    problems: list[str] = field(default_factory=list)


def merge_stores(out: Path | str, stores: Sequence[Path | str]) -> Merged:
    """Copy every trial of the stores that `out` lacks, with its predictions and encodings, and their shared
    pre-trainings and notes on suites.

    Args:
        out: the store to merge into; made where it is missing.
        stores: where the trials come from: folders, or files that `archrank publish` made. A trial that several have is
            taken from the first that has it done.

    Raises:
        ArchrankError: a store is missing, a file is no published results, or two of them (or `out`) hold different
            results for one trial; then nothing was written.
        NotWritten: `out` cannot be written.
    """
    if not stores:
        raise ArchrankError("nothing to merge; name the stores with --store")
    with ExitStack() as unpacked:
        folders: dict[Path, Path] = {}
        for given in map(Path, stores):
            if given.is_file():
                folders[unpacked.enter_context(opened(given)).store.folder] = given
            elif is_folder(given):
                folders[given] = given
            else:
                raise ArchrankError(f"there is no store at {given}")
        return _merged(Store(out), folders)


def _merged(into: Store, folders: dict[Path, Path]) -> Merged:
    """Stores by folder, each with the name that it was given by."""
    reading = read_stores([into.folder, *folders])
    if reading.conflicts:
        count = len(reading.conflicts)
        named = "; ".join(str(_as_given(conflict, folders)) for conflict in reading.conflicts[:MOST_NAMED])
        raise ArchrankError(
            f"not merged: {named}{f'; and {count - MOST_NAMED:,} more' if count > MOST_NAMED else ''}; "
            "report the stores together (the first counts), or remove one of the results"
        )
    merged = Merged(dict.fromkeys(folders.values(), 0), problems=[f"left out {line}" for line in reading.damaged])
    for record in reading.records:
        source = Store(reading.store_of[record.key])
        if source.folder == into.folder:
            continue
        # The record goes last: a trial that can be read has its predictions.
        for kind in ("predictions", "encodings"):
            if (path := source.path(record.key, kind)).is_file():
                replace_bytes(into.path(record.key, kind), read_whole(path, TABLE_LIMIT))
        replace_bytes(into.path(record.key), read_whole(source.path(record.key), RECORD_LIMIT))
        merged.trials[folders[source.folder]] += 1
    merged.total = len(reading.records)
    merged.bare = sum(record.status == "done" and not into.has_predictions(record.key) for record in reading.records)
    known = set().union(*(Store(folder).keys() for folder in folders))
    merged.known = len(known.intersection(reading.store_of)) - sum(merged.trials.values())
    for folder in folders:
        for kind, pattern, limit in (
            ("pretraining", "*.safetensors", PRETRAINED_LIMIT),
            ("suites", "*.json", MOST_NOTE),
        ):
            for path in sorted((folder / kind).glob(pattern)):
                _copy_absent(path, into.folder / kind / path.name, limit, merged)
    return merged


def _as_given(conflict: Conflict, folders: dict[Path, Path]) -> Conflict:
    first, second = conflict.stores
    return replace(conflict, stores=(folders.get(first, first), folders.get(second, second)))


def _copy_absent(source: Path, path: Path, limit: int, merged: Merged) -> None:
    if path.exists() or source.name.startswith("."):
        return
    try:
        replace_bytes(path, read_whole(source, limit))
    except Damaged as error:
        merged.problems.append(f"left out {visible(str(source))}: {error}")
