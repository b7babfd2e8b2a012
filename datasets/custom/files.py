"""Custom benchmarks in files: CSV or Parquet with one architecture per row, or one training."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from archrank.datasets.custom.choice import RUNS, choose
from archrank.datasets.custom.graph import as_value
from archrank.datasets.custom.notations import NOTATIONS
from archrank.datasets.custom.options import TableOptions
from archrank.datasets.custom.raw import RawTable
from archrank.datasets.custom.rows import Columns, Place, read_graphs
from archrank.datasets.custom.runs import averaged, repeated_note
from archrank.datasets.custom.table import describe
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import read_bytes, read_parquet

if TYPE_CHECKING:
    from archrank.datasets.graphs import Graphs
    from archrank.datasets.space import SearchSpace

SIZE_LIMIT = 4 << 30
KINDS = (".csv", ".tsv", ".parquet")
_RAGGED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


def read_custom(
    path: Path,
    options: TableOptions | None = None,
    *,
    metrics: Sequence[str] | None = None,
    columns: Columns | None = None,
    ops_on: Place | None = None,
    average: bool = False,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of a CSV, TSV or Parquet table of architectures.

    In a CSV, `ops` is text such as `input conv3x3 output` (or ids, or a list as JSON, Python or NumPy write it) and
    `edges` text such as `0>1 1>2` (or `0-1;1-2`, or a list of pairs). In Parquet they may also be lists: names or ids,
    and pairs or u0, v0, u1, v1, .... `edge_ops` in place of `ops` names the operation of each edge. In place of all of
    these, `onnx` names files beside the table, and `arch` is text such as `|nor_conv_3x3~0|+...` where the search
    space (of `options`) is a known one (see `notations`).
    path: the table, or a folder that holds one beside ONNX files. metrics: the columns that are scores (default: see
    `choice.choose`); the card's fact `left_out` names the others. ops_on: `edges` where `ops` belongs to them.
    Rows of one architecture that a column such as `seed` tells apart are averaged (see `runs.averaged`); average: all
    rows of one architecture are. options: default: called like the file.

    Raises DataError that names each problem with its line or row.
    """
    columns = columns or Columns()
    path = _in_folder(path) if path.is_dir() else path
    raw, rows = _table(path)
    options = options or TableOptions(path.stem, source=f"custom benchmark {path.name}")
    if raw.empty:
        raise DataError(f"{path}: the table has no rows")
    graphs = read_graphs(raw, path, columns, ops_on, options.space)
    if options.space in NOTATIONS and options.ops is None and columns.edges not in raw.columns:
        options = replace(options, ops=NOTATIONS[options.space].ops, roles=options.roles or _roles(options.space))
    choice = choose(raw.drop(columns=columns.named, errors="ignore"), rows, path, metrics, options.default_target)
    arch = ["" if pd.isna(name) else str(name) for name in raw[columns.arch]] if columns.arch in raw.columns else None
    table = RawTable(graphs, raw[choice.metrics], rows, str(path), arch, left_out=choice.left_out, notes=choice.notes)
    runs = next((name for name in raw.columns if name not in choice.metrics and RUNS.fullmatch(name)), None)
    if runs is not None and not average:
        table = averaged(table, [str(as_value(run)) for run in raw[runs]], runs)
        if table.repeats:
            left_out = {column: why for column, why in table.left_out.items() if column != runs}
            table = replace(table, left_out=left_out)
    elif average:
        table = averaged(table)
    return describe(
        replace(table, notes=[*table.notes, *repeated_note(table)]), replace(options, default_target=choice.target)
    )


def read_candidates(path: Path, space: SearchSpace) -> tuple[list[str], Graphs]:
    """Names and graphs of a table of architectures of a known space, as `read_custom` reads them; no score is looked
    at, or needed. DataError names each problem with its line or row."""
    from archrank.datasets.custom.candidates import fitted_graphs

    raw, rows = _table(path)
    columns = Columns()
    graphs = fitted_graphs(space, read_graphs(raw, path, columns, None, space.name), str(path), rows.__getitem__)
    named = columns.arch in raw.columns
    return [str(as_value(name)) for name in raw[columns.arch]] if named else rows, graphs


def _in_folder(folder: Path) -> Path:
    """The one table in a folder."""
    tables = sorted(file for file in folder.iterdir() if file.suffix.lower() in KINDS)
    if len(tables) != 1:
        held = f"{len(tables)} tables ({', '.join(file.name for file in tables[:3])}, ...)" if tables else "no table"
        raise DataError(
            f"{folder}: holds {held}; a folder of ONNX files needs one CSV that names them and their scores"
        )
    return tables[0]


def _roles(space: str) -> dict[str, str]:
    """Operation names by role of a known search space."""
    notation = NOTATIONS[space]
    return {role: notation.ops[op] for role, op in notation.roles.items()}


def _table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table as it stands in the file, and what each row is called in an error."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        frame = read_parquet(path)
        return frame, [f"row {row}" for row in range(len(frame))]
    if kind not in KINDS:
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
