"""NPENAS: evolution guided by a predictor."""

from __future__ import annotations

import numpy as np

from archrank.eval.search.acquisition import acquire, mutants
from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Rank, Steps, strategy


@strategy("npenas", predicts=True)
def npenas(
    pool: Pool,
    rng: np.random.Generator,
    *,
    initial: int = 10,
    batch: int = 10,
    candidates: int = 100,
    parents: int = 10,
) -> Steps:
    """Mutate the best architectures, rank the mutants with a predictor, query the best predicted.

    Source: Wei et al., "NPENAS: Neural Predictor Guided Evolution for Neural Architecture Search", IEEE TNNLS 2022
    (the variant NPENAS-NP): 100 mutants of the 10 best a round, the 10 best predicted are queried.

    Departures: the predictor is any encoder of the command; a mutation is one edit.

    initial: random architectures to start from. batch: queries a round. candidates: mutants ranked a round.
    parents: how many of the best are mutated.
    """
    history = yield Query(pool.draw(rng, initial))
    while pool.left(history.seen):
        ranked = mutants(pool, rng, history, candidates, parents=parents, together=True)
        belief = yield Rank(ranked)
        history = yield Query(acquire("mean", belief, ranked, history, batch, rng))
