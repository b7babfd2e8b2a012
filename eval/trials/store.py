"""The store: one JSON per trial, one Parquet of predictions, written whole or not at all (docs/store.md). No torch
here."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from archrank.datasets.errors import ArchrankError
from archrank.eval.trials.fields import Sha256
from archrank.eval.trials.files import (
    RECORD_LIMIT,
    TABLE_LIMIT,
    check_digest,
    is_left_behind,
    parse_encodings,
    parse_predictions,
    read_whole,
    replace_bytes,
    table_bytes,
)
from archrank.eval.trials.records import Damaged, Digest, TrialRecord, parse_record
from archrank.eval.trials.trial import Trial

__all__ = ["Store"]

FOLDERS = ("", "trials", "predictions", "encodings", "ensembles", "suites", "pretraining")
JOURNAL_LIMIT = 16 << 20


class _Journalled(BaseModel):
    key: Sha256


class _Journal(BaseModel):
    trials: list[_Journalled]


class Store:
    """A folder of trials. Several processes may write to one: equal keys hold equal results.

    Reading changes nothing. Every file is checked when it is read; one that is not what a run wrote counts as not
    stored.

    Args:
        folder: where it is, or shall be; made when the first trial is written.

    Raises:
        ArchrankError: an empty name, which would be the current folder.
    """

    def __init__(self, folder: Path | str) -> None:
        if folder == "":
            raise ArchrankError("the store's name is empty; name a folder, such as results/store, or leave --store out")
        self.folder = Path(folder)

    # ---- trials ----

    def path(self, key: str, kind: str = "trials") -> Path:
        """The file of a trial: its record (`trials`), `predictions` or `encodings`."""
        return self.folder / kind / f"{key}.{'json' if kind == 'trials' else 'parquet'}"

    def keys(self) -> set[str]:
        """Keys of all stored trials, from the file names alone."""
        folder = self.folder / "trials"
        return (
            {name[:-5] for name in os.listdir(folder) if name.endswith(".json") and name[0] != "."}
            if folder.is_dir()
            else set()
        )

    def load(self, key: str) -> TrialRecord:
        """One stored trial. Damaged if its file is not there, or not what a run wrote."""
        record = parse_record(read_whole(self.path(key), RECORD_LIMIT))
        if record.key != key:
            raise Damaged("it holds another trial than its name says")
        return record

    def read(self, key: str) -> TrialRecord | None:
        """One stored trial, or None if it is not there or not readable."""
        try:
            return self.load(key)
        except Damaged:
            return None

    def records(self) -> Iterator[TrialRecord]:
        """Every stored trial that can be read, by key."""
        for key in sorted(self.keys()):
            if (record := self.read(key)) is not None:
                yield record

    def settled(self, keys: Iterable[str]) -> dict[str, str]:
        """Key -> `done` or `failed` of those of the trials that are stored whole; damaged files and lost predictions
        count as not stored."""
        states: dict[str, str] = {}
        for key in self.keys().intersection(keys):
            record = self.read(key)
            if record is not None and (
                record.status == "failed" or (self.has_predictions(key) and self.damage(record) is None)
            ):
                states[key] = record.status
        return states

    def write(
        self,
        record: TrialRecord,
        index: NDArray[np.int64] | None = None,
        predictions: NDArray[np.float64] | None = None,
        encodings: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
    ) -> None:
        """Store a trial. Its predictions go first: a trial that can be read has them.

        Args:
            record: what is known of it; the digests of its files are filled in.
            index: rows of the benchmark's table that it was tested on [N].
            predictions: for these architectures [N], higher is better.
            encodings: rows of the table [M] and what the encoder makes of these architectures [M, F].

        Raises:
            NotWritten: the file system does not let us.
        """
        import pyarrow as pa

        digests: dict[str, Digest] = {}

        def put(kind: str, rows: NDArray[np.int64], name: str, values: Any) -> None:
            data = table_bytes({"index": rows.astype(np.int32), name: values})
            replace_bytes(self.path(record.key, kind), data)
            digests[kind] = Digest(sha256=hashlib.sha256(data).hexdigest(), rows=len(rows))

        if index is not None and predictions is not None:
            put("predictions", index, "prediction", predictions.astype(np.float64))
        if encodings is not None:
            rows, values = encodings
            put(
                "encodings",
                rows,
                "encoding",
                pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).reshape(-1)), values.shape[1]),
            )
        replace_bytes(self.path(record.key), record.model_copy(update=digests).text().encode())

    # ---- its predictions and encodings ----

    def has_predictions(self, key: str) -> bool:
        """Whether the predictions of a trial are there."""
        return self.path(key, "predictions").is_file()

    def damage(self, record: TrialRecord) -> str | None:
        """What is wrong with the predictions or encodings beside a trial, in one line that names the file; None if
        nothing is, or there are none."""
        for kind, expected in (("predictions", record.predictions), ("encodings", record.encodings)):
            path = self.path(record.key, kind)
            if not os.path.lexists(path):
                continue
            try:
                if expected is not None:
                    check_digest(read_whole(path, TABLE_LIMIT), expected)
                elif kind == "predictions":
                    self.predictions(record)
                else:
                    self.encodings(record)
            except Damaged as error:
                return f"{path}: {error}"
        return None

    def predictions(
        self, record: TrialRecord, architectures: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What a trial predicted: rows of the benchmark's table [N], and predictions [N].

        Args:
            record: the trial.
            architectures: length of the benchmark's table; None where it is not available.

        Raises:
            Damaged: there is no such file, or it is not what the trial's run wrote.
        """
        data = read_whole(self.path(record.key, "predictions"), TABLE_LIMIT)
        check_digest(data, record.predictions)
        index, predictions = parse_predictions(data)
        if record.test.architectures is not None and len(index) != record.test.architectures:
            raise Damaged(
                f"it holds {len(index):,} predictions; the trial was tested on {record.test.architectures:,} architectures"
            )
        return _within(index, architectures), predictions

    def encodings(
        self, record: TrialRecord, architectures: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What a trial's encoder made of some test architectures: rows of the table [M], and encodings [M, F]. As
        `predictions`."""
        data = read_whole(self.path(record.key, "encodings"), TABLE_LIMIT)
        check_digest(data, record.encodings)
        index, encodings = parse_encodings(data)
        return _within(index, architectures), encodings

    # ---- the journal: which trials train together ----

    def open_journal(self, trials: Sequence[Trial]) -> str:
        """Note that these trials train as one ensemble, so that an interrupted run resumes with the same ensemble.
        Returns its id."""
        text = json.dumps({"trials": [asdict(trial) | {"key": trial.key} for trial in trials]}, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()
        replace_bytes(self.folder / "ensembles" / f"{name}.json", text.encode())
        return name

    def journals(self) -> dict[str, list[str]]:
        """Open journals that can be read: id -> keys of the trials that train together, in their order."""
        return {name: keys for name, keys in self._journals() if keys is not None}

    def _journals(self) -> Iterator[tuple[str, list[str] | None]]:
        folder = self.folder / "ensembles"
        for path in sorted(folder.glob("[0-9a-f]*.json")) if folder.is_dir() else []:
            try:
                data = read_whole(path, JOURNAL_LIMIT)
                yield path.stem, [trial.key for trial in _Journal.model_validate_json(data, strict=True).trials]
            except (Damaged, ValidationError):
                yield path.stem, None

    def close_journal(self, name: str) -> None:
        """Forget a journal whose trials are all stored."""
        (self.folder / "ensembles" / f"{name}.json").unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove what killed runs left behind: temporary files whose process is gone, journals that cannot be read.
        Returns how many.

        Only a run may call this: reading changes nothing. A temporary file of another machine is removed when it is a
        day old.
        """
        removed = 0
        for folder in map(self.folder.joinpath, FOLDERS):
            for name in os.listdir(folder) if folder.is_dir() else []:
                if name.startswith(".") and is_left_behind(folder / name):
                    (folder / name).unlink(missing_ok=True)
                    removed += 1
        for name, keys in list(self._journals()):
            if keys is None:
                self.close_journal(name)
                removed += 1
        return removed


def _within(index: NDArray[np.int64], architectures: int | None) -> NDArray[np.int64]:
    if architectures is not None and len(index) and index.max() >= architectures:
        raise Damaged(f"it names row {index.max():,} of a table of {architectures:,} architectures")
    return index
