"""One graph of a custom benchmark as it was given, before anything is known of the others; and the problems that graphs
can have."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown

SHOWN = 8
LARGEST_NUMBER = 1 << 31


@dataclass(frozen=True)
class CustomGraph:
    """A graph: op of each node (name or id), edges between positions, cell and attributes of each node; or why it
    cannot be read.

    edge_ops: op of each edge, where operations stand on edges; the nodes then only add up, and `ops` is empty.
    nodes: how many nodes there are, where `ops` is empty. moved: whether operations stood on edges and became nodes.
    """

    ops: list[Hashable] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    cell: list[int] | None = None
    attrs: dict[str, list[float]] = field(default_factory=dict)
    edge_ops: list[Hashable] | None = None
    nodes: int = 0
    moved: bool = False
    problem: str = ""


class Problems:
    """What is wrong, row by row; raised together as one line."""

    def __init__(self, where: str) -> None:
        self.where, self.rows = where, dict[str, list[str]]()

    def add(self, row: str, what: str) -> None:
        """Note a problem of a row."""
        self.rows.setdefault(what, []).append(row)

    def check(self) -> None:
        """DataError with the first problems, if there are any."""
        if self.rows:
            lines = [
                f"{rows[0]}{f' and {len(rows) - 1} more' if len(rows) > 1 else ''}: {what}"
                for what, rows in self.rows.items()
            ]
            more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
            raise DataError(f"{self.where}: " + "; ".join(lines[:SHOWN]) + more)


def as_list(values: Any) -> list[Any]:
    """The items of a list, an array or a tensor as Python values (arrays of several dimensions as lists of lists)."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, (str, bytes)):
        raise TypeError("a text is no list")
    return [as_value(item) for item in values]


def as_value(item: Any) -> Any:
    """A NumPy or torch scalar (a 0-d or one-item array too) as the Python value it is; anything else as it is."""
    if hasattr(item, "detach"):
        item = item.detach().cpu()
    count = item.numel() if hasattr(item, "numel") else getattr(item, "size", None)
    return item.item() if hasattr(item, "item") and count == 1 else item


def whole(value: Any) -> int:
    """An id or a position; DataError if it is no whole number (0.9 is not taken for 0)."""
    value = as_value(value)
    try:
        if abs(value) < LARGEST_NUMBER and int(value) == value:
            return int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise DataError(f"{shown(value)} is no whole number, as positions and ids are")


def op_of(value: Any) -> Hashable:
    """An operation: a name, or an id as a whole number. DataError for anything else."""
    value = as_value(value)
    return str(value) if isinstance(value, str) else whole(value)


def wholes(values: Any) -> list[int]:
    """Whole numbers of a list, array or tensor, whatever its shape."""
    return [whole(value) for value in _flat(as_list(values))]


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


def pairs(edges: Any) -> list[tuple[int, int]]:
    """Edges given as pairs of positions; DataError for anything else."""
    try:
        return [(whole(u), whole(v)) for u, v in as_list(edges)]
    except (TypeError, ValueError):
        raise DataError("a pair must be (ops, edges), edges being pairs of node positions") from None
