"""Bayesian optimisation with local search in an encoding (CATE-DNGO-LS)."""

from __future__ import annotations

import numpy as np

from archrank.eval.search.acquisition import acquire
from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Rank, Steps, strategy


@strategy("cate_dngo_ls", predicts=True)
def cate_dngo_ls(
    pool: Pool, rng: np.random.Generator, *, initial: int = 16, batch: int = 5, top: int = 5, patience: int = 20
) -> Steps:
    """Query the best by expected improvement over the whole table, then the nearest neighbours of the best so far.

    Source: Yan et al., "CATE: Computation-aware Neural Architecture Encoding with Transformers", ICML 2021
    (CATE-DNGO-LS; there with `cate` as the encoding of predictor and neighbours, here `cate+dngo` and the option
    `perturb=cate`; without the option, neighbours are one edit apart): 16 random architectures; each round the 5 of
    highest expected improvement, then the nearest unseen neighbour of each of the 5 best that is not among them; after
    20 rounds without improvement 16 random ones.

    Departures from the published code: the incumbent is the best score (there the constant 1), the deviation is used
    (there the variance), a queried architecture is not queried again, and seeds are applied.

    initial: random architectures of a start. batch: by expected improvement a round. top: best ones whose neighbour is
    queried. patience: rounds without improvement before a new start.
    """
    history = yield Query(pool.draw(rng, initial))
    stalled = 0
    while pool.left(history.seen):
        before = history.best()
        unseen = pool.unseen(rng, history.seen)
        belief = yield Rank(unseen, spread=True)
        proposed = acquire("ei", belief, unseen, history, batch, rng)
        history = yield Query(proposed)
        near = {_nearest(pool, item, history.seen) for item in history.best(top) if item not in proposed}
        if fresh := sorted(near - {-1}):
            history = yield Query(fresh)
        stalled = stalled + 1 if history.best() == before else 0
        if stalled == patience:
            stalled = 0
            history = yield Query(pool.draw(rng, initial, history.seen))


def _nearest(pool: Pool, candidate: int, seen: set[int]) -> int:
    """The first unseen neighbour; -1 where all are seen."""
    return next((int(item) for item in pool.neighbours(candidate) if int(item) not in seen), -1)
