"""The hierarchical bootstrap: search spaces first, then paired splits and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.eval.statistics.results import Interval, IntervalKind

__all__ = ["Bootstrap", "bootstrap", "values"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bootstrap:
    """Joint uncertainty of one aggregate per label, over the cells every label has.

    Attributes:
        labels: L labels, sorted.
        metric: column name.
        better: "higher" or "lower".
        estimate: [L] the aggregate (mean over budgets, then benchmarks, then spaces).
        draws: [draws, L] joint draws of the aggregate; a row keeps the pairing, so differences and ranks may be taken
            within rows. All NaN for kind "none".
        kind: what the draws vary (see `KINDS`).
        units: number of spaces (kind "spaces") or of paired splits.
        cells: number of common (benchmark, target, budget, seed) cells per label.
        spaces, benchmarks, budgets: what the aggregate is over; a benchmark is written "name/target".
        notes: sentences a reader must see (conditional on one space, one seed, tasks left out, ...).
    """

    labels: tuple[str, ...]
    metric: str
    better: Literal["higher", "lower"]
    estimate: Floats
    draws: Floats
    kind: IntervalKind
    units: int
    cells: int
    spaces: tuple[str, ...]
    benchmarks: tuple[str, ...]
    budgets: tuple[int, ...]
    notes: tuple[str, ...]

    def value(self, label: str) -> Interval:
        """The aggregate of one label with its 95 % interval, cut at the metric's bounds."""
        raise NotImplementedError

    def difference(self, a: str, b: str) -> tuple[Interval, float]:
        """Paired difference a - b with its 95 % interval, and its two-sided p-value (NaN where none is possible)."""
        raise NotImplementedError

    def ranks(self) -> Floats:
        """[draws, L] rank of each label in each draw (1 = best, ties averaged)."""
        raise NotImplementedError

    def export(self, draws: int = 400, decimals: int = 4) -> dict[str, Any]:
        """All a page needs to recompute ranks and tiers for any subset of labels, as plain JSON values.

        Keys: ``labels`` [L], ``better``, ``kind``, ``estimate`` [L], ``draws`` [draws][L] (rounded), ``p`` [L][L]
        two-sided pairwise p-values (null on the diagonal and where none is possible). A subset's tiers: Holm over the
        p-values of the pairs within it, then labels that are not separable share a letter. Its ranks: sort
        ``estimate``; rank interval: 1 + number of labels separably better, to number in the subset - number separably
        worse. (The cells stay those common to *all* exported labels.)
        """
        raise NotImplementedError


def bootstrap(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    scope: Literal["auto", "spaces", "splits"] = "auto",
    budget_weights: Mapping[int, float] | None = None,
    better: Literal["higher", "lower"] | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> Bootstrap:
    """Mean of ``metric`` over the common cells of ``labels``, per label, with joint draws.

    Every space counts the same, within it every (benchmark, target), within that every budget (or ``budget_weights``),
    within that every split.

    Args:
        scope: "spaces" asks about search spaces like these (needs at least two), "splits" about these benchmarks only;
            "auto" takes "spaces" where there are two or more.
        better: only needed for a column that is not in `METRICS`, for example "lower" for ``fit_s``.

    Raises:
        ComparisonError: as `coverage`; no cell in common; a metric in the unit of its target averaged over targets.
    """
    raise NotImplementedError


def values(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    common: bool = False,
    better: Literal["higher", "lower"] | None = None,
) -> pd.DataFrame:
    """One row per (label, space, benchmark, target, budget): mean over seeds with its 95 % interval.

    Columns: ``label space benchmark target budget mean low high sd kind units test``. ``common=False`` uses all seeds
    a label has (for a curve of one encoder); ``True`` only cells that all labels have (for a table of comparisons).
    """
    raise NotImplementedError
