"""Bayesian optimisation over the whole table."""

from __future__ import annotations

from typing import Literal

import numpy as np

from archrank.eval.search.acquisition import acquire
from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Rank, Steps, strategy


@strategy("bo", predicts=True)
def bayesian_optimisation(
    pool: Pool,
    rng: np.random.Generator,
    *,
    acquisition: Literal["ei", "ucb", "its", "mean"] = "ei",
    initial: int = 10,
    batch: int = 10,
    candidates: int = 2000,
) -> Steps:
    """Rank unseen architectures of the whole table by an acquisition function of a predictor's mean and deviation.

    Source: Snoek et al., "Practical Bayesian Optimization of Machine Learning Algorithms", NeurIPS 2012, with the
    expected improvement of Jones et al., J. Global Optimization 1998.

    acquisition: `ei` (expected improvement over the best score so far), `ucb` (mean + deviation / 2, as naszilla has
    it), `its` (a draw for each architecture) or `mean` (greedy). initial: random architectures to start from.
    batch: queries a round. candidates: how many random unseen architectures are ranked a round, all of them where
    there are fewer.
    """
    history = yield Query(pool.draw(rng, initial))
    while pool.left(history.seen):
        ranked = pool.draw(rng, candidates, history.seen)
        belief = yield Rank(ranked, spread=acquisition != "mean")
        history = yield Query(acquire(acquisition, belief, ranked, history, batch, rng))
