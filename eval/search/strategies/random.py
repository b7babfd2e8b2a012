"""Random search."""

from __future__ import annotations

import numpy as np

from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import History, Query, Steps, strategy


@strategy("random")
def random_search(pool: Pool, rng: np.random.Generator) -> Steps:
    """Uniform over the isomorphism classes of the table, without replacement: what every other strategy has to beat.

    Its expected best score after n queries is known exactly from the table
    (`archrank.eval.search.traces.expected_best`).
    """
    history = History()
    while True:
        chosen = pool.draw(rng, 10, history.seen)
        if not chosen:
            return
        history = yield Query(chosen)
