"""A table and its card on disk, `<name>.parquet` and `<name>.json`: replaced in one step, checked by digest when read.

A new table first stands beside the old one, as `<name>.parquet.next`. Then its card replaces the old card; that is the
step. Then the table takes its place. Whenever a process ends, the card that is there names the digest of a table that
is there too.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from archrank.datasets.io.bounded import TABLE_LIMIT, read_bytes


def table_files(card: Path) -> tuple[Path, Path]:
    """Where the table of a card lies, and where a new one waits for its card."""
    table = card.with_suffix(".parquet")
    return table, table.with_name(f"{table.name}.next")


def has_table(card: Path) -> bool:
    """Whether a table lies beside a card."""
    return any(file.is_file() for file in table_files(card))


def replace(card: Path, table: Path, text: Path) -> None:
    """Put a table and the text of its card, files of the same file system, in the place of those that belong to
    `card`."""
    place, waiting = table_files(card)
    os.replace(table, waiting)
    os.replace(text, card)
    os.replace(waiting, place)


def read_table(card: Path, sha256: str) -> tuple[bytes, bool]:
    """The bytes of a card's table and whether they have the digest that the card names. DataError if there is no table
    to read."""
    place, waiting = table_files(card)
    data = b""
    for file in [file for file in (place, waiting) if file.is_file()] or [place]:
        data = read_bytes(file, TABLE_LIMIT)
        if hashlib.sha256(data).hexdigest() == sha256:
            return data, True
    return data, False
