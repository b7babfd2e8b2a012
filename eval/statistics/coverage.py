"""Which trials exist, which are holes, and which cells every listed label shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

__all__ = ["CELL", "TASK", "Coverage", "coverage"]

TASK = ["space", "benchmark", "target", "budget"]
CELL = [*TASK, "seed"]


@dataclass(frozen=True)
class Coverage:
    """What was run, and over what a fair comparison can be taken.

    Attributes:
        labels: the labels compared, sorted.
        cells: one row per (label, space, benchmark, target, budget, seed) of the full grid with ``state``: "done",
            "failed" (the trial failed), "undefined" (done, but the metric is NaN: a constant prediction) or "missing".
        common: the done rows of the cells that every label has, with the metric and, where known, split and test.
        matrix: rows = label, columns = (benchmark, target, budget); number of done seeds.
        expected: number of cells of the grid per label.
        shared: number of cells every label has.
    """

    labels: tuple[str, ...]
    metric: str
    cells: pd.DataFrame
    common: pd.DataFrame
    matrix: pd.DataFrame
    expected: int
    shared: int

    @property
    def holes(self) -> pd.DataFrame:
        """The rows of ``cells`` that are not done."""
        return self.cells[self.cells["state"] != "done"]

    def sentence(self) -> str:
        """One sentence: over how many cells the comparison is taken, and whose holes shrank it."""
        raise NotImplementedError


def coverage(frame: pd.DataFrame, metric: str = "kendall", labels: Sequence[str] | None = None) -> Coverage:
    """Grid of cells, holes and common cells of ``labels`` (default: all in the frame) for ``metric``.

    The grid is every (space, benchmark, target, budget, seed) that at least one label of the frame has a row for.

    Raises:
        ComparisonError: no rows, a missing column, an unknown label, several protocols or recipes, one label twice in
            one cell with different values, or labels that used different splits (or test sizes) for one seed.
    """
    raise NotImplementedError
