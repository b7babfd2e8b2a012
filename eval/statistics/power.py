"""How many seeds would tell two predictors apart."""

from __future__ import annotations

import math

import numpy as np

from archrank.eval.statistics.bootstrap import Bootstrap
from archrank.eval.statistics.results import ALPHA

__all__ = ["MOST_SEEDS", "POWER", "seeds_needed"]

POWER = 0.8
"""Chance that a difference as large as the one measured is found significant."""
MOST_SEEDS = 200


def seeds_needed(result: Bootstrap, a: str, b: str, family: int = 1, most: int = MOST_SEEDS) -> int | None:
    """Seeds per setting from which on the paired t test would find the measured difference of two labels significant,
    in four of five repetitions (`POWER`).

    The measured spread of the paired differences is taken as the true one, and so is the measured difference: with few
    seeds both are rough, and so is the answer. The sampling error of a test set that all seeds share does not shrink.

    Args:
        result: over splits of the benchmarks shown (kind "splits").
        a: a label.
        b: another label.
        family: number of comparisons made together; the test is at the level ``ALPHA / family``, Holm's first step.
        most: where even so many do not suffice, the answer is None.

    Returns:
        The number of seeds, or None: more than ``most``, no difference at all, or no spread that was measured.
    """
    from scipy.stats import nct, t

    if result.kind != "splits":
        return None
    weights = np.array([(label == a) - (label == b) for label in result.labels], dtype=float)
    estimate, variance, freedom = result.joint.spread(weights)
    shrinks = np.isfinite(freedom)
    if not abs(estimate) > 0 or not variance[shrinks].sum() > 0:
        return None

    def power(seeds: int) -> float:
        now = np.where(shrinks, variance * (freedom + 1) / seeds, variance)
        total, df = now.sum(), np.where(shrinks, seeds - 1.0, np.inf)
        welch = total**2 / max(float(np.sum(now**2 / df)), 1e-300)
        critical = t.ppf(1 - ALPHA / family / 2, welch)
        return float(nct.sf(critical, welch, abs(estimate) / math.sqrt(total)))

    return next((seeds for seeds in range(2, most + 1) if power(seeds) >= POWER), None)
