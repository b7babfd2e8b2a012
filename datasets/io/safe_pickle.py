"""Reading pickled tables of numbers without running anything that a pickle asks for.

Official benchmark files are pickles, and a pickle is a program: it may name any function of any module and call it.
This reader knows dictionaries (by text, numbers and flat tuples of these), lists, tuples, sets, strings, bytes,
numbers, and NumPy scalars and arrays of numbers or text. NumPy's own constructors are never called with what a file
says; their few pickled forms are rebuilt here from checked parts. Everything else is refused by name before it is
looked up.

A part that a file made once may stand in it again for two bytes, so that a few hundred bytes can describe a tree of
2^40. Such a tree is refused: as a key while it is read, because hashing walks it, and otherwise when it is complete.
Constructors make no more than there was to read.

The pure-Python unpickler is used on purpose: its memo is a dictionary, so a file of twenty bytes cannot make it reserve
gigabytes, as the C one's memo array can.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import read_bytes, shown

PICKLE_LIMIT = 512 << 20
KEY_PARTS = 8
EMPTY_LIMIT = 1 << 12  # rows of nothing that an empty array may have
CHECKED_KEYS = 64  # a dictionary or set with more keys than this is looked at for keys made to collide
COLLISIONS = 16
RECENT = 4  # so many of those are remembered
PARTS = 1 << 20
_PLAIN_DTYPE = re.compile(r"[<>=|]?[biufSU]\d{1,4}|\?|[<>=|]?b1|bool")


class Refused(Exception):
    """What a file asked for that a table of numbers has no use for."""


_PLAIN = {str, bytes, int, float, bool, type(None)}


def _check_keys(keys: Iterable[Any]) -> None:
    for key in keys:
        parts = key if type(key) is tuple and len(key) <= KEY_PARTS else (key,)
        if not _PLAIN.issuperset(map(type, parts)):
            raise Refused(f"a key that is no text, no number and no short tuple of these but a {type(key).__name__}")


def _check_many(keys: list[Any]) -> None:
    """As `_check_keys`, of all keys that a constructor is given at once; they must not be made to collide either."""
    _check_keys(keys)
    if len(keys) > CHECKED_KEYS and len({hash(key) for key in keys}) < len(keys) - COLLISIONS:
        raise Refused("keys that collide")


class _Dtype:
    """A NumPy dtype that is only remembered: kind, width and byte order."""

    def __init__(self, *args: Any) -> None:
        spec = args[0] if args else None
        if not isinstance(spec, str) or not _PLAIN_DTYPE.fullmatch(spec):
            raise Refused(f"an array of {shown(spec)}")
        self.spec = spec

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, subarray, names, fields, item size, alignment, flags): only byte order and item size
        # matter here.
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise Refused("an array with fields")
        if state[1] in ("<", ">"):
            self.spec = state[1] + self.spec.lstrip("<>=|")

    def build(self) -> np.dtype[Any]:
        return np.dtype(self.spec)


class Array:
    """A NumPy array, filled by its pickled state; `numpy.asarray` gives the values."""

    def __init__(self, *_: Any) -> None:
        self.values: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Dtype):
            raise Refused("an array in an unknown form")
        _, shape, dtype, fortran, raw = state
        data = raw.encode("latin-1") if isinstance(raw, str) else raw
        if not isinstance(data, bytes) or not isinstance(shape, tuple):
            raise Refused("an array of objects")
        flat = np.frombuffer(data, dtype.build())
        if not flat.size and math.prod(side for side in shape if type(side) is int and side > 0) > EMPTY_LIMIT:
            raise Refused(f"an empty array of shape {shown(shape)}")
        self.values = flat.reshape(shape, order="F" if fortran else "C").copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.values if dtype is None else self.values.astype(dtype)

    def __len__(self) -> int:
        return len(self.values)


def _scalar(dtype: Any, data: Any = b"") -> Any:
    raw = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
        raise Refused("a NumPy scalar in an unknown form")
    return np.frombuffer(raw, dtype.build(), count=1)[0].item()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    """The array form of protocol 5."""
    array = Array()
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused("an unusual text encoding")
    return text.encode("latin-1")


def _empty() -> bytes:
    """What old protocols write for empty bytes: a call of `bytes` without arguments."""
    return b""


class _Callable:
    """A permitted constructor; a file may call it, and do nothing else with it."""

    __slots__ = ("make",)

    def __init__(self, make: Any) -> None:
        self.make = make


class _Nothing:
    """Stands for `numpy.ndarray`, which files name as an argument only."""

    __slots__ = ()


def _ordered(*pairs: Any) -> OrderedDict[Any, Any]:
    if len(pairs) > 1 or (pairs and not isinstance(pairs[0], (list, dict))):
        raise Refused("an ordered dictionary in an unknown form")
    if pairs and isinstance(pairs[0], list):
        _check_many([key for key, _ in pairs[0]])
    return OrderedDict(pairs[0]) if pairs else OrderedDict()


def _set(*parts: Any) -> set[Any]:
    """What old protocols write for a set: a call with the list of its members."""
    if len(parts) > 1 or (parts and not isinstance(parts[0], (list, tuple))):
        raise Refused("a set in an unknown form")
    for members in parts:
        _check_many(list(members))
    return set(*parts)


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): None,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _ordered,
    ("__builtin__", "set"): _set,
    ("builtins", "set"): _set,
    ("__builtin__", "bytes"): _empty,
    ("builtins", "bytes"): _empty,
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}

_OPCODES = (
    "PROTO STOP FRAME MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT "
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BINSTRING SHORT_BINSTRING EMPTY_TUPLE TUPLE "
    "TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS EMPTY_SET ADDITEMS FROZENSET PUT BINPUT "
    "LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD"
).split()

_Pure: Any = pickle._Unpickler


@dataclass
class _Large:
    """A large dictionary or set that is being filled: the hashes of its keys, and how often two keys had one."""

    group: Any
    hashes: set[int]
    collisions: int = 0


class Reader(_Pure):  # type: ignore[misc]
    """An unpickler of the few instructions that tables of numbers need."""

    dispatch = {code: _Pure.dispatch[code] for code in (getattr(pickle, name)[0] for name in _OPCODES)}

    def __init__(self, stream: Any) -> None:
        super().__init__(stream, encoding="latin-1")
        self.position, self.made = stream.tell, 0
        self.large: list[_Large] = []

    def find_class(self, module: str, name: str) -> Any:
        """The permitted constructor of that name; nothing is imported."""
        if (module, name) not in ALLOWED:
            raise Refused(f"'{module}.{name}'")
        make = ALLOWED[module, name]
        return _Nothing() if make is None else _Callable(make)

    def load_bytearray8(self) -> None:
        """Bytes of a length that the file announces."""
        # The library's own would reserve what the file announces before looking whether it is there.
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(bytes(self.read(min(size, sys.maxsize))))

    def load_reduce(self) -> None:
        """A call, of a permitted constructor alone."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not isinstance(function, _Callable) or not isinstance(arguments, tuple):
            raise Refused("a call of something that is no constructor")
        self.stack[-1] = function.make(*arguments)
        self._count(self.stack[-1])

    def load_build(self) -> None:
        """A state, for the array forms alone."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (_Dtype, Array)):
            raise Refused("a changed attribute")
        self.stack[-1].__setstate__(state)
        self._count(self.stack[-1])

    def _count(self, made: Any) -> None:
        """What constructors copied of what was read cannot be more than that, unless they were told to copy a part
        again and again."""
        self.made += (
            made.values.nbytes
            if isinstance(made, Array)
            else len(made)
            if isinstance(made, (bytes, str, dict, set))
            else 0
        )
        if self.made > self.position():
            raise Refused("more than it holds")

    def load_setitem(self) -> None:
        """One entry of a dictionary."""
        self._check_new(self.stack[-3], self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        """Entries of a dictionary."""
        self._check_new(self.metastack[-1][-1], self.stack[::2])
        super().load_setitems()

    def load_dict(self) -> None:
        """A dictionary as old protocols write it."""
        self._check_new({}, self.stack[::2])
        super().load_dict()

    def load_additems(self) -> None:
        """Members of a set."""
        self._check_new(self.metastack[-1][-1], self.stack)
        super().load_additems()

    def load_frozenset(self) -> None:
        """A frozen set."""
        self._check_new(frozenset(), self.stack)
        super().load_frozenset()

    def _check_new(self, group: Any, keys: list[Any]) -> None:
        """Refuses what cannot be a key of a table, and large groups of keys made to collide, for each of which all
        others are looked at.

        The hash of text differs from process to process, so that only numbers and tuples can be made to collide.
        """
        _check_keys(keys)
        if (
            not isinstance(group, (dict, set, frozenset))
            or len(group) + len(keys) <= CHECKED_KEYS
            or all(type(key) is str for key in keys)
        ):
            return
        large = next((large for large in self.large if large.group is group), None)
        if large is None:
            self.made += len(group)  # which are looked at again
            if self.made > self.position():
                raise Refused("more than it holds")
            large = _Large(group, set(map(hash, group)))
        self.large = [large, *(other for other in self.large if other is not large)][:RECENT]
        for key in keys:
            number = hash(key)
            if number in large.hashes and key not in group:
                large.collisions += 1
                if large.collisions > COLLISIONS:
                    raise Refused("keys that collide")
            large.hashes.add(number)

    dispatch |= {
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.REDUCE[0]: load_reduce,
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.ADDITEMS[0]: load_additems,
        pickle.FROZENSET[0]: load_frozenset,
    }


def read_one(reader: Reader, where: str) -> Any:
    """The next pickle of a reader; DataError naming `where` if it is cut off, damaged, or asks for anything that is not
    on the allow-list."""
    try:
        return reader.load()
    except Refused as refused:
        raise DataError(
            f"{where}: the pickle asks for {refused}, which a table of numbers has no use for; refused, nothing was run"
        ) from None
    except KeyError as error:
        raise DataError(
            f"{where}: the pickle uses instruction {error}, which a table of numbers has no use for; refused"
        ) from None
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise DataError(
            f"{where}: not a complete pickle ({type(error).__name__}: {str(error)[:80]}); fetch it again"
        ) from None


def loads(data: bytes, where: str, count: int = 1) -> list[Any]:
    """The first `count` pickles that follow each other in `data`; nothing in them is run.

    Arrays come as objects that `numpy.asarray` turns into arrays. DataError naming `where` as `read_one`.
    """
    stream = io.BytesIO(data)
    objects = [read_one(Reader(stream), where) for _ in range(count)]
    check_parts(objects, where, max(PARTS, 4 * len(data)))
    return objects


def check_parts(value: Any, where: str, most: int = PARTS) -> None:
    """DataError naming `where` if a value has more parts than `most`, one that stands in several places counted in
    each."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (dict, list, tuple, set, frozenset)):
            most -= len(part)
            if most < 0:
                raise DataError(
                    f"{where}: the pickle repeats its own parts until they are far more than the file; refused"
                )
            waiting += part.values() if isinstance(part, dict) else part


def load(path: Path, limit: int = PICKLE_LIMIT) -> Any:
    """The object pickled in a file of at most `limit` bytes, as `loads`."""
    return loads(read_bytes(path, limit), str(path))[0]
