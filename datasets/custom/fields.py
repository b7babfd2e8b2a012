"""Fields of a table that describe graphs: operations, edges and cell numbers, as text or lists."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any

from archrank.datasets.custom.graph import op_of, whole
from archrank.datasets.custom.lists import parse_list
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown

_SPLIT = re.compile(r"[\s,;|]+")
_EDGE = re.compile(r"(\d{1,9})\s*(?:->|>|-|:|,)\s*(\d{1,9})")


def read_ops(value: Any, what: str = "ops") -> list[Hashable]:
    """Operations, names or ids, from text such as `input conv3x3 output` or a list. what: the field, for messages."""
    if isinstance(value, str):
        text = value.strip()
        value = _list(text) if text.startswith(("[", "(")) else [part for part in _SPLIT.split(text) if part]
    try:
        parts = list(value)
    except TypeError:
        raise DataError(f"{what} {shown(value)} is no list of operations") from None
    if not parts:
        raise DataError(f"{what} is empty")
    ops: list[Hashable] = []
    for part in parts:
        try:
            ops.append(int(part) if isinstance(part, str) and part.isdecimal() else op_of(part))
        except (TypeError, ValueError, DataError):
            raise DataError(f"{what} holds {shown(part)}, neither a name nor an id") from None
    return ops


def read_edges(value: Any) -> list[tuple[int, int]]:
    """Edges from text such as `0>1 1>2`, a list of pairs, or u0, v0, u1, v1, ...."""
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


def read_cells(value: Any) -> list[int]:
    """Cell numbers, one for each node."""
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
        parsed = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, list) else parse_list(text)
