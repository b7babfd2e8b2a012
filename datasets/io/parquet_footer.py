"""What a Parquet file says of its own size, read from its footer by itself.

pyarrow tells the same column by column, but a footer damaged in the right place ends the whole process there, where
reading the file raises an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Extent", "extent"]

MAGIC = b"PAR1"
MOST_BYTES = 16 << 20
MOST_DEPTH = 16
# Fields of the footer, of a row group, of a column's chunk and of its metadata, by their numbers in parquet.thrift.
ROWS, GROUPS, COLUMNS, GROUP_BYTES, METADATA, VALUES = 3, 4, 1, 2, 3, 5


@dataclass(frozen=True)
class Extent:
    """Rows of the table, values in all columns together (of a list each item), and bytes when unpacked."""

    rows: int
    values: int
    size: int


def extent(data: bytes) -> Extent:
    """What the footer of a Parquet file in `data` says. ValueError if it has none that can be read."""
    length = int.from_bytes(data[-8:-4], "little")
    if (
        len(data) < 12
        or not (data.startswith(MAGIC) and data.endswith(MAGIC))
        or not 0 < length <= min(len(data) - 12, MOST_BYTES)
    ):
        raise ValueError("no footer of a Parquet file")
    try:
        footer = _Compact(data[-8 - length : -8]).struct(0)
        groups = footer[GROUPS]
        values = [column[METADATA][VALUES] for group in groups for column in group[COLUMNS]]
        numbers = [footer[ROWS], *values, *(group[GROUP_BYTES] for group in groups)]
    except (KeyError, TypeError):
        raise ValueError("its footer is damaged") from None
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("its footer is damaged")
    return Extent(footer[ROWS], sum(values), sum(group[GROUP_BYTES] for group in groups))


class _Compact:
    """Thrift's compact protocol: a struct becomes {number of the field: value}."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self, depth: int) -> dict[int, Any]:
        """The next struct."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.number()
            fields[number] = (head & 15) == 1 if head & 15 in (1, 2) else self.value(head & 15, depth)
        return fields

    def value(self, kind: int, depth: int) -> Any:
        """The next value of a type."""
        if depth > MOST_DEPTH:
            raise ValueError("its footer is nested too deeply")
        readers: dict[int, Callable[[], Any]] = {
            1: self.byte,
            2: self.byte,
            3: self.byte,
            4: self.number,
            5: self.number,
            6: self.number,
            7: lambda: self.take(8),
            8: lambda: self.take(self.varint()),
            9: lambda: self.items(depth + 1),
            10: lambda: self.items(depth + 1),
            12: lambda: self.struct(depth + 1),
        }
        return readers[kind]()

    def items(self, depth: int) -> list[Any]:
        """The next list, of at most as many items as bytes are left."""
        head = self.byte()
        count = head >> 4 if head >> 4 < 15 else self.varint()
        if count > len(self.data) - self.at:
            raise ValueError("its footer is damaged")
        return [self.value(head & 15, depth) for _ in range(count)]

    def number(self) -> int:
        """The next whole number with a sign."""
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def varint(self) -> int:
        """The next whole number without a sign, of at most 64 bits."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("its footer is damaged")

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        """The next bytes, all of them."""
        self.at += count
        if self.at > len(self.data):
            raise ValueError("its footer is cut off")
        return self.data[self.at - count : self.at]
