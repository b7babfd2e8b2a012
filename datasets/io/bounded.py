"""Reading compressed and packed files without trusting their size: every function here has a limit and names the file
it gives up on."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import reprlib
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from archrank.datasets.errors import DataError, one_line
from archrank.datasets.io.parquet_footer import extent

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
MEMBER_LIMIT = 64 << 20
ARCHIVE_LIMIT = 4 << 30
MEMBERS_LIMIT = 200_000
JSON_LIMIT = 256 << 20
TABLE_LIMIT = 4 << 30
# A Parquet file may hold so many values however small it is, and beyond that so many for each of its bytes.
VALUES_LIMIT = 1 << 24
VALUES_PER_BYTE = 64
HEADER_LIMIT = 1 << 20
CHUNK = 1 << 20
_PACKINGS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
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


def open_file(path: Path, buffering: int = -1) -> BinaryIO:
    """A regular file, opened for reading; DataError if it is missing, or a folder, a device or a pipe, which may never
    end."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        stream = os.fdopen(number, "rb", buffering)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        stream.close()
        raise DataError(f"{path}: not a regular file (a device or a pipe); refused")
    return stream


def read_bytes(path: Path, limit: int = JSON_LIMIT) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; DataError if it is missing or larger."""
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise DataError(
                f"{path}: {size:,} bytes, more than the {limit:,} such a file can have; is it the right file?"
            )
        try:
            data = stream.read(size + 1)  # room is made for as many as are asked for
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(data) > size:
        raise DataError(f"{path}: grows while it is read, beyond {size:,} bytes; refused")
    return data


def parse_json(data: bytes, where: str) -> Any:
    """The JSON value in `data`; DataError naming `where` if it is not JSON. `NaN` and `Infinity` pass as floats."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(
            f"{where}: not JSON ({reason}); the file is damaged or not the one this importer reads"
        ) from None


def read_json(path: Path, limit: int = JSON_LIMIT) -> Any:
    """The JSON value in a plain file of at most `limit` bytes."""
    return parse_json(read_bytes(path, limit), str(path))


def read_parquet(path: Path) -> pd.DataFrame:
    """The Parquet table in a regular file, as `parse_parquet`."""
    return parse_parquet(read_bytes(path, TABLE_LIMIT), str(path))


def parse_parquet(data: bytes, where: str) -> pd.DataFrame:
    """The Parquet table in `data`; DataError naming `where` if it is damaged or unpacks to far more than its own size.

    Texts stay in dictionaries while they are read, so that one that stands in a million rows is held once, and what is
    counted is the number of values.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        said = extent(data)
        values, most = said.rows + said.values, max(VALUES_LIMIT, VALUES_PER_BYTE * len(data))
        if said.size > TABLE_LIMIT or values > most:
            raise DataError(
                f"{where}: unpacks to {said.size:,} bytes and {values:,} values; at most {TABLE_LIMIT:,} and {most:,} are read"
            )
        schema = ParquetFile(pa.BufferReader(data)).schema
        texts = [leaf.path for leaf in map(schema.column, range(len(schema))) if leaf.physical_type == "BYTE_ARRAY"]
        table = ParquetFile(pa.BufferReader(data), read_dictionary=texts).read()
        for at, field in enumerate(table.schema):
            if pa.types.is_dictionary(field.type) and not pa.types.is_string(
                field.type.value_type
            ):  # text that its writer did not call text
                table = table.set_column(at, field.name, table.column(at).cast(pa.dictionary(pa.int32(), pa.string())))
        frame = table.to_pandas()
        if not all(isinstance(name, str) for name in frame.columns) or frame.columns.has_duplicates:
            raise DataError(f"{where}: the table's columns need one name each, and no name twice")
        categories = {name: object for name in frame.columns if frame[name].dtype == "category"}
        return frame.astype(categories) if categories else frame
    except DataError:
        raise
    except UnicodeDecodeError:
        raise DataError(f"{where}: not a readable Parquet table (a text in it is not UTF-8)") from None
    except Exception as error:
        raise DataError(f"{where}: not a readable Parquet table ({one_line(error, 120)})") from None


def safe_member(name: str, where: str) -> str:
    """An archive member's name, or a DataError if it would leave the archive's own folder (`..`, absolute, drive
    letter)."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name or "\x00" in name:
        raise DataError(f"{where}: member '{name}' points outside the archive; refused")
    return name


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose member names were all checked by `safe_member`; DataError if it is no zip, has too many
    members, or members that are packed by anything but deflate, the one packing that unpacks in parts here."""
    with open_file(path) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise DataError(f"{path}: not a complete zip archive ({error}); fetch it again") from None
        with archive:
            members = archive.infolist()
            if len(members) > MEMBERS_LIMIT:
                raise DataError(f"{path}: {len(members):,} members, more than {MEMBERS_LIMIT:,}; refused")
            for member in members:
                safe_member(member.filename, str(path))
                if member.compress_type not in _PACKINGS:
                    raise DataError(
                        f"{path}: member '{member.filename}' is packed by {_packing(member)}; only stored and deflated ones are read"
                    )
            yield archive


def _packing(member: zipfile.ZipInfo) -> str:
    return {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma"}.get(
        member.compress_type, f"method {member.compress_type}"
    )


def zip_members(path: Path, suffix: str, limit: int = MEMBER_LIMIT) -> Iterator[tuple[str, bytes]]:
    """Name and content of each member that ends in `suffix`, sorted by name, one at a time in memory.

    What a member says about its own size is not believed: reading stops at `limit` bytes each and 4 GiB in all
    (DataError).
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
    """The unpacked bytes of a bz2 file, at most `limit` of them; DataError if there are more, or the file is
    damaged."""
    with open_file(path) as stream:
        return unpack_bz2(stream, limit, str(path))


def unpack_bz2(stream: IO[bytes], limit: int, where: str) -> bytes:
    """The unpacked bytes of a bz2 stream, at most `limit` of them; DataError naming `where` if there are more, or it is
    damaged."""
    try:
        with bz2.open(stream) as unpacked:
            return read_stream(unpacked, limit, where)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{where}: not a complete bz2 file ({error}); fetch it again") from None


def read_stream(stream: IO[bytes], limit: int, where: str) -> bytes:
    """What is left of a stream, at most `limit` bytes; DataError naming `where` if there is more."""
    parts: list[bytes] = []
    total = 0
    try:
        while chunk := stream.read(CHUNK):
            total += len(chunk)
            if total > limit:
                raise DataError(f"{where}: unpacks to more than {limit:,} bytes; refused")
            parts.append(chunk)
    except tarfile.TarError as error:
        raise DataError(f"{where}: not a complete tar archive ({error}); fetch it again") from None
    return b"".join(parts)


class _Metered(io.RawIOBase):
    """The unpacked stream of a tar archive, which must not be longer than `limit` bytes, nor one member's headers than
    `HEADER_LIMIT`."""

    def __init__(self, stream: IO[bytes], limit: int, where: str) -> None:
        self.stream, self.limit, self.where = stream, limit, where
        self.in_headers(True)

    def in_headers(self, inside: bool) -> None:
        """Whether what is read next are headers."""
        self.left = HEADER_LIMIT if inside else self.limit

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        self.left -= size
        if size < 0 or self.left < 0:
            raise DataError(f"{self.where}: a header of more than {HEADER_LIMIT:,} bytes; refused")
        return self._checked(self._whole(lambda: self.stream.read(size)))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        if offset > self.limit:
            raise DataError(f"{self.where}: unpacks to more than {self.limit:,} bytes; refused")
        return self._whole(lambda: self.stream.seek(offset, whence))

    def tell(self) -> int:
        """The position in the unpacked stream."""
        return self.stream.tell()

    def _whole(self, use: Callable[[], T]) -> T:
        """What a use of the unpacked stream gives, also where it is the reader of a member that comes upon damage."""
        try:
            return use()
        except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
            raise DataError(f"{self.where}: not a complete tar archive ({error}); fetch it again") from None

    def _checked(self, data: bytes) -> bytes:
        if self.stream.tell() > self.limit:
            raise DataError(f"{self.where}: unpacks to more than {self.limit:,} bytes; refused")
        return data


def tar_members(path: Path, suffix: str, limit: int = ARCHIVE_LIMIT) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and stream of each regular member that ends in `suffix`, in the archive's order; packed archives (gz, bz2,
    xz) too.

    The stream of a member is read, in parts of at most 1 MiB, before the next is asked for. Not more than `limit` bytes
    are unpacked in all (or as many as a plain archive has). DataError for links and devices of that name, members
    outside the archive, headers beyond 1 MiB, and a damaged archive.
    """
    with open_file(path) as file:
        try:
            with _unpacked(file) as unpacked:
                stream = _Metered(unpacked, max(limit, os.fstat(file.fileno()).st_size), str(path))
                with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as archive:
                    for count, member in enumerate(archive):
                        name = safe_member(member.name, str(path))
                        if count > MEMBERS_LIMIT:
                            raise DataError(f"{path}: more than {MEMBERS_LIMIT:,} members; refused")
                        if name.endswith(suffix) and not member.isdir():
                            content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
                            if content is None:
                                raise DataError(f"{path}: member '{name}' is no plain file; refused")
                            stream.in_headers(False)
                            yield name, content
                        archive.members = []  # type: ignore[attr-defined]  # it would keep them all
                        stream.in_headers(True)
        except (tarfile.TarError, OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
            raise DataError(f"{path}: not a complete tar archive ({error}); fetch it again") from None


def _unpacked(file: BinaryIO) -> IO[bytes]:
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(file))
    if start.startswith(b"BZh"):
        return bz2.open(file)
    return lzma.open(file) if start.startswith(b"\xfd7zXZ") else file
