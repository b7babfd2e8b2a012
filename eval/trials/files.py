"""Files of a store: written whole or not at all, read bounded and checked. What is damaged counts as not stored. No
torch here."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import stat
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError, DataError, one_line
from archrank.datasets.io.bounded import read_bytes
from archrank.datasets.io.parquet_footer import extent
from archrank.datasets.io.visible import visible
from archrank.eval.trials.records import Damaged, Digest

if TYPE_CHECKING:
    import pyarrow as pa

RECORD_LIMIT = 1 << 20
TABLE_LIMIT = 256 << 20
ROWS_LIMIT = 1 << 24
VALUES_LIMIT = 1 << 24
STALE_S = 24 * 3600.0

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


class NotWritten(ArchrankError):
    """A file could not be written. No fault of a trial: the run ends."""


# ---- writing ----


def _machine() -> str:
    """This machine and the namespace in which process numbers mean something (containers have their own), in eight
    digits."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]


_HOST = _machine()
_SCRATCH = re.compile(r"\..+\.(?:([0-9a-f]{8})-)?(\d{1,10})\.[0-9a-f]{8}")


def replace(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name beside `path`, then rename it: a reader never sees half of it.

    Args:
        path: where it goes; missing folders are made.
        write: writes the whole file to the path that it is given.

    Raises:
        NotWritten: the file system does not let us.
    """
    scratch = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(scratch)
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise NotWritten(
            f"{path} cannot be written ({error.strerror or one_line(error)}); make room there or choose another place (--store, --output); "
            "what was finished is kept, and the same command goes on from it"
        ) from None


def replace_bytes(path: Path, data: bytes) -> None:
    """`replace` a file by one with these bytes."""

    def write(scratch: Path) -> None:
        scratch.write_bytes(data)

    replace(path, write)


def is_left_behind(path: Path) -> bool:
    """Whether `path` is a temporary file whose process is gone: one of this machine that no longer runs, or any that is
    a day old."""
    match = _SCRATCH.fullmatch(path.name)
    if match is None:
        return False
    try:
        if time.time() - path.lstat().st_mtime > STALE_S:
            return True
    except OSError:
        return False
    return match[1] == _HOST and not _runs(int(match[2]))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


# ---- reading ----


def read_whole(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes. Damaged if it is another kind of file, larger, or cannot be
    read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Damaged("not a regular file")
        return read_bytes(path, limit)
    except DataError as error:
        raise Damaged(str(error).removeprefix(f"{path}: ")) from None
    except OSError as error:
        raise Damaged(f"cannot be read ({error.strerror or one_line(error)})") from None


def table_bytes(columns: dict[str, Any]) -> bytes:
    """A Parquet file with these columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return bytes(sink.getvalue())


def check_digest(data: bytes, expected: Digest | None) -> None:
    """Damaged unless the bytes are those that the trial's record names (records of schema 1 name none)."""
    if expected is not None and hashlib.sha256(data).hexdigest() != expected.sha256:
        raise Damaged("it is not the file that the trial's record names (another sha256)")


def parse_predictions(data: bytes) -> tuple[Rows, Floats]:
    """Rows of the benchmark's table [N] and the predictions for them [N] from the bytes of a Parquet file.

    Raises:
        Damaged: no Parquet, too large, other columns or types, a row that is negative or there twice, a prediction that
        is no finite number.
    """
    table = _parquet(data, {"index", "prediction"})
    index = _rows(table)
    predictions = _column(table, "prediction", "f", "numbers").astype(np.float64)
    if not np.isfinite(predictions).all():
        raise Damaged("a prediction is no finite number")
    return index, predictions


def parse_encodings(data: bytes) -> tuple[Rows, Floats]:
    """Rows of the benchmark's table [N] and the encodings of these architectures [N, F] from the bytes of a Parquet
    file. Damaged as above."""
    import pyarrow as pa

    table = _parquet(data, {"index", "encoding"})
    index = _rows(table)
    column = table.column("encoding").combine_chunks()
    kind = column.type
    if (
        not (pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind))
        or not pa.types.is_floating(kind.value_type)
        or column.null_count
    ):
        raise Damaged(f"column 'encoding' holds {visible(str(kind))[:60]}, not lists of numbers")
    values = column.flatten()
    if (
        not len(index)
        or values.null_count
        or len(values) % len(index)
        or (np.diff(column.value_lengths().to_numpy(zero_copy_only=False)) != 0).any()
    ):
        raise Damaged("its encodings have several lengths, or none")
    encodings = values.to_numpy(zero_copy_only=False).astype(np.float64).reshape(len(index), -1)
    if not np.isfinite(encodings).all():
        raise Damaged("an encoding holds a value that is not finite")
    return index, encodings


def _parquet(data: bytes, columns: set[str]) -> pa.Table:
    """The Parquet table in `data`, with just these columns, after what it says of its own size was found small."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            about = file.metadata
            if (
                set(file.schema_arrow.names) != columns
                or len(file.schema_arrow.names) != len(columns)
                or about.num_columns != len(columns)
            ):
                raise Damaged(
                    f"its columns are {visible(', '.join(file.schema_arrow.names))[:80]}, not {', '.join(sorted(columns))}"
                )
            said = extent(data)
            if said.rows > ROWS_LIMIT or said.values > VALUES_LIMIT or said.size > TABLE_LIMIT:
                raise Damaged(f"it unpacks to {said.rows:,} rows and {said.values:,} values, more than any trial has")
            return file.read(use_threads=False)
    except Damaged:
        raise
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        raise Damaged(f"not a Parquet table that can be read ({visible(one_line(error, 100))})") from None


def _column(table: pa.Table, name: str, kind: str, what: str) -> NDArray[Any]:
    column = table.column(name)
    try:
        values = column.to_numpy()
    except Exception as error:
        raise Damaged(f"column '{name}' cannot be read ({visible(one_line(error, 80))})") from None
    if values.dtype.kind != kind or column.null_count:
        raise Damaged(
            f"column '{name}' holds {visible(str(column.type))[:60]}{' with gaps' if column.null_count else ''}, not {what}"
        )
    return np.asarray(values)


def _rows(table: pa.Table) -> Rows:
    index = _column(table, "index", "i", "whole numbers").astype(np.int64)
    if len(index) and index.min() < 0:
        raise Damaged("column 'index' holds a negative row")
    if len(index) and index.max() >= ROWS_LIMIT:
        raise Damaged(f"column 'index' holds row {index.max():,}, more than any table has")
    seen = np.zeros(int(index.max()) + 1 if len(index) else 0, bool)  # several times as fast as sorting
    seen[index] = True
    if np.count_nonzero(seen) != len(index):
        raise Damaged("column 'index' holds a row twice")
    return index
