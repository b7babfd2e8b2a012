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
from archrank.eval.search.generated import GeneratedPool, Generator
from archrank.eval.search.guided import split_guides
from archrank.eval.search.loop import Repeat, answer, guided, start_repeat
from archrank.eval.search.objectives import combined, front
from archrank.eval.search.plan import check_given
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
        pool: a benchmark (own graphs: `Benchmark.from_graphs(graphs, scores)`), whose scores are not looked at; or
            a generator of candidates (`archrank.eval.search.generated.Generator`), such as
            `archrank.eval.search.spaces.darts.Darts()`.
            Isomorphic duplicates are one candidate.
        strategy: a name of `archrank list strategies`, with options as `bo[acquisition=ucb]`.
        encoder: the predictor, such as `base+gp`, for strategies that need one.
        seed: of all random numbers.
        direction: `max` or `min`: which scores are good. Of several objectives one each, `("max", "min")`; then a score
            is as many numbers, and the search is for their Pareto front (see `archrank.eval.search.objectives`).
        recipe: how a network is trained.
        folder: where pre-trained encodings are kept.

    Raises:
        ArchrankError: an unknown name, or a missing encoder.
    """

    def __init__(
        self,
        pool: Benchmark | Generator,
        strategy: str = "bo",
        encoder: str | None = "base+gp",
        *,
        seed: int = 0,
        direction: str | Sequence[str] = "max",
        recipe: str = "search",
        folder: Path | str = "results/store",
    ) -> None:
        from archrank.eval.trials.specs import named_options, parse_list

        self._directions = (direction,) if isinstance(direction, str) else tuple(direction)
        if not self._directions or set(self._directions) - {"max", "min"}:
            raise ArchrankError(f"direction is max or min, or one of them for each objective, not {direction!r}")
        name, options = named_options(strategy, "strategy")
        entry = STRATEGIES.find(name)
        self._settings = {
            "strategy": strategy,
            "encoder": encoder,
            "seed": seed,
            "direction": direction if isinstance(direction, str) else list(direction),
            "recipe": recipe,
            "pool": _content(pool),
        }
        self._pool = Pool.of(pool) if isinstance(pool, Benchmark) else GeneratedPool(pool)
        own, guides = split_guides(options, "here")
        if guides and self._pool.grows:
            raise ArchrankError("options sample and perturb need a table of candidates, not a generator")
        self._surrogate: Any = None
        if STRATEGIES[name].predicts:
            if not encoder:
                raise ArchrankError(f'strategy {name} needs a predictor: Search(pool, strategy, encoder="base+gp")')
            from archrank.eval.search.surrogate import Surrogate
            from archrank.eval.trials.recipe_files import find_recipe

            spec = parse_list([encoder], "here")[0]
            if isinstance(pool, Benchmark):
                check_given(spec, pool, "")
            self._surrogate = Surrogate(spec, self._pool, "", find_recipe(recipe), folder=Path(folder))
        seen = guided(self._pool, guides, "", Path(folder)) if guides else self._pool
        self._repeat: Repeat = start_repeat(name, entry.validate(own), seen, seed)
        self._asked: list[int] = []
        self._told: list[tuple[float, ...]] = []
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

    def tell(self, rows: Sequence[int], scores: Sequence[float | Sequence[float] | None]) -> None:
        """How good some rows turned out to be; None or NaN where an evaluation failed. Any row of the pool may be told,
        asked or not.

        ArchrankError for a row outside the pool, one told before, or scores of another number of objectives; then
        nothing is told.
        """
        if len(rows) != len(scores):
            raise ArchrankError(f"{len(rows)} rows, but {len(scores)} scores")
        values = [self._values(int(row), score) for row, score in zip(rows, scores)]
        known = set(self._repeat.history.candidates)
        candidates = []
        for row in rows:
            if not 0 <= int(row) < len(self._pool.candidate):
                raise ArchrankError(f"row {row} is not in the pool, which has {len(self._pool.candidate)}")
            candidates.append(int(self._pool.candidate[int(row)]))
            if candidates[-1] in known:
                raise ArchrankError(f"row {row} (or an isomorphic duplicate of it) was told before")
            known.add(candidates[-1])
        self._told += values
        self._asked = [candidate for candidate in self._asked if candidate not in known]
        history = self._repeat.history
        history.candidates += candidates
        signs = np.array([1.0 if direction == "max" else -1.0 for direction in self._directions])
        oriented = signs * np.array(self._told)
        history.scores[:] = (combined(oriented) if len(signs) > 1 else oriented[:, 0]).tolist()
        self._log.append([[int(row) for row in rows], [_plain(value) for value in values]])

    def _values(self, row: int, score: float | Sequence[float] | None) -> tuple[float, ...]:
        count = len(self._directions)
        if score is None:
            return (float("nan"),) * count
        values = tuple(float(value) for value in (score if isinstance(score, Sequence) else np.atleast_1d(score)))
        if len(values) != count:
            raise ArchrankError(f"row {row} has {len(values)} scores, but the search has {count} objectives")
        if np.isinf(values).any():
            raise ArchrankError(f"the score of row {row} is infinite; say None for a failed evaluation")
        return values

    def best(self) -> int | None:
        """The row with the best score so far; None where nothing was told that did not fail.

        Of several objectives, one of `front`: that with most room around it.
        """
        best = self._repeat.history.best()
        return int(self._pool.rows[best[0]]) if best else None

    def front(self) -> list[int]:
        """Rows that none told is better than in all objectives, in the order they were told; with one objective, the
        best."""
        if not self._told:
            return []
        signs = [1.0 if direction == "max" else -1.0 for direction in self._directions]
        places = front(np.array(self._told) * signs)
        return [int(self._pool.rows[self._repeat.history.candidates[place]]) for place in places]

    def architecture(self, row: int) -> Any:
        """What a row is: the generator's architecture, or its name in the benchmark."""
        if isinstance(self._pool, GeneratedPool):
            return self._pool.architectures[row]
        return self._pool.benchmark.arch[row]

    @property
    def history(self) -> pd.DataFrame:
        """One line per told row, in order: `row`, and `score` as it was told (`score_1`, `score_2`, ... of several
        objectives)."""
        count = len(self._directions)
        names = ["score"] if count == 1 else [f"score_{number + 1}" for number in range(count)]
        table = pd.DataFrame(np.array(self._told, float).reshape(-1, count), columns=names)
        table.insert(0, "row", self._pool.rows[self._repeat.history.candidates])
        return table

    def save(self, path: Path | str) -> None:
        """Write settings and everything told as JSON; `Search.load` repeats it."""
        Path(path).write_text(
            json.dumps({"archrank_search": 1, **self._settings, "told": self._log}, indent=1) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, path: Path | str, pool: Benchmark | Generator, **options: Any) -> Search:
        """A saved search on the same pool, in the state it was saved in: what it asks next is what it would have asked.

        options: `folder`. ArchrankError for a file that is none, or another pool.
        """
        try:
            body = json.loads(Path(path).read_text(encoding="utf-8"))
            answers = [([int(row) for row in rows], list(scores)) for rows, scores in body["told"]]
            settings = {name: body[name] for name in ("strategy", "encoder", "seed", "direction", "recipe")}
            content = body["pool"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise ArchrankError(f"{path} is no saved search") from None
        if content != _content(pool):
            raise ArchrankError(f"{path} is a search over another pool of architectures")
        study = cls(pool, **settings, **options)
        for rows, scores in answers:
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
                if repeat.waiting.again:
                    raise ArchrankError(
                        f"strategy {self._settings['strategy']} wants architectures evaluated again, which ask and tell "
                        "does not; leave out the option that does"
                    )
                answer(repeat, repeat.history)
            else:
                return repeat.waiting
        return None


def _content(pool: Benchmark | Generator) -> str:
    """What a saved search remembers of its pool."""
    return pool.content if isinstance(pool, Benchmark) else f"generator {type(pool).__qualname__}"


def _plain(values: tuple[float, ...]) -> float | list[float] | None:
    """Scores as they are saved."""
    if any(value != value for value in values):
        return None
    return values[0] if len(values) == 1 else [*values]
