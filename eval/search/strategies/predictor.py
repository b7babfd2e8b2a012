"""Predictor-guided search."""

from __future__ import annotations

import numpy as np

from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Rank, Steps, strategy


@strategy("predictor", predicts=True)
def predictor_guided(
    pool: Pool,
    rng: np.random.Generator,
    *,
    initial: int = 10,
    batch: int = 10,
    top: int = 100,
    requery: bool = False,
) -> Steps:
    """Rank the whole table with a predictor, query at random among the best predicted.

    Source: Wu et al., "Stronger NAS with Weaker Predictors" (WeakNAS), NeurIPS 2021: each round the predictor is
    fitted to everything queried, and `batch` of the `top` best predicted unseen architectures are queried, uniformly.
    With `[initial=16,batch=5,top=5]` it is the search of CATE's experiment outside the space.

    Departures: labels are those of the queries alone (the published code scales them by the whole table's).

    initial: random architectures to start from. batch: queries a round. top: best predicted ones drawn from.
    requery: a defect of CATE's code, off by default: its record of queried architectures never finds one, so that they
    are ranked too, queried again, spend the budget again and are fitted to again.
    """
    history = yield Query(pool.draw(rng, initial))
    while pool.left(history.seen):
        unseen = pool.unseen(rng, history.seen)
        ranked = sorted({*unseen, *history.seen}) if requery else unseen
        belief = yield Rank(ranked)
        best = np.argsort(-belief.mean, kind="stable")[:top]
        history = yield Query([ranked[i] for i in rng.permutation(best)[:batch]], again=requery)
