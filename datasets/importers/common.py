"""What importers share: describing metrics, checking measured values."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from typing import Any

from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown


def metric(description: str, unit: str = "%", direction: str = "max", **more: Any) -> dict[str, Any]:
    """One metric of a card. `more`: for example `repeats=[columns]`."""
    return {"unit": unit, "direction": direction, "description": description, **more}


def number(value: object, where: str) -> float:
    """A measured value as a float; DataError naming `where` if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{where}: {shown(value)} is not a number")
    if not abs(value) <= sys.float_info.max:
        raise DataError(f"{where}: the value is {shown(value)}; a score must be finite")
    return float(value)


def int_tuple(text: object, where: str) -> tuple[int, ...]:
    """The integers of text such as "(1, 2, 3)"; parsed, never evaluated. DataError naming `where` if it is anything
    else."""
    try:
        value = ast.literal_eval(text) if isinstance(text, str) and len(text) < 10_000 else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = None
    if not isinstance(value, (tuple, list)) or not all(type(item) is int for item in value):
        raise DataError(f"{where}: {shown(text)} is not a tuple of integers")
    return tuple(value)


def flat(edges: Iterable[tuple[int, int]]) -> list[int]:
    """Edges in the canonical form u0, v0, u1, v1, ..."""
    return [node for edge in edges for node in edge]
