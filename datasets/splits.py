"""Splits: which architectures a predictor may learn from and which it is tested on, drawn by a named protocol.

Budgets are nested: the architectures of a smaller budget are the first ones of a larger budget's, in the seed's
training order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError
from archrank.datasets.registry import Registry

if TYPE_CHECKING:
    from archrank.datasets.benchmark import Benchmark

Indices = NDArray[np.int64]
LARGEST_TEST = 5000
LEAST_TRAINED = 4  # fewer labelled architectures cannot be ranked
NAR_LARGEST = 21180


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of a benchmark: `pool` in training order (budgets are its prefixes), `validation`, `test`.

    They are disjoint, unless a protocol that was published otherwise says in its `leaks` that they are not.
    train_target, test_target: metrics to train on and to test on, where a protocol uses two; None = the target that was
    asked for.
    """

    pool: Indices
    validation: Indices
    test: Indices
    train_target: str | None = None
    test_target: str | None = None

    def train(self, budget: int) -> Indices:
        """The first `budget` architectures of the training order; ArchrankError if there are not so many."""
        if not 1 <= budget <= len(self.pool):
            count = len(self.pool)
            if count < LEAST_TRAINED:
                raise ArchrankError(
                    f"budget {budget}: the table is too small for this protocol, which leaves {count} of it for training"
                )
            raise ArchrankError(
                f"budget {budget}: this protocol leaves {LEAST_TRAINED} to {count} architectures for training here"
            )
        return self.pool[:budget]

    @cached_property
    def digest(self) -> str:
        """sha256 of the three index arrays: equal digests mean the same split. It names pool and order, not the
        budget."""
        return _digest(self.pool, self.validation, self.test)

    @cached_property
    def test_digest(self) -> str:
        """sha256 of the test indices alone: some protocols draw new training architectures for every seed and keep one
        test set."""
        return _digest(self.test)


def _digest(*parts: Indices) -> str:
    return hashlib.sha256(b"|".join(np.ascontiguousarray(part, np.int64).tobytes() for part in parts)).hexdigest()


@dataclass(frozen=True)
class Protocol:
    """A named way to draw splits. `leaks` says in one sentence what a protocol lets through, or is empty.

    val_to_test: it trains on a validation score and tests on the test score of the same data set.
    """

    name: str
    summary: str
    draw: Callable[[Benchmark, NDArray[np.bool_], int], Split]
    leaks: str = ""
    val_to_test: bool = False


def make_split(benchmark: Benchmark, protocol: str, seed: int, target: str | None = None) -> Split:
    """The split of (benchmark, protocol, seed), over the architectures that have a score for the target.

    The same arguments give the same split on every machine (NumPy's PCG64, or the legacy generator where a published
    protocol used it).
    """
    scored = ~np.isnan(benchmark.target(target))
    if PROTOCOLS[protocol].val_to_test:
        trained = benchmark.check_target(target)
        tested = _test_metric(benchmark, protocol, trained)
        scored &= ~np.isnan(benchmark.target(tested))
        split = replace(PROTOCOLS[protocol].draw(benchmark, scored, seed), train_target=trained, test_target=tested)
    else:
        split = PROTOCOLS[protocol].draw(benchmark, scored, seed)
    if len(split.test) < 2:
        raise ArchrankError(
            f"protocol '{protocol}' leaves {len(split.test)} test architectures of benchmark '{benchmark.name}'"
        )
    return split


def _clean(benchmark: Benchmark, scored: NDArray[np.bool_], seed: int) -> Split:
    """Whole isomorphism classes go to the test set until it has half of the architectures, or 5,000; the rest is the
    pool."""
    rng = np.random.default_rng(np.random.SeedSequence([20260101, seed]))
    rows = np.flatnonzero(scored)
    number = benchmark.isomorphism_class[rows]
    if len(rows) < len(benchmark):
        number = np.unique(number, return_inverse=True)[1]
    order = rng.permutation(number.max() + 1)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    size = min(LARGEST_TEST, len(rows) // 2)
    members = np.bincount(number)[order].cumsum()
    in_test = place[number] < np.searchsorted(members, size, side="right")
    test, pool = rng.permutation(rows[in_test]), rng.permutation(rows[~in_test])
    return Split(pool, np.empty(0, np.int64), test)


def _gates(benchmark: Benchmark, scored: NDArray[np.bool_], seed: int) -> Split:
    """As in the released FlowerFormer code: the first half is the pool, the next 40 validation, the rest the test
    set."""
    rows = _gates_lists(benchmark, scored)
    if rows is None:
        rows = np.flatnonzero(scored)
    order = rows[np.random.RandomState(seed).permutation(len(rows))]
    half = len(rows) // 2 + len(rows) % 2
    return Split(order[:half], order[half : half + 40], order[half + 40 :])


def validation_pair(benchmark: Benchmark, trained: str) -> str | None:
    """The test score that belongs to a validation score: `cifar10_val` -> `cifar10_test`, `valid` -> `test`; None
    without one."""
    for word in ("valid", "val"):
        test = trained.replace(word, "test", 1)
        if test != trained and test in benchmark.targets:
            return test
    return None


def _test_metric(benchmark: Benchmark, protocol: str, trained: str) -> str:
    if (pair := validation_pair(benchmark, trained)) is not None:
        return pair
    raise ArchrankError(
        f"protocol '{protocol}' trains on a validation score and tests on its test score; benchmark "
        f"'{benchmark.name}' has no such pair for '{trained}' (it has: {', '.join(benchmark.targets)})"
    )


def _gates_lists(benchmark: Benchmark, scored: NDArray[np.bool_]) -> Indices | None:
    """Rows of the 14,580 published NAS-Bench-101 hashes, in their order; None where the protocol has no list."""
    if benchmark.name != "nasbench101":
        return None
    from archrank.datasets.published_splits import gates_hashes

    place = {name: row for row, name in enumerate(benchmark.arch)}
    if unknown_hashes := [name for name in gates_hashes() if name not in place]:
        raise ArchrankError(
            f"protocol 'gates': cell {unknown_hashes[0]} of the published list is not in benchmark '{benchmark.name}'"
        )
    rows = np.array([place[name] for name in gates_hashes()], np.int64)
    return rows[scored[rows]]


def _tnasp(benchmark: Benchmark, scored: NDArray[np.bool_], seed: int) -> Split:
    """A random list per seed; the test set is everything."""
    rows = np.flatnonzero(scored)
    return Split(rows[np.random.RandomState(seed).permutation(len(rows))], np.empty(0, np.int64), rows)


def _nar(benchmark: Benchmark, scored: NDArray[np.bool_], seed: int) -> Split:
    """File order; the 200 after the largest published training set (or half the space) stand for validation; the test
    set is everything."""
    rows = np.flatnonzero(scored)
    end = min(NAR_LARGEST, len(rows) // 2 + len(rows) % 2)
    return Split(rows[:end], rows[end : end + 200], rows)


def _ppuda(benchmark: Benchmark, scored: NDArray[np.bool_], seed: int) -> Split:
    """Names say which official part a network belongs to: `val/17`, `test/3`."""
    part = np.array([name.split("/")[0] for name in benchmark.arch])
    pool, test = np.flatnonzero(scored & (part == "val")), np.flatnonzero(scored & (part == "test"))
    if not len(pool) or not len(test):
        raise ArchrankError(
            f"protocol 'ppuda' is for the DeepNets-1M networks; '{benchmark.name}' has no parts val and test"
        )
    return Split(pool, np.empty(0, np.int64), test)


def _cate_outside(benchmark: Benchmark, scored: NDArray[np.bool_], seed: int) -> Split:
    """Small cells train, larger ones test; whatever is in both, or has an isomorphic duplicate in the test set, is not
    trained on."""
    nodes, edges = benchmark.mask.sum(1), benchmark.adj.sum((1, 2))
    tested = scored & (nodes == 6) & (edges >= 7)
    pool = np.flatnonzero(scored & (nodes != 7) & (edges <= 7) & ~tested)
    pool = pool[~np.isin(benchmark.key[pool].astype(str), benchmark.key[tested].astype(str))]
    if not len(pool) or not tested.any():
        raise ArchrankError(
            f"protocol 'cate-outside' needs cells of different size; '{benchmark.name}' leaves {len(pool)} to train on and "
            f"{int(tested.sum())} to test on"
        )
    rng = np.random.default_rng(np.random.SeedSequence([20260102, seed]))
    return Split(rng.permutation(pool), np.empty(0, np.int64), np.flatnonzero(tested))


PROTOCOLS: Registry[Protocol] = Registry("protocol", "protocols", __name__, Protocol)

CLEAN = Protocol(
    "clean",
    summary="up to 5,000 test architectures (at most half), no isomorphic duplicate of one elsewhere; nothing but the budget is labelled",
    draw=_clean,
)
GATES = Protocol(
    "gates",
    summary="random half as pool, 40 for validation, the rest for test (GATES, TA-GATES, FlowerFormer); on NAS-Bench-101 within their "
    "14,580 cells",
    draw=_gates,
    leaks="isomorphic duplicates of training architectures may be in the test set; 40 validation labels outside the budget exist "
    "(archrank uses last-epoch weights and does not look at them)",
)
TNASP = Protocol(
    "tnasp",
    summary="random training list, trained on validation and tested on test accuracy of the whole space (TNASP, PINAT, HyperNAS, CAP)",
    draw=_tnasp,
    leaks="the test set is the whole space, training architectures and their duplicates included",
    val_to_test=True,
)
NAR = Protocol(
    "nar",
    summary="the first architectures in file order, trained on validation and tested on test accuracy of the whole space "
    "(NAR-Former, NN-Former)",
    draw=_nar,
    leaks="the test set is the whole space, training and validation architectures included, and every seed trains on the same "
    "first ones in file order",
    val_to_test=True,
)
PPUDA = Protocol(
    "ppuda",
    summary="DeepNets-1M: trained on its 500 val networks, tested on its 500 test networks (PPUDA, TART)",
    draw=_ppuda,
    leaks="every seed has the same training order and test set, so seeds show the training's noise only",
)
CATE_OUTSIDE = Protocol(
    "cate-outside",
    summary="outside the search space: trained on smaller cells (not 7 nodes, at most 7 edges), tested on those with 6 nodes and at "
    "least 7 edges (CATE); the published overlap, 6 nodes and 7 edges, is in the test set only",
    draw=_cate_outside,
)
