"""The DARTS space of NAS-Bench-301."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from archrank.datasets import Benchmark
from archrank.datasets.benchmark import build
from archrank.datasets.importers.common import flat, metric
from archrank.datasets.importers.nasbench301 import CELL_OPS, OPS, ROLES, Cell, graph, keys, name_of

Architecture = tuple[Cell, Cell]
CHOICES = CELL_OPS.index("none")  # the operations before it; a searched cell has no `none`


class Darts:
    """Two cells of four nodes; each node reads two different earlier ones, each through one of seven operations.

    An architecture is a pair of cells, a cell eight pairs (node read, operation), as in the importer of NAS-Bench-301.
    The two inputs of a node may come in any order; here the earlier node comes first.
    """

    title = "darts"

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Uniform over inputs and operations."""
        return self._cell(rng), self._cell(rng)

    def _cell(self, rng: np.random.Generator) -> Cell:
        pairs: list[tuple[int, int]] = []
        for node in range(4):
            read = np.sort(rng.choice(node + 2, 2, replace=False))
            pairs += [(int(source), int(rng.integers(CHOICES))) for source in read]
        return tuple(pairs)

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """The 120 that differ in one operation (16 x 6) or in what one of a node's two inputs is (2 x 12)."""
        normal, reduction = architecture
        return [(cell, reduction) for cell in _changed(normal)] + [(normal, cell) for cell in _changed(reduction)]

    def name(self, architecture: Architecture) -> str:
        """As the importer spells it."""
        return name_of(*architecture)

    def benchmark(self, architectures: Sequence[Architecture]) -> Benchmark:
        """A table without scores, graphs and keys as of NAS-Bench-301."""
        graphs = [graph(*cells) for cells in architectures]
        frame = pd.DataFrame(
            {
                "arch": [self.name(cells) for cells in architectures],
                "ops": [ops for ops, _, _ in graphs],
                "edges": [flat(edges) for _, edges, _ in graphs],
                "key": keys(graphs),
                "cell": [cell for _, _, cell in graphs],
                "nodes": [float(len(ops)) for ops, _, _ in graphs],
            }
        )
        space = {"name": "nasbench301", "ops": list(OPS), "max_nodes": 30, "cells": 2, "roles": ROLES}
        return build(frame, card(self.title, "DARTS space, generated", space))


def _changed(cell: Cell) -> Iterator[Cell]:
    for place, (source, op) in enumerate(cell):
        node, partner = place // 2, cell[place ^ 1][0]
        sources = [other for other in range(node + 2) if other not in (source, partner)]
        for pair in [(source, o) for o in range(CHOICES) if o != op] + [(other, op) for other in sources]:
            pairs = [*cell]
            pairs[place] = pair
            pairs[2 * node : 2 * node + 2] = sorted(pairs[2 * node : 2 * node + 2])
            yield tuple(pairs)


def card(name: str, title: str, space: dict[str, object]) -> dict[str, object]:
    """The card of a table of generated architectures."""
    return {
        "name": name,
        "title": title,
        "space": space,
        "metrics": {"nodes": metric("number of nodes; nothing was measured", "", "min")},
        "default_target": "nodes",
        "source": "generated",
        "licence": "",
        "citation": "",
        "facts": {},
    }
