"""Every table of a report, and one of all trials, as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from archrank.datasets.io.visible import visible
from archrank.reports.blocks import Block, Leaderboard, Section, Table, walk

__all__ = ["render_csv", "safe"]

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\.?\d")


def safe(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula."""
    text = visible(text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def render_csv(sections: Sequence[Section]) -> dict[str, bytes]:
    """File name -> text of each table that has an id. A value with an interval has the ends in columns of their own,
    and is written with all its digits."""
    tables = [table for section in sections for table in _tables(section.blocks)]
    return {f"tables/{table.id}.csv": _text(table).encode() for table in tables if table.id}


def _tables(blocks: Sequence[Block]) -> Iterator[Table]:
    for block in walk(blocks):
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Leaderboard):
            yield from (table for _, table in block.views)


def _text(table: Table) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    ends = {c.key for c in table.columns if any(row[c.key].low is not None for row in table.rows)}
    heads = [[c.title, *([f"{c.title} low", f"{c.title} high"] if c.key in ends else [])] for c in table.columns]
    writer.writerow([safe(title) for part in heads for title in part])
    for row in table.rows:
        line: list[str] = []
        for column in table.columns:
            cell = row[column.key]
            if column.key not in ends:
                line.append(safe(cell.text))
                continue
            values = (cell.sort, cell.low, cell.high)
            line += [
                safe(cell.text) if cell.sort is None else repr(cell.sort),
                *("" if v is None else repr(v) for v in values[1:]),
            ]
        writer.writerow(line)
    return stream.getvalue()
