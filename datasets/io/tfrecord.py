"""Reading TFRecord files and protocol-buffer messages without TensorFlow, one record at a time.

TFRecord: uint64 length (little endian), masked CRC-32C of those 8 bytes, payload, masked CRC-32C of the payload.
Protocol buffers: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import tell

RECORD_LIMIT = 1 << 20
TOLD_EVERY = 4096
Field = tuple[int, int, int | bytes]


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    """The masked CRC-32C that TFRecord stores beside lengths and payloads."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(stream: BinaryIO, where: Path, limit: int = RECORD_LIMIT) -> Iterator[bytes]:
    """The payloads of a TFRecord stream, in order. DataError, naming `where` and the record, at the first damage.

    A length is believed only when its checksum fits and it is at most `limit` bytes. Payload checksums are not
    computed: in Python that takes longer than everything else, and `archrank data get` checks the whole file.
    """
    number = done = 0
    size = where.stat().st_size if where.is_file() else None
    while header := stream.read(12):
        if len(header) < 12:
            raise DataError(f"{where}: record {number} is cut off; fetch the file again")
        length, checksum = struct.unpack("<QI", header)
        if masked_crc(header[:8]) != checksum:
            raise DataError(f"{where}: record {number}: the length is damaged; not a TFRecord file, or fetch it again")
        if length > limit:
            raise DataError(
                f"{where}: record {number} claims {length:,} bytes; at most {limit:,} make sense here; refused"
            )
        body = stream.read(length + 4)
        if len(body) < length + 4:
            raise DataError(f"{where}: record {number} is cut off; fetch the file again")
        yield body[:length]
        number += 1
        done += len(header) + len(body)
        if number % TOLD_EVERY == 0:
            tell(done, size)


def fields(message: bytes) -> Iterator[Field]:
    """(field number, wire type, value) of a message; numbers are raw integers, the rest bytes. ValueError if it is
    damaged."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, kind, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > end:
            raise ValueError("a field runs over the end")
        yield tag >> 3, kind, message[at : at + size]
        at += size


def varints(packed: bytes) -> Iterator[int]:
    """The whole numbers that a field packs together, one after the other. ValueError if it is damaged."""
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("a number is cut off")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
