"""What a strategy and whoever runs it say to each other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from archrank.eval.search.pool import Pool


@dataclass(frozen=True)
class Query:
    """Measure these candidates, as many of them as the budget has room for, in this order. Answered by a `History`.

    again: whether one that was queried before is measured, and paid for, again; otherwise it is passed over.
    """

    candidates: Sequence[int]
    again: bool = False


@dataclass(frozen=True)
class Rank:
    """Say what a predictor fitted to everything queried so far expects of these candidates. Answered by a `Belief`.

    spread: whether the answer's standard deviations are used.
    """

    candidates: Sequence[int]
    spread: bool = False


@dataclass(frozen=True, eq=False)
class Belief:
    """What a predictor expects of candidates: mean [n], higher is better, and standard deviation [n] (zeros unless
    asked for)."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


@dataclass(eq=False)
class History:
    """What was queried, in order: candidates and their scores, higher is better; NaN where an evaluation failed."""

    candidates: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @property
    def seen(self) -> set[int]:
        """Every candidate queried, failed ones included."""
        return set(self.candidates)

    def best(self, count: int = 1) -> list[int]:
        """The `count` best candidates whose evaluation did not fail, best first."""
        order = sorted((-score, place) for place, score in enumerate(self.scores) if score == score)
        return [self.candidates[place] for _, place in order[:count]]

    def score(self, candidate: int) -> float:
        """The score of a queried candidate; minus infinity where its evaluation failed."""
        score = self.scores[self.candidates.index(candidate)]
        return score if score == score else float("-inf")


Step: TypeAlias = "Query | Rank"
Steps: TypeAlias = Generator[Step, Any, None]


@dataclass(frozen=True)
class Strategy:
    """A registered strategy.

    name: as users write it. run: `(pool, rng, **options) -> Steps`. predicts: whether it asks for a predictor's belief.
    """

    name: str
    run: Callable[..., Steps]
    predicts: bool = False

    def __call__(self, pool: Pool, rng: np.random.Generator, **options: Any) -> Steps:
        """Start one repeat."""
        return self.run(pool, rng, **options)


def strategy(name: str, *, predicts: bool = False) -> Callable[[Callable[..., Steps]], Strategy]:
    """Register a search strategy: a generator function `(pool, rng, *, options)`.

    Args:
        name: what `archrank search --strategies` calls it.
        predicts: whether it yields `Rank`, so that it needs an encoder.
    """
    return lambda run: Strategy(name, run, predicts)
