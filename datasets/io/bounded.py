"""Reading compressed and packed files without trusting their size: every function here has a limit and names the file it gives up on."""

from __future__ import annotations

import bz2
import json
import reprlib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import DataError, one_line

if TYPE_CHECKING:
    import pandas as pd

MEMBER_LIMIT = 64 << 20
ARCHIVE_LIMIT = 4 << 30
MEMBERS_LIMIT = 200_000
JSON_LIMIT = 256 << 20
TABLE_LIMIT = 4 << 30
VALUES_LIMIT = 1 << 29
CHUNK = 1 << 20
# Called by importers with how far they are in a file and how long it is (bytes or members).
WATCH: ContextVar[Callable[[int, int | None], None] | None] = ContextVar("watch", default=None)


_QUOTE = reprlib.Repr()
_QUOTE.maxstring = _QUOTE.maxother = _QUOTE.maxlong = 44
_QUOTE.maxlevel = 2


def shown(value: object) -> str:
    """A value from a file as an error quotes it: short, however large, deep or tangled it is."""
    try:
        return _QUOTE.repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"<{type(value).__name__}>"


def tell(done: int, total: int | None) -> None:
    """Tell whoever watches how far an importer is."""
    if watch := WATCH.get():
        watch(done, total)


def read_bytes(path: Path, limit: int = JSON_LIMIT) -> bytes:
    """The bytes of a plain file of at most `limit` bytes; DataError if it is missing or larger."""
    try:
        size = path.stat().st_size
        if size > limit:
            raise DataError(f"{path}: {size:,} bytes, more than the {limit:,} such a file can have; is it the right file?")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def parse_json(data: bytes, where: str) -> Any:
    """The JSON value in `data`; DataError naming `where` if it is not JSON. `NaN` and `Infinity` pass as floats."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(f"{where}: not JSON ({reason}); the file is damaged or not the one this importer reads") from None


def read_json(path: Path, limit: int = JSON_LIMIT) -> Any:
    """The JSON value in a plain file of at most `limit` bytes."""
    return parse_json(read_bytes(path, limit), str(path))


def read_parquet(path: Path) -> pd.DataFrame:
    """A Parquet table that does not unpack to more than 4 GiB or half a billion values by what it says of itself."""
    import pandas as pd
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            about = file.metadata
            groups = [about.row_group(at) for at in range(about.num_row_groups)]
        values = about.num_rows + sum(group.column(at).num_values for group in groups for at in range(group.num_columns))
        size = sum(group.total_byte_size for group in groups)
        if size > TABLE_LIMIT or values > VALUES_LIMIT:
            raise DataError(f"{path}: unpacks to {size:,} bytes and {values:,} values; at most {TABLE_LIMIT:,} and {VALUES_LIMIT:,} are read")
        return pd.read_parquet(path)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path}: not a readable Parquet table ({one_line(error, 120)})") from None


def safe_member(name: str, where: str) -> str:
    """An archive member's name, or a DataError if it would leave the archive's own folder (`..`, absolute, drive letter)."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name or "\x00" in name:
        raise DataError(f"{where}: member '{name}' points outside the archive; refused")
    return name


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose member names were all checked by `safe_member`; DataError if it is no zip or has too many members."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(f"{path}: not a complete zip archive ({error}); fetch it again") from None
    with archive:
        members = archive.infolist()
        if len(members) > MEMBERS_LIMIT:
            raise DataError(f"{path}: {len(members):,} members, more than {MEMBERS_LIMIT:,}; refused")
        for member in members:
            safe_member(member.filename, str(path))
        yield archive


def zip_members(path: Path, suffix: str, limit: int = MEMBER_LIMIT) -> Iterator[tuple[str, bytes]]:
    """Name and content of each member that ends in `suffix`, sorted by name, one at a time in memory.

    What a member says about its own size is not believed: reading stops at `limit` bytes each and 4 GiB in all (DataError).
    """
    total = 0
    with open_zip(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(suffix))
        for number, name in enumerate(names):
            tell(number, len(names))
            try:
                with archive.open(name) as stream:
                    data = stream.read(limit + 1)
            except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
                raise DataError(f"{path}: member '{name}' cannot be unpacked ({error}); fetch the file again") from None
            except Exception as error:  # zlib.error and lzma.LZMAError share no base class
                raise DataError(f"{path}: member '{name}' is damaged ({error}); fetch the file again") from None
            total += len(data)
            if len(data) > limit:
                raise DataError(f"{path}: member '{name}' unpacks to more than {limit:,} bytes; refused")
            if total > ARCHIVE_LIMIT:
                raise DataError(f"{path}: unpacks to more than {ARCHIVE_LIMIT:,} bytes; refused")
            yield name, data


def read_bz2(path: Path, limit: int = MEMBER_LIMIT) -> bytes:
    """The unpacked bytes of a bz2 file, at most `limit` of them; DataError if there are more, or the file is damaged."""
    parts: list[bytes] = []
    total = 0
    try:
        with bz2.open(path) as stream:
            while chunk := stream.read(CHUNK):
                total += len(chunk)
                if total > limit:
                    raise DataError(f"{path}: unpacks to more than {limit:,} bytes; refused")
                parts.append(chunk)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: not a complete bz2 file ({error}); fetch it again") from None
    return b"".join(parts)
