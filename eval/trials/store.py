"""The store: one JSON per trial, one Parquet of predictions, written whole or not at all (docs/store.md). No torch here."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError, one_line
from archrank.eval.trials.specs import parse
from archrank.eval.trials.trial import NUMERICS, Trial

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
# Without these no command can tell what a trial is.
NEEDED = {"schema", "key", "status", "label", "trial"}


class NotWritten(ArchrankError):
    """A file could not be written. No fault of a trial: the run ends."""


def replace(path: Path, write: Callable[[Path], None]) -> None:
    """`write` a file under a temporary name beside `path`, then give it its name: a reader never sees half of it. NotWritten if that fails."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(scratch)
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise NotWritten(f"{path} cannot be written ({error.strerror or one_line(error)}); make room there or choose another place (--store, --output); "
                         "what was finished is kept, and the same command goes on from it") from None


class Store:
    """A folder of trials. Several processes may write to one: equal keys hold equal results."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def status(self) -> dict[str, str]:
        """Key -> `done` or `failed` of every stored trial."""
        return {record["key"]: record["status"] for record in self.records()}

    def keys(self) -> set[str]:
        """Keys of all stored trials, from the file names alone."""
        folder = self.folder / "trials"
        return {name[:-5] for name in os.listdir(folder) if name.endswith(".json") and name[0] != "."} if folder.is_dir() else set()

    def settled(self, keys: Iterable[str]) -> dict[str, str]:
        """Key -> `done` or `failed` of those of the trials that are stored whole; damaged files and lost predictions count as not stored."""
        found = {}
        for key in self.keys().intersection(keys):
            record = self.read(key)
            if record is not None and (record["status"] == "failed" or self.has_predictions(key)):
                found[key] = record["status"]
        return found

    def records(self) -> Iterator[dict[str, Any]]:
        """Every stored trial, by key. A file that is not a whole JSON object is passed over (it will be trained again)."""
        for key in sorted(self.keys()):
            if (record := self.read(key)) is not None:
                yield record

    def read(self, key: str) -> dict[str, Any] | None:
        """One stored trial, or None if it is not there or not readable."""
        try:
            record = json.loads((self.folder / "trials" / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        whole = isinstance(record, dict) and record.keys() >= NEEDED and record["key"] == key and record["schema"] == SCHEMA
        return record if whole else None

    def has_predictions(self, key: str) -> bool:
        """Whether the predictions of a trial are there."""
        return (self.folder / "predictions" / f"{key}.parquet").is_file()

    def write(self, record: dict[str, Any], index: NDArray[np.int64] | None = None, predictions: NDArray[np.float64] | None = None,
              encodings: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None) -> None:
        """Store a trial. Its predictions go first: a trial that can be read has them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        key = record["key"]
        if index is not None and predictions is not None:
            table = pa.table({"index": index.astype(np.int32), "prediction": predictions.astype(np.float64)})
            replace(self.folder / "predictions" / f"{key}.parquet", lambda path: pq.write_table(table, path, compression="zstd"))
        if encodings is not None:
            rows, values = encodings
            flat = pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).reshape(-1)), values.shape[1])
            encoded = pa.table({"index": rows.astype(np.int32), "encoding": flat})
            replace(self.folder / "encodings" / f"{key}.parquet", lambda path: pq.write_table(encoded, path, compression="zstd"))
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        replace(self.folder / "trials" / f"{key}.json", lambda path: _write_text(path, text))

    # ---- the journal: which trials train together ----

    def open_journal(self, trials: Sequence[Trial]) -> str:
        """Note that these trials train as one ensemble, so that an interrupted run resumes with the same company. Returns its id."""
        body = {"trials": [asdict(trial) | {"key": trial.key} for trial in trials]}
        name = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        replace(self.folder / "ensembles" / f"{name}.json", lambda path: _write_text(path, json.dumps(body)))
        return name

    def journals(self) -> dict[str, list[str]]:
        """Open journals: id -> keys of the trials that train together, in their order."""
        folder = self.folder / "ensembles"
        found = {}
        for path in sorted(folder.glob("[0-9a-f]*.json")) if folder.is_dir() else []:
            try:
                found[path.stem] = [trial["key"] for trial in json.loads(path.read_text(encoding="utf-8"))["trials"]]
            except (OSError, ValueError, KeyError, TypeError):
                path.unlink(missing_ok=True)
        return found

    def close_journal(self, name: str) -> None:
        """Forget a journal whose trials are all stored."""
        (self.folder / "ensembles" / f"{name}.json").unlink(missing_ok=True)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def read_trials(folders: Iterable[Path | str]) -> list[dict[str, Any]]:
    """The trials of several stores, each key once (a finished one before a failed one), in the order of their keys."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        for record in Store(folder).records():
            if record["key"] not in found or found[record["key"]]["status"] != "done":
                found[record["key"]] = record
    return [found[key] for key in sorted(found)]


def read_results(folders: Iterable[Path | str]) -> pd.DataFrame:
    """One row per trial with the columns of docs/store.md; metrics that are not defined are NaN."""
    return as_frame(read_trials(folders))


def as_frame(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The same of trials that were read already."""
    import pandas as pd

    rows = [flatten(record) for record in records]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["key", "status", "label"])


def flatten(record: dict[str, Any]) -> dict[str, Any]:
    """One trial as a row."""
    from archrank.eval.metrics import METRICS  # brings SciPy's statistics, which planning does without

    trial, model, timings, test = (record.get(name) or {} for name in ("trial", "model", "timings", "test"))
    provenance, error = record.get("provenance") or {}, record.get("error")
    row = {name: record.get(name) for name in ("key", "status", "label", "family", "space")}
    row |= {name: trial.get(name) for name in ("encoder", "head", "benchmark", "target", "protocol", "recipe", "budget", "seed", "split")}
    row |= {"device": provenance.get("device"), "hardware": provenance.get("hardware"), "parameters": model.get("parameters"),
            "dim": model.get("dim"), "test": test.get("architectures"), "test_set": test.get("set"), "train": test.get("train")}
    row |= {name: timings.get(name) for name in ("fit_s", "predict_s", "pretrain_s", "architectures_per_s")}
    row["error"] = f"{error['type']}: {error['message']}" if error else None
    row |= dict.fromkeys(METRICS, float("nan"))
    return row | {name: float(value) if isinstance(value, (int, float)) else float("nan") for name, value in (record.get("metrics") or {}).items()}


def read_table(folder: Path | str, kind: str, key: str) -> pd.DataFrame:
    """One trial's `predictions` (`index`, the row of the benchmark, and `prediction`) or `encodings` (`index` and `encoding`).

    FileNotFoundError if the store has none; ArchrankError if the file is damaged.
    """
    import pandas as pd
    from pyarrow import ArrowException

    path = Path(folder) / kind / f"{key}.parquet"
    try:
        return pd.read_parquet(path)
    except (ArrowException, ValueError) as error:
        raise ArchrankError(f"{path} is damaged ({str(error).splitlines()[0][:80]}); delete it and repeat the run, which makes it again") from None


def unreadable(folders: Iterable[Path | str], records: Iterable[dict[str, Any]]) -> list[Path]:
    """Files of trials that are not among the records read from these stores; the next run trains them again."""
    known = {record["key"] for record in records}
    return [store.folder / "trials" / f"{key}.json" for store in map(Store, folders) for key in sorted(store.keys() - known)]


def latest(records: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The trials that count, in the order given, and how many others they leave behind: those of other programs, and older ones of a cell.

    What a label did on one task is of one program (source, table, numerics), for a mean over two would be of neither: the one that its encoder is
    now, where that can be found and has trials, else the one of the newest trial. A failed trial that was stored without its search space gets
    that of the benchmark's other trials.
    """
    every = list(records)
    space = {record["trial"]["benchmark"]: record["space"] for record in every if record.get("space")}
    tasks: dict[tuple[Any, ...], dict[tuple[Any, ...], list[dict[str, Any]]]] = {}
    for record in every:
        trial = record["trial"]
        task = (record["label"], *(trial[name] for name in ("benchmark", "target", "protocol", "recipe")))
        tasks.setdefault(task, {}).setdefault(tuple(trial[name] for name in ("source", "table", "numerics")), []).append(record)
    kept = set()
    for programs in tasks.values():
        counted = max(programs.values(), key=lambda trials: (len(programs) > 1 and _is_current(trials[0]), max(map(_age, trials))))
        newest: dict[tuple[int, int], dict[str, Any]] = {}
        for record in counted:
            cell = record["trial"]["budget"], record["trial"]["seed"]
            newest[cell] = max(record, newest.get(cell, record), key=_age)
        kept |= {record["key"] for record in newest.values()}
    found = [record | {"space": record.get("space") or space.get(record["trial"]["benchmark"])} for record in every if record["key"] in kept]
    return found, len(every) - len(found)


def _age(record: dict[str, Any]) -> tuple[str, str]:
    return str((record.get("provenance") or {}).get("finished", "")), record["key"]


def _is_current(record: dict[str, Any]) -> bool:
    """Whether the same command would train the same program now: False where its encoder is not to be found from here."""
    try:
        sources = [spec.info.source for spec in parse(str(record.get("reference") or record["label"]))]
    except (ArchrankError, OSError):
        return False
    return record["trial"]["source"] in sources and record["trial"]["numerics"] == NUMERICS
