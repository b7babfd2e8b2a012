"""Predictors that guide a search: fitted to what was queried, all repeats of a round together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.batching import Member, derive_seed
from archrank.eval.engine.heads import HEADS, Regressor
from archrank.eval.engine.recipes import RecipeChoice
from archrank.eval.engine.regressors import fit_regressor
from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Belief, History
from archrank.eval.trials.encodings import encode_all
from archrank.eval.trials.job import TrainingJob, make_job
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
        self.spec, self.pool, self.target, self.members, self.folder, self.device = (
            spec,
            pool,
            target,
            members,
            folder,
            device,
        )
        benchmark = pool.benchmark
        self.job = make_job(spec, recipe, benchmark.space, benchmark.graphs)

    @cached_property
    def encoded(self) -> TrainingJob:
        """The job, with the fixed encoding of the whole table where there is one."""
        if self.spec.info.learned:
            return self.job
        # Kept under the same identity as in a run, so that one pre-training serves both.
        return self.job.with_features(encode_all(self.job, self.pool.benchmark, self.target, self.folder)[0])

    def believe(self, questions: Sequence[Question]) -> list[Belief]:
        """What the predictor expects of each repeat's candidates, fitted to that repeat's own queries alone."""
        if not self.spec.neural:
            return [self._regress(question) for question in questions]
        found: dict[int, Belief] = {}
        sizes = [len(self._labelled(question)[0]) for question in questions]
        for size in sorted(set(sizes)):  # stacks need equal numbers of labels; failed evaluations make them differ
            alike = [number for number, other in enumerate(sizes) if other == size]
            count = self.members if any(questions[number].spread for number in alike) else 1
            step = max(1, WIDTH // count)
            for start in range(0, len(alike), step):
                part = alike[start : start + step]
                found |= dict(zip(part, self._train([questions[number] for number in part], count)))
        return [found[number] for number in range(len(questions))]

    def _labelled(self, question: Question) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        scores = np.array(question.history.scores)
        whole = np.isfinite(scores)
        if whole.sum() < 2:
            raise ArchrankError("a predictor needs two evaluations that did not fail; query more before ranking")
        return self.pool.rows[np.array(question.history.candidates)[whole]], scores[whole]

    def _regress(self, question: Question) -> Belief:
        rows, scores = self._labelled(question)
        asked, features = self.pool.rows[list(question.candidates)], self.encoded.scaled(rows)
        if not (features[rows] != features[rows[0]]).any():
            return Belief(np.zeros(len(asked)), np.ones(len(asked)))
        head = HEADS[self.spec.head]
        fitted = fit_regressor(
            self.spec.head, features[rows], self.job.labels(scores), question.seed, self.spec.head_config
        )
        mean = np.asarray(fitted.predict(features[asked]), np.float64)
        if not question.spread:
            return Belief(mean, np.zeros(len(asked)))
        if not (isinstance(head, Regressor) and hasattr(fitted, "std")):
            raise ArchrankError(
                f"head {self.spec.head} gives no standard deviation, which this strategy needs; use gp, dngo, forest or mlp"
            )
        return Belief(mean, np.asarray(fitted.std(features[asked]), np.float64))

    def _train(self, questions: Sequence[Question], count: int) -> list[Belief]:
        members = []
        for question in questions:
            rows, scores = self._labelled(question)
            labels = self.job.labels(scores)
            asked = self.pool.rows[list(question.candidates)]
            members += [
                Member(derive_seed(question.seed, f"member {number}"), rows, labels, asked) for number in range(count)
            ]
        outcomes = self.encoded.with_members(members).train(device=self.device)
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
