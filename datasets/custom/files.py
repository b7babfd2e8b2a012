"""Custom benchmarks in files: CSV or Parquet with one architecture per row, or one training."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from archrank.datasets.custom.choice import RUNS, choose
from archrank.datasets.custom.graph import CustomGraph, as_value, op_of, whole
from archrank.datasets.custom.lists import parse_list
from archrank.datasets.custom.options import TableOptions
from archrank.datasets.custom.runs import averaged
from archrank.datasets.custom.table import RawTable, describe
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import read_bytes, read_parquet, shown

SIZE_LIMIT = 4 << 30
_SPLIT = re.compile(r"[\s,;|]+")
_RAGGED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_EDGE = re.compile(r"(\d{1,9})\s*(?:->|>|-|:|,)\s*(\d{1,9})")


@dataclass(frozen=True)
class Columns:
    """Which columns describe graphs: operations and edges of each row, its cell numbers and its name, where the table
    has them."""

    ops: str = "ops"
    edges: str = "edges"
    cell: str = "cell"
    arch: str = "arch"


def read_custom(
    path: Path,
    options: TableOptions | None = None,
    *,
    metrics: Sequence[str] | None = None,
    columns: Columns = Columns(),
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of a CSV, TSV or Parquet table of architectures.

    In a CSV, `ops` is text such as `input conv3x3 output` (or ids, or a list as JSON, Python or NumPy write it) and
    `edges` text such as `0>1 1>2` (or `0-1;1-2`, or a list of pairs). In Parquet they may also be lists: names or ids,
    and pairs or u0, v0, u1, v1, ....
    metrics: the columns that are scores (default: see `choice.choose`); the card's fact `left_out` names the others.
    Rows of one architecture that a column such as `seed` tells apart are averaged (see `runs.averaged`). options:
    default: called like the file.

    Raises DataError that names each problem with its line or row.
    """
    raw, rows = _table(path)
    options = options or TableOptions(path.stem, source=f"custom benchmark {path.name}")
    for needed in (columns.ops, columns.edges):
        if needed not in raw.columns:
            raise DataError(f"{path}: column '{needed}' is missing (it has: {', '.join(map(str, raw.columns))[:200]})")
    if raw.empty:
        raise DataError(f"{path}: the table has no rows")
    cells = raw[columns.cell] if columns.cell in raw.columns else [None] * len(raw)
    graphs = [_graph(*fields) for fields in zip(raw[columns.ops], raw[columns.edges], cells)]
    described = [columns.ops, columns.edges, columns.cell, columns.arch, "key"]
    choice = choose(raw.drop(columns=described, errors="ignore"), rows, path, metrics, options.default_target)
    arch = ["" if pd.isna(name) else str(name) for name in raw[columns.arch]] if columns.arch in raw.columns else None
    table = RawTable(graphs, raw[choice.metrics], rows, str(path), arch, left_out=choice.left_out, notes=choice.notes)
    if runs := [name for name in raw.columns if name not in choice.metrics and RUNS.fullmatch(name)]:
        table = averaged(table, [str(as_value(run)) for run in raw[runs[0]]], runs[0])
        if table.repeats:
            table = replace(
                table, left_out={column: why for column, why in table.left_out.items() if column != runs[0]}
            )
    return describe(table, replace(options, default_target=choice.target))


def _table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table as it stands in the file, and what each row is called in an error."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        frame = read_parquet(path)
        return frame, [f"row {row}" for row in range(len(frame))]
    if kind not in (".csv", ".tsv"):
        raise DataError(f"{path}: a table of your own is a .csv, .tsv or .parquet; unpack or rename it")
    data = read_bytes(path, SIZE_LIMIT)
    mark = "\t" if kind == ".tsv" else ","
    try:
        # Text is kept as it stands, so that "none" stays an operation and a wrong number can be shown.
        read: dict[str, Any] = {"sep": mark, "dtype": str, "keep_default_na": False, "skipinitialspace": True}
        heads = [str(name) for name in pd.read_csv(BytesIO(data), header=None, nrows=1, **read).iloc[0]]
        if twice := next((name for at, name in enumerate(heads) if name.strip() and name in heads[:at]), None):
            raise DataError(f"{path}: column '{twice}' comes twice; name each column once")
        frame = pd.read_csv(BytesIO(data), **read)
    except DataError:
        raise
    except Exception as error:
        if ragged := _RAGGED.search(str(error)):
            raise DataError(f"{path}: line {ragged[2]}: expected {ragged[1]} fields, saw {ragged[3]}") from None
        said = textwrap.shorten(str(error), 120, placeholder=" ...")
        raise DataError(f"{path}: not a readable table ({type(error).__name__}: {said})") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes surplus first fields for names of rows
        raise DataError(
            f"{path}: line 2: expected {len(frame.columns)} fields, saw {len(frame.columns) + frame.index.nlevels}"
        )
    lines = data.decode("utf-8", errors="replace").splitlines()
    written = [number for number, line in enumerate(lines, 1) if line.strip()]  # pandas passes over empty lines
    if len(written) != len(frame) + 1:  # a quoted field of several lines
        written = list(range(1, len(frame) + 2))
    return frame, [f"line {number}" for number in written[1:]]


def _graph(ops: Any, edges: Any, cell: Any) -> CustomGraph:
    try:
        return CustomGraph(
            _ops(ops),
            _edges(edges),
            None if cell is None or (isinstance(cell, float) and pd.isna(cell)) else _cells(cell),
        )
    except DataError as error:
        return CustomGraph(problem=str(error))


def _ops(value: Any) -> list[Hashable]:
    if isinstance(value, str):
        text = value.strip()
        value = _list(text) if text.startswith(("[", "(")) else [part for part in _SPLIT.split(text) if part]
    try:
        parts = list(value)
    except TypeError:
        raise DataError(f"ops {shown(value)} is no list of operations") from None
    if not parts:
        raise DataError("ops is empty")
    found: list[Hashable] = []
    for part in parts:
        try:
            found.append(int(part) if isinstance(part, str) and part.isdecimal() else op_of(part))
        except (TypeError, ValueError, DataError):
            raise DataError(f"ops holds {shown(part)}, neither a name nor an id") from None
    return found


def _edges(value: Any) -> list[tuple[int, int]]:
    if isinstance(value, str):
        text = value.strip()
        if not text.startswith(("[", "(")):
            rest = _EDGE.sub("", text)
            if _SPLIT.sub("", rest):
                raise DataError(f"edges {shown(text)} cannot be read; write them as 0>1 0>2 1>3")
            return [(int(u), int(v)) for u, v in _EDGE.findall(text)]
        value = _list(text)
    try:
        parts = list(value)
        if parts and not hasattr(parts[0], "__len__"):
            if len(parts) % 2:
                raise DataError(f"edges has {len(parts)} entries; a flat list is u0, v0, u1, v1, ...")
            return [(whole(parts[at]), whole(parts[at + 1])) for at in range(0, len(parts), 2)]
        return [(whole(u), whole(v)) for u, v in parts]
    except (TypeError, ValueError, DataError):
        raise DataError(f"edges {shown(value)} is no list of pairs of whole numbers") from None


def _cells(value: Any) -> list[int]:
    if isinstance(value, str):
        text = value.strip()
        value = _list(text) if text.startswith(("[", "(")) else [part for part in _SPLIT.split(text) if part]
    try:
        return [whole(int(part) if isinstance(part, str) else part) for part in value]
    except (TypeError, ValueError, DataError):
        raise DataError(f"cell {shown(value)} is no list of cell numbers, one for each node") from None


def _list(text: str) -> list[Any]:
    """The list in a text, as JSON or in other ways of writing one."""
    try:
        found = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, list) else parse_list(text)
