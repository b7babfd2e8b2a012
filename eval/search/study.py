"""Ask and tell: a search over one's own architectures, measured by oneself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from archrank.datasets import Benchmark
from archrank.datasets.errors import ArchrankError
from archrank.eval.search.loop import Repeat, answer, start_repeat
from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Rank
from archrank.eval.search.strategies import STRATEGIES


class Search:
    """A search that asks which architectures to evaluate, and is told how good they turned out to be.

        study = archrank.Search(pool, strategy="bo", encoder="base+gp", seed=0)
        rows = study.ask(5)                     # rows of the pool to train
        study.tell(rows, [0.91, None, ...])     # None: its training failed
        study.best()                            # the row with the best score so far

    Args:
        pool: a benchmark (own graphs: `Benchmark.from_graphs(graphs, scores=None)`), whose scores are not looked at.
            Isomorphic duplicates are one candidate.
        strategy: a name of `archrank list strategies`, with options as `bo[acquisition=ucb]`.
        encoder: the predictor, such as `base+gp`, for strategies that need one.
        seed: of all random numbers.
        direction: `max` or `min`: which scores are good.
        recipe: how a network is trained.
        folder: where pre-trained encodings are kept.

    Raises:
        ArchrankError: an unknown name, or a missing encoder.
    """

    def __init__(
        self,
        pool: Benchmark,
        strategy: str = "bo",
        encoder: str | None = "base+gp",
        *,
        seed: int = 0,
        direction: str = "max",
        recipe: str = "search",
        folder: Path | str = "results/store",
    ) -> None:
        from archrank.eval.trials.specs import named_options, parse_list

        if direction not in ("max", "min"):
            raise ArchrankError(f"direction is max or min, not {direction!r}")
        name, options = named_options(strategy, "strategy")
        entry = STRATEGIES.find(name)
        self._settings = {
            "strategy": strategy,
            "encoder": encoder,
            "seed": seed,
            "direction": direction,
            "recipe": recipe,
            "pool": pool.content,
        }
        self._sign = 1.0 if direction == "max" else -1.0
        self._pool = Pool.of(pool)
        self._surrogate: Any = None
        if STRATEGIES[name].predicts:
            if not encoder:
                raise ArchrankError(f'strategy {name} needs a predictor: Search(pool, strategy, encoder="base+gp")')
            from archrank.eval.search.surrogate import Surrogate
            from archrank.eval.trials.recipe_files import find_recipe

            spec = parse_list([encoder], "here")[0]
            self._surrogate = Surrogate(spec, self._pool, "", find_recipe(recipe), folder=Path(folder))
        self._repeat: Repeat = start_repeat(name, entry.validate(options), self._pool, seed)
        self._asked: list[int] = []
        self._log: list[list[Any]] = []

    def ask(self, count: int = 1) -> list[int]:
        """Up to `count` rows of the pool to evaluate next; fewer where the strategy wants their scores first, none at
        the end.

        Rows that were asked and not yet told are not asked again.
        """
        waiting = self._advance()
        if waiting is None:
            return []
        fresh = [c for c in waiting.candidates if c not in self._repeat.history.seen and c not in self._asked][:count]
        self._asked += fresh
        return [int(row) for row in self._pool.rows[fresh]]

    def tell(self, rows: Sequence[int], scores: Sequence[float | None]) -> None:
        """How good some rows turned out to be; None or NaN where an evaluation failed. Any row of the pool may be told,
        asked or not.

        ArchrankError for a row outside the pool, or one told before.
        """
        if len(rows) != len(scores):
            raise ArchrankError(f"{len(rows)} rows, but {len(scores)} scores")
        for row, score in zip(rows, scores):
            if not 0 <= int(row) < len(self._pool.candidate):
                raise ArchrankError(f"row {row} is not in the pool, which has {len(self._pool.candidate)}")
            candidate = int(self._pool.candidate[int(row)])
            if candidate in self._repeat.history.seen:
                raise ArchrankError(f"row {row} (or an isomorphic duplicate of it) was told before")
            value = float("nan") if score is None else self._sign * float(score)
            if np.isinf(value):
                raise ArchrankError(f"the score of row {row} is infinite; say None for a failed evaluation")
            self._repeat.history.candidates.append(candidate)
            self._repeat.history.scores.append(value)
            self._asked = [c for c in self._asked if c != candidate]
        self._log.append(
            [
                [int(row) for row in rows],
                [None if score is None or score != score else float(score) for score in scores],
            ]
        )

    def best(self) -> int | None:
        """The row with the best score so far; None where nothing was told that did not fail."""
        found = self._repeat.history.best()
        return int(self._pool.rows[found[0]]) if found else None

    @property
    def history(self) -> pd.DataFrame:
        """One line per told row, in order: `row`, `score` as it was told."""
        history = self._repeat.history
        return pd.DataFrame(
            {"row": self._pool.rows[history.candidates], "score": self._sign * np.array(history.scores, float)}
        )

    def save(self, path: Path | str) -> None:
        """Write settings and everything told as JSON; `Search.load` repeats it."""
        Path(path).write_text(
            json.dumps({"archrank_search": 1, **self._settings, "told": self._log}, indent=1) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, path: Path | str, pool: Benchmark, **options: Any) -> Search:
        """A saved search on the same pool, in the state it was saved in: what it asks next is what it would have asked.

        options: `folder`. ArchrankError for a file that is none, or another pool.
        """
        try:
            body = json.loads(Path(path).read_text(encoding="utf-8"))
            told = [([int(row) for row in rows], list(scores)) for rows, scores in body["told"]]
            settings = {name: body[name] for name in ("strategy", "encoder", "seed", "direction", "recipe")}
            content = body["pool"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise ArchrankError(f"{path} is no saved search") from None
        if content != pool.content:
            raise ArchrankError(f"{path} is a search over another pool of architectures")
        study = cls(pool, **settings, **options)
        for rows, scores in told:
            study._advance()
            study.tell(rows, scores)
        return study

    def _advance(self) -> Query | None:
        """Answer the strategy until it waits for scores that are not known."""
        repeat = self._repeat
        while repeat.waiting is not None:
            if isinstance(repeat.waiting, Rank):
                from archrank.eval.search.surrogate import Question

                question = Question(repeat.seed, repeat.history, repeat.waiting.candidates, repeat.waiting.spread)
                answer(repeat, self._surrogate.believe([question])[0])
            elif all(candidate in repeat.history.seen for candidate in repeat.waiting.candidates):
                answer(repeat, repeat.history)
            else:
                return repeat.waiting
        return None
