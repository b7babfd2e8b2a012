"""Running searches: all repeats of one in step, so that their predictors train together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from archrank.datasets.errors import ArchrankError
from archrank.eval.search.guided import GuidedPool
from archrank.eval.search.plan import SearchTask, source_of
from archrank.eval.search.pool import Pool, Scores
from archrank.eval.search.steps import Belief, History, Query, Rank, Step, Steps
from archrank.eval.search.strategies import STRATEGIES

if TYPE_CHECKING:
    from archrank.eval.engine.recipes import RecipeChoice
    from archrank.eval.search.surrogate import Surrogate
    from archrank.eval.trials.specs import Spec


@dataclass(eq=False)
class Repeat:
    """One repeat under way: its seed, the strategy's generator, what it waits for, and what was queried."""

    seed: int
    steps: Steps
    waiting: Step | None
    history: History = field(default_factory=History)


@dataclass(frozen=True, eq=False)
class Traces:
    """What the repeats of a search queried: candidates [R][n] as rows of the table, in order, and the seconds
    predictors took."""

    rows: list[list[int]]
    seconds: float


def start_repeat(strategy: str, options: dict[str, object], pool: Pool, seed: int) -> Repeat:
    """A repeat before its first query. Its random numbers depend on the seed alone, so that the first random
    architectures are the same for every strategy: repeats are paired."""
    steps = STRATEGIES[strategy](pool, np.random.default_rng([seed, 20231]), **options)
    return Repeat(seed, steps, next(steps, None))


def answer(repeat: Repeat, reply: History | Belief) -> None:
    """Send a repeat what it waits for; afterwards it waits for the next, or for nothing where its strategy has
    ended."""
    try:
        repeat.waiting = repeat.steps.send(reply)
    except StopIteration:
        repeat.waiting = None


def run_search(
    task: SearchTask,
    pool: Pool,
    scores: Scores,
    surrogate: Surrogate | None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Traces:
    """All repeats of a search on a table.

    Args:
        task: what is searched.
        pool: the candidates.
        scores: of each candidate [C], higher is better; NaN is a failed evaluation.
        surrogate: the predictor; None for strategies that need none.
        on_progress: told the share that is done, 0 to 1.
    """
    repeats = [start_repeat(task.strategy, task.own_options, pool, seed) for seed in range(task.repeats)]
    seconds = 0.0
    while any(repeat.waiting is not None for repeat in repeats):
        asking = [repeat for repeat in repeats if isinstance(repeat.waiting, Rank)]
        for repeat in repeats:
            if isinstance(repeat.waiting, Query):
                _measure(repeat, scores, task.queries)
        if asking and not any(isinstance(repeat.waiting, Query) for repeat in repeats):
            start = time.perf_counter()
            for repeat, belief in zip(asking, _beliefs(asking, surrogate)):
                answer(repeat, belief)
            seconds += time.perf_counter() - start
        on_progress(sum(len(repeat.history.candidates) for repeat in repeats) / (task.queries * task.repeats))
    return Traces([pool.rows[repeat.history.candidates].tolist() for repeat in repeats], seconds)


def _measure(repeat: Repeat, scores: Scores, queries: int) -> None:
    """Answer a query; a repeat whose budget is spent waits for nothing more."""
    assert isinstance(repeat.waiting, Query)
    history = repeat.history
    for candidate in repeat.waiting.candidates:
        if len(history.candidates) == queries:
            break
        if repeat.waiting.again or candidate not in history.seen:
            history.candidates.append(int(candidate))
            history.scores.append(float(scores[candidate]))
    if len(history.candidates) == queries:
        repeat.steps.close()
        repeat.waiting = None
    else:
        answer(repeat, history)


def _beliefs(repeats: Sequence[Repeat], surrogate: Surrogate | None) -> list[Belief]:
    from archrank.eval.search.surrogate import Question

    if surrogate is None:
        raise ArchrankError("this strategy ranks candidates and needs a predictor")
    return surrogate.believe(
        [
            Question(repeat.seed, repeat.history, repeat.waiting.candidates, repeat.waiting.spread)
            for repeat in repeats
            if isinstance(repeat.waiting, Rank)
        ]
    )


def search_task(
    task: SearchTask,
    spec: Spec | None,
    recipe: RecipeChoice,
    pool: Pool,
    folder: Path,
    device: str = "cpu",
    on_progress: Callable[[float], None] = lambda share: None,
    guides: Mapping[str, Spec] | None = None,
) -> Traces:
    """Run one planned search on its table.

    folder: the store, where pre-trained encodings are kept. guides: the encodings of its options `sample` and
    `perturb`. ArchrankError where an encoder's source is not the planned one.
    """
    guides = guides or {}
    strategy = STRATEGIES.find(task.strategy).source
    if source_of(spec, strategy, guides) != task.source:
        raise ArchrankError(
            f"an encoder of {task.label} was edited since this was planned; run the same command again, which plans anew"
        )
    surrogate, seen = None, pool
    if spec is not None:
        from archrank.eval.search.surrogate import Surrogate

        surrogate = Surrogate(spec, pool, task.target, recipe, folder=folder, device=device)
    if guides:
        seen = guided(pool, guides, task.target, folder)
    return run_search(task, seen, pool.benchmark.oriented(task.target)[pool.rows], surrogate, on_progress)


def guided(pool: Pool, guides: Mapping[str, Spec], target: str, folder: Path) -> Pool:
    """The pool as strategies see it: through the encodings of options `sample` and `perturb`, where there are any."""
    from archrank.eval.search.surrogate import encoded

    tables = {role: encoded(guide, pool, target, folder) for role, guide in guides.items()}
    return GuidedPool.over(pool, tables) if tables else pool
