"""Local search."""

from __future__ import annotations

import numpy as np

from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Steps, strategy


@strategy("local")
def local_search(pool: Pool, rng: np.random.Generator, *, initial: int = 10) -> Steps:
    """Move to the first better neighbour; from a peak, start again.

    Source: White et al., "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021, as coded in naszilla
    (`query_full_nbhd=False`): `initial` random architectures, then the neighbours of the best in random order, moving
    at the first improvement; at a local optimum `initial` new random ones.

    Departures: neighbours are those of the isomorphism class (of every duplicate), and known ones spend no query.

    initial: random architectures of each start.
    """
    history = yield Query(pool.draw(rng, initial))
    started = set(history.candidates)
    while pool.left(history.seen):
        here = max(started, key=history.score)
        climbing = True
        while climbing:
            climbing = False
            for other in rng.permutation(pool.neighbours(here)).tolist():
                if other not in history.seen:
                    history = yield Query([other])
                if history.score(other) > history.score(here):
                    here, climbing = other, True
                    break
        fresh = pool.draw(rng, initial, history.seen)
        if not fresh:
            return
        history = yield Query(fresh)
        started = set(fresh)
