"""Regularised evolution."""

from __future__ import annotations

from collections import deque

import numpy as np

from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Steps, strategy


@strategy("evolution")
def regularised_evolution(
    pool: Pool, rng: np.random.Generator, *, population: int = 30, sample: int = 10, initial: int = 10
) -> Steps:
    """Mutate the best of a random sample of a population that forgets its oldest member.

    Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019; sizes as in
    naszilla (White et al., "BANANAS", AAAI 2021).

    Departures: the sample is drawn without replacement, and the population holds `population` members (the published
    code draws with replacement and keeps one fewer). A mutation is one edit; a child that was queried before
    is mutated on until it is new, so that every step spends a query.

    population: members kept. sample: members the parent is the best of. initial: random ones to start from.
    """
    history = yield Query(pool.draw(rng, initial))
    alive: deque[int] = deque(history.candidates, maxlen=population)
    while pool.left(history.seen):
        drawn = rng.choice(len(alive), min(sample, len(alive)), replace=False)
        parent = max((alive[i] for i in drawn), key=history.score)
        child = pool.mutate(rng, parent)
        for _ in range(100):  # A peak all of whose neighbours are known must not hold the search for ever.
            if child not in history.seen:
                break
            child = pool.mutate(rng, child)
        else:
            child = pool.draw(rng, 1, history.seen)[0]
        history = yield Query([child])
        alive.append(child)
