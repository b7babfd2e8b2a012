"""Architectures as the authors of a search space write them in a line of text."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from archrank.datasets import nb201_cells
from archrank.datasets.custom.graph import CustomGraph
from archrank.datasets.errors import DataError
from archrank.datasets.importers import nasbench301, natsbench, transnasbench101
from archrank.datasets.io.bounded import shown


@dataclass(frozen=True)
class Notation:
    """How architectures of a search space are written.

    ops, roles: the vocabulary of the space and its op ids by role, as the built-in table has them. example: what a text
    looks like. read: the graph of a text, operations by name; DataError says what is wrong with it.
    """

    ops: tuple[str, ...]
    roles: dict[str, int]
    example: str
    read: Callable[[str], CustomGraph]


def _pairs(flat: list[int]) -> list[tuple[int, int]]:
    return list(zip(flat[::2], flat[1::2]))


def _named(ops: tuple[str, ...], ids: list[int]) -> list[Hashable]:
    return [ops[op] for op in ids]


def _nasbench201(text: str) -> CustomGraph:
    return CustomGraph(["input", *nb201_cells.parse(text), "output"], list(nb201_cells.EDGES))


def _nasbench301(text: str) -> CustomGraph:
    text = re.sub(r"range\(\s*2\s*,\s*6\s*\)", "[2, 3, 4, 5]", text)
    ops, edges, cell = nasbench301.graph(*nasbench301.parse_genotype(text, shown(text)))
    return CustomGraph(_named(nasbench301.OPS, ops), edges, cell)


def _micro(text: str) -> CustomGraph:
    # Official names are 64-41414-1_02_333: the cell stands behind the last dash.
    ops, edges, _ = transnasbench101.graph("micro", _digits(text.rpartition("-")[2].replace("_", "")), shown(text))
    return CustomGraph(_named(transnasbench101.MICRO_OPS, ops), _pairs(edges))


def _macro(text: str) -> CustomGraph:
    # Official names are 64-1234-basic: the modules stand between the dashes.
    parts = text.split("-")
    ops, edges, _ = transnasbench101.graph("macro", _digits(parts[1] if len(parts) == 3 else text), shown(text))
    return CustomGraph(_named(transnasbench101.MACRO_OPS, ops), _pairs(edges))


def _digits(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise DataError(f"{shown(text)} is not a row of digits")
    return tuple(map(int, text))


_SIZE_OPS = ("input", *(f"channels_{count}" for count in natsbench.CHANNELS), "output")


def _size(text: str) -> CustomGraph:
    ops, edges = natsbench.size_graph(text, shown(text))
    return CustomGraph(_named(_SIZE_OPS, ops), _pairs(edges))


NOTATIONS: dict[str, Notation] = {
    "nasbench201": Notation(
        nb201_cells.OPS,
        {"input": 0, "none": 1, "skip": 2, "output": 6},
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|",
        _nasbench201,
    ),
    "nasbench301": Notation(
        nasbench301.OPS,
        nasbench301.ROLES,
        "Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=[2, 3, 4, 5], reduce=[...], reduce_concat=[2, 3, 4, 5])",
        _nasbench301,
    ),
    "transnasbench101_micro": Notation(
        transnasbench101.MICRO_OPS, {"input": 0, "none": 1, "skip": 2, "output": 5}, "64-41414-1_02_333", _micro
    ),
    "transnasbench101_macro": Notation(transnasbench101.MACRO_OPS, {"input": 0, "output": 5}, "64-1234-basic", _macro),
    "natsbench_size": Notation(_SIZE_OPS, {"input": 0, "output": len(_SIZE_OPS) - 1}, "64:64:32:16:8", _size),
}
