"""Friedman's test and the critical difference over search spaces, from six independent spaces on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

__all__ = ["MIN_SPACES", "Friedman", "friedman"]

MIN_SPACES = 6


@dataclass(frozen=True)
class Friedman:
    """Friedman's test with a block per search space, or the reason why there is none.

    Attributes:
        possible: False when there is no test; then all but ``labels``, ``spaces`` and ``reason`` are empty.
        reason: one sentence.
        spaces: the blocks.
        ranks: label -> mean rank over spaces (1 = best), best first.
        statistic, p: Friedman's chi-square and its p-value; ``p_f`` of Iman and Davenport's F, better for few blocks.
        critical_difference: of mean ranks, Nemenyi, 5 %.
        nemenyi, holm: [L, L] frames of p-values (Nemenyi; Conover's post-hoc test with Holm's adjustment).
        groups: maximal runs of labels that Nemenyi does not separate: the bars of the diagram.
    """

    possible: bool
    reason: str
    labels: tuple[str, ...]
    spaces: tuple[str, ...]
    ranks: dict[str, float]
    statistic: float
    p: float
    p_f: float
    critical_difference: float
    nemenyi: pd.DataFrame | None
    holm: pd.DataFrame | None
    groups: tuple[tuple[str, ...], ...]


def friedman(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    better: Literal["higher", "lower"] | None = None,
) -> Friedman:
    """Friedman's test over the spaces' means on the common cells; see `Friedman` for fewer than six spaces."""
    raise NotImplementedError
