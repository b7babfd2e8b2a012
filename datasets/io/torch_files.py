"""Reading tables of numbers that `torch.save` wrote, of any size, in bounded memory and without torch.

Such a file is a pickle inside a zip archive or, before torch 1.6, behind three short ones (magic number, version,
system). It is read by the allow-list reader of `safe_pickle`; tensors are refused with everything else. A file of
gigabytes is one dictionary of results per
architecture: each is reduced to what is wanted as soon as it is complete, and what it was made of is forgotten.
"""

from __future__ import annotations

import io
import os
import zipfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from archrank.datasets.errors import DataError, one_line
from archrank.datasets.io.bounded import open_file, open_zip, tell
from archrank.datasets.io.safe_pickle import Array, Reader, Refused, read_one

MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_HEADER = 3
LARGEST_STEP = 1 << 20
BUFFER = 1 << 20
# NAS-Bench-201 has about 11,000 an architecture.
MOST_REFERENCES = 1 << 28
Reduce = Callable[[dict[Any, Any]], dict[Any, Any] | None]
_DROPPED = (dict, list, tuple, set, frozenset, bytes, float, int, Array)


class _Source:
    """A stream whose announced lengths are compared with what is left of it before anything is reserved."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.take, self.tell, self.readline, self.size = stream.read, stream.tell, stream.readline, size

    def read(self, count: int) -> bytes:
        if count > LARGEST_STEP and count > self.size - self.tell():
            raise EOFError("a length beyond the end of the file")
        return self.take(count)


class _References:
    """The pickle's memory: what it may refer back to by number.

    Everything since the last finished architecture, and of those before it only texts and constructors, which many
    architectures
    share: two bytes each (four where there are many different ones), and every text once.
    """

    def __init__(self) -> None:
        self.kept: list[Any] = [None]  # number 0: forgotten
        self.texts: dict[str, int] = {}
        self.numbers = array("H")
        self.recent: list[Any] = []

    def __len__(self) -> int:
        return len(self.numbers) + len(self.recent)

    def __setitem__(self, at: int, value: Any) -> None:
        if at != len(self) or at >= MOST_REFERENCES:
            raise Refused("a reference out of order")
        self.recent.append(value)

    def __getitem__(self, at: int) -> Any:
        if at >= len(self.numbers):
            return self.recent[at - len(self.numbers)]
        if not self.numbers[at]:
            raise Refused("a part of an architecture that was read before")
        return self.kept[self.numbers[at]]

    def forget(self, since: int) -> None:
        """Drop the containers and numbers from reference `since` on."""
        first = len(self.numbers)
        for at, value in enumerate(self.recent, first):
            number = 0
            if type(value) is str:
                number = self.texts.setdefault(value, len(self.kept))
            elif at < since or not isinstance(value, _DROPPED):
                number = len(self.kept)
            if number == len(self.kept):
                self.kept.append(value)
                if number > 0xFFFF and self.numbers.typecode == "H":
                    self.numbers = array("I", self.numbers)
            self.numbers.append(number)
        self.recent.clear()


class _Reducing(Reader):
    """Hands each finished dictionary to `reduce`; where that gives a smaller one, it takes its place."""

    dispatch = dict(Reader.dispatch)

    def __init__(self, source: _Source, reduce: Reduce) -> None:
        super().__init__(source)
        self.memo, self.source, self.reduce = _References(), source, reduce
        self.marks: list[int] = []

    def load_mark(self) -> None:
        self.marks.append(len(self.memo))
        super().load_mark()

    def pop_mark(self) -> Any:
        self.since = self.marks.pop()
        return super().pop_mark()

    def load_setitems(self) -> None:
        super().load_setitems()
        target = self.stack[-1]
        if not isinstance(target, dict) or (smaller := self.reduce(target)) is None:
            return
        target.clear()
        target.update(smaller)
        self.memo.forget(self.since)
        tell(self.source.tell(), self.source.size)

    dispatch[ord("(")] = load_mark
    dispatch[ord("u")] = load_setitems


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The stream of the file's main pickle, and its length."""
    with open_file(path, BUFFER) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(2)
        stream.seek(0)
        if start != b"PK":
            header = [read_one(Reader(_Source(stream, size)), str(path)) for _ in range(LEGACY_HEADER)]
            if header[0] != MAGIC:
                raise DataError(f"{path}: not a file that torch.save wrote")
            yield stream, size
            return
        with open_zip(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith("/data.pkl")]
            if len(members) != 1 or members[0].compress_type != zipfile.ZIP_STORED:
                raise DataError(f"{path}: not a file that torch.save wrote (it holds one uncompressed data.pkl)")
            try:
                member = archive.open(members[0])
            except Exception as error:  # a damaged archive can fail in any way
                raise DataError(
                    f"{path}: data.pkl cannot be unpacked ({one_line(error, 80)}); fetch the file again"
                ) from None
            with member as inner:
                yield io.BufferedReader(inner, BUFFER), members[0].file_size  # type: ignore[type-var]


def load(path: Path, reduce: Reduce = lambda _: None) -> Any:
    """The object that `torch.save` wrote to `path`; nothing in it is run.

    reduce: gets each dictionary (of more than one entry) when it is complete and returns what should be kept of it, or
    None to keep it as it is. DataError if the file is damaged, asks for anything but numbers, text and containers, or
    refers to what was reduced.
    """
    with _opened(path) as (stream, size):
        return read_one(_Reducing(_Source(stream, size), reduce), str(path))
