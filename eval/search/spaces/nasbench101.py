"""The cells of NAS-Bench-101."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers.nasbench101 import prune
from archrank.datasets.nb101_cells import INPUT, INTERIOR, MAX_VERTICES, OPS, OUTPUT, NB101Cell
from archrank.eval.search.spaces.darts import card


class NasBench101:
    """Cells of at most 7 vertices and 9 edges (`archrank.datasets.nb101_cells.Cell`, pruned)."""

    title = "nasbench101_cells"

    def sample(self, rng: np.random.Generator) -> NB101Cell:
        """Every edge a coin flip, every operation one of three, until it is a cell.

        So naszilla samples; it is not uniform over cells.
        """
        while True:
            matrix = np.triu(rng.integers(2, size=(MAX_VERTICES, MAX_VERTICES)), 1)
            ops = (INPUT, *(int(rng.choice(INTERIOR)) for _ in range(MAX_VERTICES - 2)), OUTPUT)
            if (cell := _pruned(matrix, ops)) is not None:
                return cell

    def neighbours(self, architecture: NB101Cell) -> list[NB101Cell]:
        """Cells one edit away, each once: an operation replaced; an edge added or removed; a vertex with one edge in
        and one out added or removed. An edit that leaves a vertex on no path, or no cell, is none.

        So the relation is symmetric, and every cell can be reached. Departure: naszilla has no edit for a vertex, and
        lets a removed edge drop vertices, which no edit brings back.
        """
        ops, matrix, count = architecture.ops, architecture.matrix, len(architecture.ops)
        near = []
        for v in range(1, count - 1):
            near += [_whole(matrix, (*ops[:v], op, *ops[v + 1 :])) for op in INTERIOR if op != ops[v]]
            if matrix[v].sum() == matrix[:, v].sum() == 1:
                others = [u for u in range(count) if u != v]
                near.append(_whole(matrix[np.ix_(others, others)], [ops[u] for u in others]))
        for u, v in itertools.combinations(range(count), 2):
            changed = matrix.copy()
            changed[u, v] ^= 1
            near.append(_whole(changed, ops))
            if count < MAX_VERTICES:
                larger = np.insert(np.insert(matrix, u + 1, 0, 0), u + 1, 0, 1)
                larger[u, u + 1] = larger[u + 1, v + 1] = 1
                near += [_whole(larger, (*ops[: u + 1], op, *ops[u + 1 :])) for op in INTERIOR]
        unique = {other.hash: other for other in near if other is not None}
        unique.pop(architecture.hash, None)
        return [*unique.values()]

    def name(self, architecture: NB101Cell) -> str:
        """The official module hash."""
        return architecture.hash

    def benchmark(self, architectures: Sequence[NB101Cell]) -> Benchmark:
        """A table without scores."""
        names = [cell.hash for cell in architectures]
        frame = pd.DataFrame(
            {
                "arch": names,
                "ops": [list(cell.ops) for cell in architectures],
                "edges": [cell.flat_edges for cell in architectures],
                "key": names,
                "nodes": [float(len(cell.ops)) for cell in architectures],
            }
        )
        roles = {"input": INPUT, "output": OUTPUT}
        space = {"name": "nasbench101", "ops": list(OPS), "max_nodes": MAX_VERTICES, "cells": 1, "roles": roles}
        return build(frame, card(self.title, "NAS-Bench-101 cells, generated", space))


def _whole(matrix: NDArray[np.integer[Any]], ops: Sequence[int]) -> NB101Cell | None:
    """The cell of that matrix, where no vertex of it is on no path."""
    cell = _pruned(matrix, ops)
    return cell if cell is not None and len(cell.ops) == len(ops) else None


def _pruned(matrix: NDArray[np.integer[Any]], ops: Sequence[int]) -> NB101Cell | None:
    """The cell that is left without vertices on no path; None where that is none."""
    try:
        return prune("".join(str(int(bit)) for bit in matrix.ravel()), ops, "a mutation")
    except DataError:
        return None
