"""Which candidates a predictor is asked about, and which of them are queried."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Belief, History


def acquire(
    kind: str, belief: Belief, ranked: list[int], history: History, count: int, rng: np.random.Generator
) -> list[int]:
    """The `count` candidates of `ranked` with the highest acquisition value, highest first.

    kind: `mean`; `ucb`, mean + deviation / 2; `its`, a draw of Normal(mean, deviation) for each; or `ei`, the expected
    improvement over the best predictor-scale score queried so far. belief: of the candidates `ranked`, on the scale of
    the labels that the predictor was fitted to (normal scores of the queried ranks).
    """
    if kind == "its":
        value = rng.normal(belief.mean, belief.std)
    elif kind == "ucb":
        value = belief.mean + 0.5 * belief.std
    elif kind == "ei":
        queried = sum(score == score for score in history.scores)
        best = float(norm.ppf((queried - 0.375) / (queried + 0.25)))  # the normal score of the highest rank
        std = np.maximum(belief.std, 1e-9)
        z = (belief.mean - best) / std
        value = std * (z * norm.cdf(z) + norm.pdf(z))
    else:
        value = belief.mean
    return [ranked[i] for i in np.argsort(-value, kind="stable")[:count]]


def mutants(
    pool: Pool, rng: np.random.Generator, history: History, count: int, parents: int, together: bool = False
) -> list[int]:
    """`count` different unseen candidates one edit away from the best queried ones.

    parents: how many of the best may be mutated. together: mutate them in turn; otherwise the next best only once the
    mutants of the better ones are used up. Filled with random ones where there are too few mutants.
    """
    best = history.best(parents) or pool.draw(rng, parents, history.seen)
    near = [
        [item for item in rng.permutation(pool.neighbours(parent)).tolist() if item not in history.seen]
        for parent in best
    ]
    if together:
        longest = max(map(len, near), default=0)
        near = [[items[i] for items in near if i < len(items)] for i in range(longest)]
    candidates = [*dict.fromkeys(item for items in near for item in items)][:count]
    return candidates + pool.draw(rng, count - len(candidates), history.seen.union(candidates))
