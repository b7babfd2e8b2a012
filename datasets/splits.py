"""Splits: which architectures a predictor may learn from and which it is tested on, drawn by a named protocol.

Budgets are nested: the architectures of a smaller budget are the first ones of a larger budget's, in the seed's training order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.benchmark import Benchmark
from archrank.datasets.errors import ArchrankError, unknown

Indices = NDArray[np.int64]
LARGEST_TEST = 5000


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint row numbers of a benchmark: `pool` in training order (budgets are its prefixes), `validation`, `test`."""

    pool: Indices
    validation: Indices
    test: Indices

    def train(self, budget: int) -> Indices:
        """The first `budget` architectures of the training order; ArchrankError if there are not so many."""
        if not 1 <= budget <= len(self.pool):
            raise ArchrankError(f"budget {budget}: this protocol leaves 1 to {len(self.pool)} architectures for training here")
        return self.pool[:budget]

    @cached_property
    def digest(self) -> str:
        """sha256 of the three index arrays: equal digests mean the same split. It names pool and order, not the budget."""
        parts = (np.ascontiguousarray(part, np.int64).tobytes() for part in (self.pool, self.validation, self.test))
        return hashlib.sha256(b"|".join(parts)).hexdigest()


@dataclass(frozen=True)
class Protocol:
    """A named way to draw splits. `leaks` says in one sentence what a protocol lets through, or is empty."""

    name: str
    summary: str
    draw: Callable[[Benchmark, NDArray[np.bool_], int], Split]
    leaks: str = ""


def make_split(benchmark: Benchmark, protocol: str, seed: int, target: str | None = None) -> Split:
    """The split of (benchmark, protocol, seed), over the architectures that have a score for the target.

    The same arguments give the same split on every machine (NumPy's PCG64, or the legacy generator where a published protocol used it).
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS)
    scored = ~np.isnan(benchmark.target(target))
    split = PROTOCOLS[protocol].draw(benchmark, scored, seed)
    if len(split.test) < 2:
        raise ArchrankError(f"protocol '{protocol}' leaves {len(split.test)} test architectures of benchmark '{benchmark.name}'")
    return split


def _clean(benchmark: Benchmark, scored: NDArray[np.bool_], seed: int) -> Split:
    """Whole isomorphism classes go to the test set until it has half of the architectures, or 5,000; the rest is the pool."""
    rng = np.random.default_rng(np.random.SeedSequence([20260101, seed]))
    rows = np.flatnonzero(scored)
    _, number = np.unique(benchmark.key[rows].astype(str), return_inverse=True)
    order = rng.permutation(number.max() + 1)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    wanted = min(LARGEST_TEST, len(rows) // 2)
    members = np.bincount(number)[order].cumsum()
    in_test = place[number] < np.searchsorted(members, wanted, side="right")
    test, pool = rng.permutation(rows[in_test]), rng.permutation(rows[~in_test])
    return Split(pool, np.empty(0, np.int64), test)


def _gates(benchmark: Benchmark, scored: NDArray[np.bool_], seed: int) -> Split:
    """As in the released FlowerFormer code: the first half is the pool, the next 40 validation, the rest the test set."""
    rows = np.flatnonzero(scored)
    order = rows[np.random.RandomState(seed).permutation(len(rows))]
    half = len(rows) // 2 + len(rows) % 2
    return Split(order[:half], order[half : half + 40], order[half + 40 :])


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "clean",
            "up to 5,000 test architectures (at most half), no isomorphic twin of one elsewhere; nothing but the budget is labelled",
            _clean,
        ),
        Protocol(
            "gates",
            "random half as pool, 40 for validation, the rest for test (GATES, TA-GATES, FlowerFormer; NAS-Bench-201 form)",
            _gates,
            "isomorphic twins of training architectures may be in the test set; 40 validation labels outside the budget exist "
            "(archrank uses last-epoch weights and does not look at them)",
        ),
    )
}
