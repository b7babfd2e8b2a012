"""BRP-NAS's iterative search."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Rank, Step, Steps, strategy


@strategy("brp_nas", predicts=True)
def brp_nas(pool: Pool, rng: np.random.Generator, *, rounds: int = 5, batch: int = 20) -> Steps:
    """Gather training architectures in rounds that look at ever better ones, then query in the order of the ranking.

    Source: Dudziak et al., "BRP-NAS: Prediction-based NAS using GCNs", NeurIPS 2020, as coded (`--iter 5
    --sample_best2`): a random batch; then in round i half a batch of the best predicted, and half at random of those
    that are ranked in the best 1/2^i; after the last round the best predicted, in their order. There the predictor is a
    relation network (`brp_nas_relation` here).

    Departures: a round's predictor is trained afresh, with the recipe of the command (the published weights are carried
    on while epochs and batches grow); no training architecture validates.

    rounds: of gathering, the random one included. batch: queries of each.
    """
    history = yield Query(pool.draw(rng, batch))
    for number in range(1, rounds):
        ranked = yield from _ranking(pool, rng, history.seen)
        best = ranked[: batch // 2]
        promising = ranked[len(best) : max(len(ranked) // 2**number, batch)]
        drawn = rng.permutation(promising)[: batch - len(best)].tolist()
        history = yield Query([*best, *drawn])
    while pool.left(history.seen):
        ranked = yield from _ranking(pool, rng, history.seen)
        history = yield Query(ranked)


def _ranking(pool: Pool, rng: np.random.Generator, seen: set[int]) -> Generator[Step, Any, list[int]]:
    """Unseen candidates, best predicted first."""
    unseen = pool.unseen(rng, seen)
    belief = yield Rank(unseen)
    return [unseen[i] for i in np.argsort(-belief.mean, kind="stable")]
