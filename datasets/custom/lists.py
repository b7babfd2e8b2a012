"""Lists as people and programs write them in a field of a table: JSON, Python, and what NumPy prints; parsed, never
evaluated."""

from __future__ import annotations

import re
from typing import Any

from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown

DEEPEST = 4
_TOKEN = re.compile(
    r"""\s*(?:(?P<open>[\[(])|(?P<close>[\])])|(?P<comma>,)|"(?P<double>[^"\\]*)"|'(?P<single>[^'\\]*)'
                    |(?P<number>[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?=[\s,\])]|$))""",
    re.VERBOSE,
)
# What NumPy 2 writes around its scalars in a Python list: np.int64(3).
_SCALAR = re.compile(r"\bnp\.\w+\(([^()]*)\)")
_CLOSING = {"[": "]", "(": ")"}


def parse_list(text: str) -> list[Any]:
    """The list in `text`: of texts in quotes, numbers, and lists or tuples of these, with commas or spaces between
    them.

    DataError if it is anything else, such as a list that NumPy cut short with `...`.
    """
    text = _SCALAR.sub(r"\1", text.strip())
    stack: list[tuple[str, list[Any]]] = [("", [])]
    at, comma = 0, True  # whether a comma would be one too many
    while at < len(text):
        token = _TOKEN.match(text, at)
        kind = token.lastgroup if token else None
        if token is None or (comma and kind == "comma") or (len(stack) == 1 and (kind != "open" or stack[0][1])):
            raise _refused(text)
        at, value = token.end(), token[str(kind)]
        if kind == "open":
            stack.append((value, []))
            if len(stack) > DEEPEST:
                raise _refused(text)
        elif kind == "close":
            opened, items = stack.pop()
            if _CLOSING.get(opened) != value:
                raise _refused(text)
            stack[-1][1].append(items)
        elif kind in ("double", "single"):
            stack[-1][1].append(value)
        elif kind == "number":
            stack[-1][1].append(_number(value, text))
        comma = kind in ("open", "comma")
        while text[at : at + 1].isspace():
            at += 1
    if len(stack) != 1 or len(stack[0][1]) != 1:
        raise _refused(text)
    parsed = stack[0][1][0]
    return list(parsed)


def _number(digits: str, text: str) -> int | float:
    try:
        return int(digits) if re.fullmatch(r"[+-]?\d+", digits) else float(digits)
    except ValueError:  # thousands of digits
        raise _refused(text) from None


def _refused(text: str) -> DataError:
    return DataError(f'{shown(text)} is no list such as ["a", "b"] or [[0, 1], [1, 2]]')
