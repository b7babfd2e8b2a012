"""What importers share: describing metrics, checking measured values, naming isomorphism classes."""

from __future__ import annotations

import ast
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

from archrank.datasets.errors import DataError


def metric(description: str, unit: str = "%", direction: str = "max", **more: Any) -> dict[str, Any]:
    """One metric of a card. `more`: for example `repeats=[columns]`."""
    return {"unit": unit, "direction": direction, "description": description, **more}


def number(value: object, where: str) -> float:
    """A measured value as a float; DataError naming `where` if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{where}: {str(value)[:40]!r} is not a number")
    if not math.isfinite(value):
        raise DataError(f"{where}: the value is {value}; a score must be finite")
    return float(value)


def int_tuple(text: object, where: str) -> tuple[int, ...]:
    """The integers of text such as "(1, 2, 3)"; parsed, never evaluated. DataError naming `where` if it is anything else."""
    try:
        value = ast.literal_eval(text) if isinstance(text, str) and len(text) < 10_000 else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = None
    if not isinstance(value, (tuple, list)) or not all(type(item) is int for item in value):
        raise DataError(f"{where}: {str(text)[:60]!r} is not a tuple of integers")
    return tuple(value)


def wl_key(ops: Sequence[Any], edges: Iterable[tuple[int, int]]) -> str:
    """A name of a labelled DAG that isomorphic graphs share: colour refinement along in- and out-edges, until it is stable.

    Different graphs may share it in rare cases, never the other way round; so classes can only come out too large, which is
    the safe side for keeping twins of test architectures out of training.
    """
    count = len(ops)
    into: list[list[int]] = [[] for _ in range(count)]
    out_of: list[list[int]] = [[] for _ in range(count)]
    for u, v in edges:
        into[v].append(u)
        out_of[u].append(v)
    colour = [str(op) for op in ops]
    classes = len(set(colour))
    for _ in range(count):
        colour = [
            _short(f"{colour[v]}<{','.join(sorted(colour[u] for u in into[v]))}>{','.join(sorted(colour[w] for w in out_of[v]))}")
            for v in range(count)
        ]
        if len(set(colour)) == classes:
            break
        classes = len(set(colour))
    return _short("|".join(sorted(colour)))


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def flat(edges: Iterable[tuple[int, int]]) -> list[int]:
    """Edges in the canonical form u0, v0, u1, v1, ..."""
    return [node for edge in edges for node in edge]
