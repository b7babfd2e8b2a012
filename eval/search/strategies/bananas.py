"""BANANAS, with any encoder in the place of its own."""

from __future__ import annotations

import numpy as np

from archrank.eval.search.acquisition import acquire, mutants
from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Rank, Steps, strategy


@strategy("bananas", predicts=True)
def bananas(
    pool: Pool, rng: np.random.Generator, *, initial: int = 10, batch: int = 10, candidates: int = 100
) -> Steps:
    """Mutate the best architecture, rank the mutants with a predictor, query by independent Thompson sampling.

    Source: White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search",
    AAAI 2021 (naszilla): 10 random architectures; each round, 100 mutants of the best (then of the second best, and so
    on, where there are not so many), from each a draw of Normal(mean, deviation), and the 10 best draws are queried.
    There the predictor is an ensemble of 5 networks on truncated paths; here it is any encoder of the command.

    Departures: a candidate is known by its isomorphism class, not by its set of paths; the budget is spent in full
    (the published code counts the first batch twice).

    initial: random architectures to start from. batch: queries a round. candidates: mutants ranked a round.
    """
    history = yield Query(pool.draw(rng, initial))
    while pool.left(history.seen):
        ranked = mutants(pool, rng, history, candidates, parents=5)
        belief = yield Rank(ranked, spread=True)
        history = yield Query(acquire("its", belief, ranked, history, batch, rng))
