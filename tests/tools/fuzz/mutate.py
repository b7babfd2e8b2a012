"""Mutations of bytes, texts, values and tables, each drawn from a generator that is given."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
from typing import Any

import numpy as np
import pyarrow as pa

VALUES: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    7,
    128,
    2**15,
    2**31,
    2**53,
    2**63,
    2**64,
    10**18,
    10**40,
    10**400,
    0.5,
    -0.0,
    1e-320,
    -1e99,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "x",
    "x" * 3000,
    " ",
    "\n",
    "a\nb\rc\x85d\u2028e",
    "\x1b[2J\x07",
    "\x1b]0;owned\x07",
    "\u202eabc",
    "\ud800",
    "\x00",
    "../../../x",
    "/etc/passwd",
    "/dev/zero",
    "<svg onload=alert(1)>",
    "a|b",
    "$\\input{x}$",
    "gcn",
    "kendall",
    "accuracy",
    "min",
    "2026-13-99",
    "1e999",
    "0x7f",
    "[0]",
    "0>1 1>2",
    "0" * 5000,
    [],
    {},
    [None],
    [[[]]],
    [0, 1],
    [1.5, "x"],
    {"a": {"b": [1, "c"]}},
    {"kendall": "0.5"},
    {"": 0},
    {"\x1b[2J\n": "\n"},
]
WORDS = [
    "\n",
    "\r",
    "\t",
    "\x00",
    "\x1b[2J",
    "\x07",
    "\u202e",
    "\u2028",
    "\x85",
    "\ud800",
    "\ufeff",
    "é",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "=",
    "+",
    ",",
    ":",
    "'",
    '"',
    "*",
    "?",
    "&a",
    "*a",
    "!!float x",
    "!!python/object/apply:os.system",
    "<<",
    "~",
    "null",
    "true",
    "nan",
    "inf",
    "-",
    "--",
    "1e999",
    "9" * 30,
    "9" * 400,
    "-1",
    "0.1",
    "1_0",
    "0x1F",
    "2001-99-99",
    "/",
    "../",
    "..",
    "#",
    "%",
    "@",
    ".py:X",
    ":X",
    " ",
    "  ",
    "[" * 50,
    "{a: " * 20,
    "|",
    ";",
    ">",
    "\\",
    "A" * 2000,
]
NUMBERS = [
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\x00" * 8,
    b"\xff" * 8,
    b"\xfe" + b"\xff" * 7,
]


class Runs:
    """What unpickles to a call: the folder it makes tells that it was made."""

    folder = "/nonexistent"

    def __reduce__(self) -> Any:
        return os.mkdir, (self.folder,)


def damage(data: bytes, rng: random.Random) -> bytes:
    """Bits flipped, bytes replaced, removed, inserted, doubled, or the end cut off; more often near the end, where
    footers are."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        if not out:
            break
        at = rng.randrange(len(out)) if rng.random() < 0.7 else max(0, len(out) - 1 - rng.randrange(64))
        size = rng.choice((1, 1, 4, 16, 200))
        match rng.randrange(8):
            case 0 | 1 | 2:
                out[at] ^= 1 << rng.randrange(8)
            case 3:
                number = rng.choice(NUMBERS)
                out[at : at + len(number)] = number
            case 4:
                del out[at : at + size]
            case 5:
                out[at:at] = rng.randbytes(size)
            case 6:
                out[at:at] = out[max(0, at - size) : at] * rng.choice((1, 1, 20))
            case 7:
                del out[at:]
    return bytes(out)


def garble(text: str, rng: random.Random) -> str:
    """Words and signs inserted, spans removed, doubled or moved."""
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at, size = rng.randint(0, len(text)), rng.choice((1, 1, 2, 5, 20))
        match rng.randrange(6):
            case 0 | 1:
                text = text[:at] + rng.choice(WORDS) + text[at:]
            case 2:
                text = text[:at] + text[at + size :]
            case 3:
                text = text[: at + size] + text[at:]
            case 4:
                text = text[:at] + chr(rng.choice((rng.randrange(32, 127), rng.randrange(1, 0x3000)))) + text[at + 1 :]
            case 5:
                other = rng.randint(0, len(text))
                text = text[:at] + text[other : other + size] + text[at:]
    return text


def encoded(text: str) -> bytes:
    """UTF-8, half characters as they stand."""
    return text.encode("utf-8", "surrogatepass")


def changed(value: Any, rng: random.Random) -> Any:
    """A copy of a value of lists and dictionaries in which one to three items, however deep, are replaced, removed,
    renamed, doubled or swapped."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _changed(value, rng, 0.1)
    return value


def _changed(value: Any, rng: random.Random, here: float) -> Any:
    if isinstance(value, dict) and value and rng.random() > here:
        name = rng.choice(list(value))
        match rng.randrange(12):
            case 0:
                del value[name]
            case 1:
                value[rng.choice(("x", "\x1b[2J", "\n", "", "5", "schema"))] = value.pop(name)
            case 2:
                value[rng.choice(list(value))] = value[name]
            case _:
                value[name] = _changed(value[name], rng, 0.35)
        return value
    if isinstance(value, (list, tuple)) and value and rng.random() > here:
        items, at = list(value), rng.randrange(len(value))
        match rng.randrange(12):
            case 0:
                del items[at]
            case 1:
                items.insert(at, copy.deepcopy(items[at]))
            case 2:
                items = items * rng.choice((2, 30))
            case _:
                items[at] = _changed(items[at], rng, 0.35)
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, str) and rng.random() < 0.4:
        return garble(value, rng)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**53 and rng.random() < 0.3:
        return rng.choice((-value, value + 1, value * 10**6, float(value), str(value), [value]))
    return copy.deepcopy(rng.choice(VALUES))


def json_of(value: Any, rng: random.Random) -> bytes:
    """A changed value as JSON, now and then nested absurdly or damaged as bytes."""
    text = json.dumps(changed(value, rng) if rng.random() < 0.85 else value)
    if rng.random() < 0.03:
        place = rng.choice([at for at, sign in enumerate(text) if sign == ":"] or [0])
        deep = 10 ** rng.randint(2, 5)
        text = (
            text[: place + 1]
            + rng.choice(("[" * deep, "[" * deep + "]" * deep, '{"a":' * deep, "9" * deep))
            + text[place + 1 :]
        )
    return damage(encoded(text), rng) if rng.random() < 0.15 else encoded(text)


def pickle_of(value: Any, rng: random.Random) -> bytes:
    """A changed value as a pickle, now and then with something in it that would run, or damaged as bytes."""
    value = changed(value, rng) if rng.random() < 0.7 else value
    if rng.random() < 0.1:
        value = rng.choice((Runs(), [value, Runs()], {"a": Runs(), "b": value}))
    data = pickle.dumps(value, rng.choice((0, 1, 2, 4, 5)))
    return damage(data, rng) if rng.random() < 0.4 else data


def columns_of(table: pa.Table, rng: random.Random) -> pa.Table:
    """A table in which a column has another type, other values, gaps, another name, or is gone or there twice."""
    at = rng.randrange(table.num_columns)
    name, column, rows = table.column_names[at], table.column(at), table.num_rows
    match rng.randrange(10):
        case 0:
            return table.remove_column(at)
        case 1:
            return table.rename_columns(
                [
                    rng.choice(("x", "", "\x1b[2J\n", "index", "accuracy", "ops\u2028")) if place == at else old
                    for place, old in enumerate(table.column_names)
                ]
            )
        case 2:
            return table.append_column(name, column)
        case 3:
            return table.slice(0, rng.choice((0, 1, max(rows - 1, 0))))
        case 4:
            return pa.concat_tables([table, table])
        case 5:
            values = column.to_pylist()
            for _ in range(rng.choice((1, 1, 3))):
                values[rng.randrange(rows)] = rng.choice((None, values[rng.randrange(rows)]))
            return table.set_column(at, name, pa.array(values, column.type))
        case 6 | 7:
            return table.set_column(at, name, _typed(rows, rng))
        case _:
            values = [changed(item, rng) if rng.random() < 0.5 else item for item in column.to_pylist()]
            for kind in (column.type, None, pa.string()):
                try:
                    return table.set_column(
                        at,
                        name,
                        pa.array(
                            values
                            if kind != pa.string()
                            else [str(item).encode("utf-8", "replace").decode() for item in values],
                            kind,
                        ),
                    )
                except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError):
                    continue
            return table


def _typed(rows: int, rng: random.Random) -> pa.Array:
    """An array of a type that a column seldom has."""
    numbers = np.arange(rows)
    made = [
        lambda: pa.nulls(rows),
        lambda: pa.array([f"x{at}\n" for at in range(rows)]),
        lambda: pa.array([b"\xff\xfe"] * rows),
        lambda: pa.array(numbers.astype("datetime64[s]")),
        lambda: pa.array(numbers > 2),
        lambda: pa.array(numbers * 1.5),
        lambda: pa.array([2**64 - 1] * rows, pa.uint64()),
        lambda: pa.array(-numbers),
        lambda: pa.array([{"a": int(at)} for at in numbers]),
        lambda: pa.array([[[int(at)]] for at in numbers]),
        lambda: pa.array([[1.0] * int(at) for at in numbers]),
        lambda: pa.array(["a"] * rows).dictionary_encode(),
        lambda: pa.array([float("nan")] * rows),
        lambda: pa.array(numbers.astype(np.float16)),
        lambda: pa.array([[("a", 1)]] * rows, pa.map_(pa.string(), pa.int64())),
        lambda: pa.array(numbers, pa.duration("s")),
        lambda: pa.array([None, *[0] * (rows - 1)][:rows], pa.int32()),
        lambda: pa.array([10**30] * rows, pa.decimal128(38)),
    ]
    return rng.choice(made)()
