"""Predictors that guide a search: fitted to what was queried, all repeats of a round together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.batching import Member
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.engine.recipes import SEARCH, RecipeChoice
from archrank.eval.search.pool import Pool
from archrank.eval.search.regressions import Regression, regress
from archrank.eval.search.steps import Belief, History
from archrank.eval.trials.encodings import encode_all
from archrank.eval.trials.job import TrainingJob, make_job
from archrank.eval.trials.portfolios import fit_member, pool_of
from archrank.eval.trials.pretraining import prepare_additions
from archrank.eval.trials.specs import Spec

# Networks trained as one stack; more do not fit a cache.
WIDTH = 30


@dataclass(frozen=True, eq=False)
class Question:
    """What one repeat asks: its seed, what it has queried, the candidates it wants ranked, and whether deviations
    matter."""

    seed: int
    history: History
    candidates: Sequence[int]
    spread: bool


def encoded(spec: Spec, pool: Pool, target: str, folder: Path) -> NDArray[np.float64]:
    """A fixed encoding of a pool's whole table, float [N, F]; computed once for a pool.

    target: the metric that is queried; where it is a cost itself, the encoding does not see it. folder: the store,
    where pre-trained encodings are kept, under the same identity as in a run, so that one pre-training serves both.
    """
    benchmark, name = pool.benchmark, f"{spec.info.name} {spec.config} {target}"
    if pool.grows and spec.info.pretrained:
        raise ArchrankError(
            f"encoder {spec.info.name} is pre-trained on a whole table; a generator of candidates has none: use another"
        )
    if name not in pool.encodings:
        job = make_job(spec, SEARCH, benchmark.space, benchmark.graphs)
        pool.encodings[name] = encode_all(job, benchmark, target, folder)[0]
    return pool.encodings[name]


class Surrogate:
    """A predictor as a search needs it.

    Args:
        spec: encoder and head. A deviation comes from the head where it has one (`gp`, `dngo`, `forest`, ...), else
            from `members` networks of different seeds.
        pool: the candidates.
        target: the metric that is queried; where it is a cost itself, encodings do not see it.
        recipe: how networks are trained.
        members: networks whose spread is the deviation, where the head has none.
        folder: where pre-trained encodings are kept (a store).
        device: `cpu` or `cuda`.
    """

    def __init__(
        self,
        spec: Spec,
        pool: Pool,
        target: str,
        recipe: RecipeChoice,
        *,
        members: int = 5,
        folder: Path,
        device: str = "cpu",
    ) -> None:
        self.spec, self.pool, self.target, self.recipe = spec, pool, target, recipe
        self.members, self.folder, self.device = members, folder, device
        self._made: tuple[Benchmark, TrainingJob] | None = None

    @property
    def job(self) -> TrainingJob:
        """The predictor on the pool's table, with the fixed encoding of all of it where there is one."""
        benchmark = self.pool.benchmark
        if self._made is None or self._made[0] is not benchmark:
            job = make_job(self.spec, self.recipe, benchmark.space, benchmark.graphs)
            if job.tuned:
                raise ArchrankError(f"recipe {job.tuned.name} is for runs: a search would tune in every round")
            if not self.spec.info.learned and not self.spec.info.portfolio:
                job = job.with_features(encoded(self.spec, self.pool, self.target, self.folder))
            if self.spec.additions and self.pool.grows:
                raise ArchrankError(f"{self.spec.label}: a generator of candidates has no table to pre-train on")
            if self.spec.additions and self.spec.info.learned:
                job = job.with_given(prepare_additions(job, benchmark, self.target, [None], self.folder, self.device))
            self._made = (benchmark, job)
        return self._made[1]

    def believe(self, questions: Sequence[Question]) -> list[Belief]:
        """What the predictor expects of each repeat's candidates, fitted to that repeat's own queries alone."""
        if self.spec.info.portfolio:
            return [self._combined(question) for question in questions]
        if not self.spec.neural:
            return regress(self.spec.head, self.spec.head_config, [self._regression(item) for item in questions])
        beliefs: dict[int, Belief] = {}
        sizes = [len(self._labelled(question)[0]) for question in questions]
        for size in sorted(set(sizes)):  # stacks need equal numbers of labels; failed evaluations make them differ
            alike = [number for number, other in enumerate(sizes) if other == size]
            count = self.members if any(questions[number].spread for number in alike) else 1
            step = max(1, WIDTH // count)
            for start in range(0, len(alike), step):
                part = alike[start : start + step]
                beliefs |= dict(zip(part, self._train([questions[number] for number in part], count)))
        return [beliefs[number] for number in range(len(questions))]

    def _labelled(self, question: Question) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        scores = np.array(question.history.scores)
        whole = np.isfinite(scores)
        if whole.sum() < 2:
            raise ArchrankError("a predictor needs two evaluations that did not fail; query more before ranking")
        return self.pool.rows[np.array(question.history.candidates)[whole]], scores[whole]

    def _combined(self, question: Question) -> Belief:
        rows, scores = self._labelled(question)
        pool = pool_of(self.job, self.pool.benchmark, self.target, self.folder)
        member = Member(question.seed, rows, self.job.labels(scores), rows[:0])
        fitted = fit_member(self.job, pool, member, device=self.device)
        return Belief(*fitted.predict(pool, self.pool.rows[list(question.candidates)]))

    def _regression(self, question: Question) -> Regression:
        rows, scores = self._labelled(question)
        job, asked = self.job, self.pool.rows[list(question.candidates)]
        assert job.features is not None
        return Regression(
            job.features, job.factors(rows), rows, job.labels(scores), asked, question.seed, question.spread
        )

    def _train(self, questions: Sequence[Question], count: int) -> list[Belief]:
        members = []
        for question in questions:
            rows, scores = self._labelled(question)
            labels = self.job.labels(scores)
            asked = self.pool.rows[list(question.candidates)]
            members += [
                Member(derive_seed(question.seed, f"member {number}"), rows, labels, asked) for number in range(count)
            ]
        outcomes = self.job.with_members(members).train(device=self.device)
        beliefs = []
        for number in range(len(questions)):
            predicted = np.stack([outcome.predictions for outcome in outcomes[number * count : (number + 1) * count]])
            if problem := next(
                (outcome.problem for outcome in outcomes[number * count : (number + 1) * count] if outcome.problem),
                None,
            ):
                raise ArchrankError(f"{self.spec.label}: {problem}")
            beliefs.append(
                Belief(predicted.mean(0), predicted.std(0, ddof=1) if count > 1 else np.zeros(predicted.shape[1]))
            )
        return beliefs
