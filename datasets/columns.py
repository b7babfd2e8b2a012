"""Columns of a benchmark's table as arrays, each checked: what is wrong is one DataError that names the row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown

# Bytes of the padded adjacency of a whole table.
ADJACENCY_LIMIT = 4 << 30


def _whole(column: pd.Series, where: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Length of each row's list, and all their whole numbers one after the other."""
    lists = [_array(row) for row in column]
    wrong = next(
        (row for row, row_values in enumerate(lists) if row_values.ndim != 1 or row_values.dtype.kind not in "iuf"),
        None,
    )
    if wrong is None:
        lengths, values = np.array([len(row_values) for row_values in lists]), np.concatenate(lists)
        broken = np.flatnonzero(~(np.abs(values) < 1 << 31) | (values != np.trunc(values)))
        if not len(broken):
            return lengths, values.astype(np.int64)
        wrong = int(np.searchsorted(np.cumsum(lengths), broken[0], side="right"))
    raise DataError(f"{where}: row {wrong}: {column.name} {shown(column.iloc[wrong])} is no list of whole numbers")


def _array(row: Any) -> NDArray[Any]:
    try:
        return np.asarray(row)
    except (TypeError, ValueError):  # lists of several lengths
        return np.zeros((), object)


def check_padded(count: int, nodes: int, where: str, most: int = ADJACENCY_LIMIT) -> None:
    """DataError where the padded adjacency of `count` graphs of up to `nodes` nodes takes more than `most` bytes."""
    if count * nodes**2 > most:
        raise DataError(
            f"{where}: {count:,} graphs of up to {nodes:,} nodes take {count * nodes**2:,} bytes; at most {most:,} are held"
        )


def ragged(column: pd.Series, where: str, width: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Lists of whole numbers padded to `width`: values [N, width] and where they are real [N, width]."""
    lengths, flat = _whole(column, where)
    if lengths.min() < 1 or lengths.max() > width:
        row = int(np.flatnonzero((lengths < 1) | (lengths > width))[0])
        raise DataError(f"{where}: row {row} has {lengths[row]} nodes; the space allows 1 to {width}")
    check_padded(len(lengths), width, where)
    mask = np.arange(width) < lengths[:, None]
    values = np.zeros(mask.shape, np.int64)
    values[mask] = flat
    return values, mask


def adjacency(edges: pd.Series, mask: NDArray[np.bool_], where: str) -> NDArray[np.bool_]:
    """The flat edge lists u0, v0, u1, v1, ... as bool [N, V, V]; every edge goes forward between real nodes (`mask` [N,
    V])."""
    adj = np.zeros((*mask.shape, mask.shape[1]), bool)
    lengths, flat = _whole(edges, where)
    if (lengths % 2).any():
        row = int(np.flatnonzero(lengths % 2)[0])
        raise DataError(
            f"{where}: row {row}: edges must be a flat list u0, v0, u1, v1, ...; it has {lengths[row]} entries"
        )
    pairs = flat.reshape(-1, 2)
    owner = np.repeat(np.arange(len(mask)), lengths // 2)
    nodes = mask.sum(1)[owner]
    wrong = (pairs[:, 0] < 0) | (pairs[:, 0] >= pairs[:, 1]) | (pairs[:, 1] >= nodes)
    if wrong.any():
        bad = int(np.flatnonzero(wrong)[0])
        u, v = pairs[bad]
        raise DataError(
            f"{where}: row {owner[bad]}: edge {u} -> {v} does not go forward within its {nodes[bad]} nodes; "
            "number the nodes in topological order (a cycle has none)"
        )
    adj[owner, pairs[:, 0], pairs[:, 1]] = True
    return adj


def check_ids(ids: NDArray[np.int64], mask: NDArray[np.bool_], what: str, count: int, where: str) -> None:
    """Whether the ids of real nodes lie in 0 .. count - 1; `what` is what they are called."""
    wrong = mask & ((ids < 0) | (ids >= count))
    if wrong.any():
        row, node = (int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            f"{where}: row {row}, node {node}: {what} {ids[row, node]} is unknown; the space has {count} {what}{'s' * (count > 1)}"
        )


def check_scores(scores: pd.DataFrame, arch: NDArray[np.object_], where: str, runs: set[str]) -> None:
    """Whether every column holds numbers or NaN, and (single `runs` apart) any number at all."""
    for name in scores.columns:
        try:
            values = scores[name].to_numpy(np.float64)
        except (TypeError, ValueError, OverflowError):
            row = next(
                (row for row, value in enumerate(scores[name]) if not isinstance(value, (int, float, np.number))), 0
            )
            raise DataError(
                f"{where}: row {row} ({arch[row]}): '{name}' is {shown(scores[name].iloc[row])}, not a number; "
                "store numbers, and NaN where it was not measured"
            ) from None
        if np.isinf(values).any():
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise DataError(
                f"{where}: row {row} ({arch[row]}): '{name}' is infinite; leave it empty if it was not measured"
            )
        if name not in runs and np.isnan(values).all():
            raise DataError(f"{where}: metric '{name}' has no value at all")


def cells(column: pd.Series, mask: NDArray[np.bool_], count: int, where: str) -> NDArray[np.int8]:
    """Cell numbers [N, V] below `count`, one for each real node."""
    numbers, filled = ragged(column, where, mask.shape[1])
    if len(uneven := np.flatnonzero((filled != mask).any(1))):
        raise DataError(
            f"{where}: row {uneven[0]}: {filled[uneven[0]].sum()} cell numbers for {mask[uneven[0]].sum()} nodes"
        )
    check_ids(numbers, mask, "cell", count, where)
    return numbers.astype(np.int8)


def attributes(column: pd.Series, mask: NDArray[np.bool_], width: int, where: str) -> NDArray[np.float32]:
    """Node attributes [N, V, width] from one flat list of nodes x width numbers per row."""
    attrs = np.zeros((*mask.shape, width), np.float32)
    for row, (values, nodes) in enumerate(zip(column, mask.sum(1))):
        try:
            flat = np.asarray(values, np.float32).reshape(-1)
        except (TypeError, ValueError, OverflowError):
            flat = np.zeros(0, np.float32)
        if flat.shape != (nodes * width,) or not np.isfinite(flat).all():
            raise DataError(
                f"{where}: row {row}: attrs {shown(values)} are not {width} finite numbers for each of its {nodes} nodes"
            )
        attrs[row, :nodes] = flat.reshape(-1, width)
    return attrs
