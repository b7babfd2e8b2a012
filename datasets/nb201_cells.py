"""NAS-Bench-201 cells: six edges with one of five operations, as text, as a graph, and by what they compute."""

from __future__ import annotations

import re

from archrank.datasets.errors import DataError

OPS = ("input", "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "output")
# Edges of the op-on-node graph for op nodes in string order; node 0 is the input, node 7 the output.
EDGES = ((0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7))
# (from, to) of each op in the cell, in string order: block j of the string lists the incoming edges of cell node j.
STRING_ORDER = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

# Classes of cells that compute the same function (see `canonical`).
CLASSES = 4930


def parse(arch: str) -> list[str]:
    """The six operation names of an architecture string, in string order; DataError if it is not one."""
    inputs = [(op, int(source)) for op, source in re.findall(r"([a-z0-9_]+)~(\d)", arch)]
    expected = "+".join("|" + "|".join(f"{op}~{s}" for op, s in inputs[a:b]) + "|" for a, b in ((0, 1), (1, 3), (3, 6)))
    if len(inputs) != 6 or expected != arch or [s for _, s in inputs] != [s for s, _ in STRING_ORDER]:
        raise DataError(f"'{arch}' is not a NAS-Bench-201 string such as |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
    for op, _ in inputs:
        if op not in OPS[1:-1]:
            raise DataError(f"'{arch}': unknown operation '{op}'; known: {', '.join(OPS[1:-1])}")
    return [op for op, _ in inputs]


def canonical(ops: list[str], strided: tuple[int, ...] = ()) -> str:
    """A name shared by cells that compute the same function because of `none` and `skip_connect`.

    Cell nodes are sums: each is the sorted list of what flows into it. A skip is replaced by what it copies, unless it
    comes from a `strided` cell node, where it halves the resolution; `none`, and what hangs on nothing else, adds
    nothing and is dropped. A branch used twice and two equal branches count as one class. (The benchmark's authors
    count 6,466 classes: they keep a sign for every `none`, and compare nested sums as they are spelled. Each of their
    classes lies within one of ours.)
    """
    value: list[list[str]] = [["x"], [], [], []]
    for target in (1, 2, 3):
        for op, (source, into) in zip(ops, STRING_ORDER, strict=True):
            if into == target and op != "none" and value[source]:
                copies = op == "skip_connect" and source not in strided
                value[target] += value[source] if copies else [f"{op}({'+'.join(value[source])})"]
        value[target].sort()
    return "+".join(value[3])
