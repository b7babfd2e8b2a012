"""Tables of one's own in files: CSV or Parquet with one architecture per row."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from archrank.datasets.custom.graphs import Node, describe, whole
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import read_parquet, shown

SIZE_LIMIT = 4 << 30
_SPLIT = re.compile(r"[\s,;|]+")
_RAGGED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_EDGE = re.compile(r"(\d{1,9})\s*(?:->|>|-|:|,)\s*(\d{1,9})")
_LOGICAL = {"true", "false", "yes", "no"}


def read_own(
    path: Path,
    *,
    name: str | None = None,
    ops: Sequence[str] | None = None,
    ops_column: str = "ops",
    edges_column: str = "edges",
    arch_column: str = "arch",
    metrics: Sequence[str] | None = None,
    minimize: Collection[str] | None = None,
    units: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    default_target: str | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of a CSV or Parquet table of one's own.

    In a CSV, `ops` is text such as `input conv3x3 output` (or ids, or a JSON list) and `edges` text such as `0>1 1>2` (or `0-1;1-2`, or
    a JSON list of pairs). In Parquet they may also be lists: names or ids, and pairs or u0, v0, u1, v1, .... Columns of which most
    fields are numbers are metrics unless `metrics` names some; the card's fact `left_out` names the others. Raises DataError that names
    each problem with its line or row.
    """
    raw, rows = _table(path)
    for needed in (ops_column, edges_column):
        if needed not in raw.columns:
            raise DataError(f"{path}: column '{needed}' is missing (it has: {', '.join(map(str, raw.columns))[:200]})")
    if raw.empty:
        raise DataError(f"{path}: the table has no rows")
    nodes = []
    for op, edge in zip(raw[ops_column], raw[edges_column]):
        try:
            nodes.append(Node(_ops(op), _edges(edge)))
        except DataError as error:
            nodes.append(Node([], [], problem=str(error)))
    left_out: dict[str, str] = {}
    chosen = list(metrics or ())
    if not metrics:
        chosen, left_out = _numeric(raw.drop(columns=[ops_column, edges_column, arch_column, "key"], errors="ignore"), rows, path)
    if missing := [metric for metric in chosen if metric not in raw.columns]:
        raise DataError(f"{path}: column '{missing[0]}' is missing (it has: {', '.join(map(str, raw.columns))[:200]})")
    arch = ["" if pd.isna(arch) else arch for arch in raw[arch_column]] if arch_column in raw.columns else None
    frame, card = describe(nodes, raw[chosen], rows, name=name or path.stem, where=str(path), ops=ops, arch=arch, roles=roles, minimize=minimize,
                           units=units, default_target=default_target, source=f"own table {path.name}")
    if left_out:
        card["facts"]["left_out"] = left_out
    return frame, card


def _table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise DataError(f"{path}: larger than {SIZE_LIMIT >> 30} GiB; split it")
        kind = path.suffix.lower()
        if kind == ".parquet":
            frame = read_parquet(path)
            return frame, [f"row {row}" for row in range(len(frame))]
        if kind not in (".csv", ".tsv"):
            raise DataError(f"{path}: a table of your own is a .csv, .tsv or .parquet; unpack or rename it")
        # Text is kept as it stands, so that "none" stays an operation and a wrong number can be shown.
        frame = pd.read_csv(path, sep="\t" if kind == ".tsv" else ",", dtype=str, keep_default_na=False, skipinitialspace=True, compression=None)
        if not isinstance(frame.index, pd.RangeIndex):  # pandas takes surplus first fields for names of rows
            raise DataError(f"{path}: line 2: expected {len(frame.columns)} fields, saw {len(frame.columns) + frame.index.nlevels}")
        with path.open(errors="replace") as text:
            written = [number for number, line in enumerate(text, 1) if line.strip()]  # pandas passes over empty lines
        if len(written) != len(frame) + 1:  # a quoted field of several lines
            written = list(range(1, len(frame) + 2))
        return frame, [f"line {number}" for number in written[1:]]
    except DataError:
        raise
    except Exception as error:
        if ragged := _RAGGED.search(str(error)):
            raise DataError(f"{path}: line {ragged[2]}: expected {ragged[1]} fields, saw {ragged[3]}") from None
        said = textwrap.shorten(str(error), 120, placeholder=" ...")
        raise DataError(f"{path}: not a readable table ({type(error).__name__}: {said})") from None


def _numeric(frame: pd.DataFrame, rows: Sequence[str], path: Path) -> tuple[list[str], dict[str, str]]:
    """Columns of which most filled fields are numbers, and why the others are none.

    One wrong field shall be named, not make a column disappear; nor shall scores in a form that is not read, such as 91,2 or 91.2%.
    """
    found, left_out = list[str](), dict[str, str]()
    for column in frame.columns:
        name, filled = str(column), frame[column].reset_index(drop=True).dropna().astype(str).str.strip()
        filled = filled[filled != ""]
        words = filled[pd.to_numeric(filled, errors="coerce").isna()]
        if not len(filled):
            left_out[name] = "empty"
        elif not name.strip() or name.startswith("Unnamed: "):
            left_out[name] = "it has no name; the numbers of rows, if pandas wrote them"
        elif len(words) < 0.5 * len(filled):
            found.append(name)
        elif filled.str.contains(r"\d").mean() >= 0.5 or set(words.str.lower()) <= _LOGICAL:
            raise DataError(f"{path}: {rows[words.index[0]]}: '{name}' is {shown(words.iloc[0])}, not a number, like others of this column; "
                            "write scores such as 91.2, or name the columns that are scores (--metrics a,b)")
        else:
            left_out[name] = f"text such as {shown(words.iloc[0])}"
    return found, left_out


def _ops(value: Any) -> list[Hashable]:
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            value = _json(text)
        else:
            value = [part for part in _SPLIT.split(text) if part]
    try:
        parts = list(value)
    except TypeError:
        raise DataError(f"ops {shown(value)} is no list of operations") from None
    if not parts:
        raise DataError("ops is empty")
    found: list[Hashable] = []
    for part in parts:
        if isinstance(part, str) and not part.isdecimal():
            found.append(part)
        else:
            try:
                found.append(int(part) if isinstance(part, str) else whole(part))
            except (TypeError, ValueError, DataError):
                raise DataError(f"ops holds {shown(part)}, neither a name nor an id") from None
    return found


def _edges(value: Any) -> list[tuple[int, int]]:
    if isinstance(value, str):
        text = value.strip()
        if not text.startswith("["):
            rest = _EDGE.sub("", text)
            if _SPLIT.sub("", rest):
                raise DataError(f"edges {shown(text)} cannot be read; write them as 0>1 0>2 1>3")
            return [(int(u), int(v)) for u, v in _EDGE.findall(text)]
        value = _json(text)
    try:
        parts = list(value)
        if parts and not hasattr(parts[0], "__len__"):
            if len(parts) % 2:
                raise DataError(f"edges has {len(parts)} entries; a flat list is u0, v0, u1, v1, ...")
            return [(whole(parts[at]), whole(parts[at + 1])) for at in range(0, len(parts), 2)]
        return [(whole(u), whole(v)) for u, v in parts]
    except (TypeError, ValueError, DataError):
        raise DataError(f"edges {shown(value)} is no list of pairs of whole numbers") from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(f"{shown(text)} is not a JSON list") from None
