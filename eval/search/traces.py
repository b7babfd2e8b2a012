"""What searches queried: kept in the store, read back, and scored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from scipy.special import gammaln

from archrank.datasets import Benchmark
from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.visible import visible
from archrank.eval.search.plan import SearchTask
from archrank.eval.search.pool import Pool
from archrank.eval.trials.files import replace

Floats = NDArray[np.float64]
FOLDER = "searches"
MOST_BYTES = 1 << 26
_TASK = TypeAdapter(SearchTask)


class SearchRecord(BaseModel):
    """One search as it is stored: `<store>/searches/<key>.json`.

    task: the fields of `SearchTask`. label: what tables call it. rows: rows of the table that each repeat queried, in
    order, [R][n]; one that was paid for again occurs again. seconds: what its predictors took, all repeats together.
    provenance: as in a trial's record.
    """

    model_config = ConfigDict(extra="forbid")
    schema_: Literal[1] = Field(1, alias="schema")
    key: str
    label: str = Field(max_length=1000)
    task: dict[str, Any]
    rows: list[list[int]]
    seconds: float = Field(ge=0)
    provenance: dict[str, Any] = {}

    @model_validator(mode="after")
    def _whole(self) -> SearchRecord:
        try:
            same = self.planned.key == self.key
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"field task.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if not same:
            raise ValueError("its key is not that of its task")
        if len(self.rows) != self.planned.repeats or any(len(rows) > self.planned.queries for rows in self.rows):
            raise ValueError("its traces are not those of its task")
        return self

    @cached_property
    def planned(self) -> SearchTask:
        """The task it is of, its fields of the types they are declared with."""
        return _TASK.validate_json(json.dumps(self.task), strict=True)


def write_search(
    folder: Path, task: SearchTask, rows: list[list[int]], seconds: float, provenance: dict[str, Any]
) -> Path:
    """Store a search, whole or not at all."""
    body = {
        "schema": 1,
        "key": task.key,
        "label": task.label,
        "task": asdict(task),
        "rows": rows,
        "seconds": seconds,
        "provenance": provenance,
    }
    text = json.dumps(body, ensure_ascii=False, allow_nan=False) + "\n"
    path = folder / FOLDER / f"{task.key}.json"

    def write(scratch: Path) -> None:
        scratch.write_text(text, encoding="utf-8")

    replace(path, write)
    return path


def read_searches(folders: Iterable[Path]) -> tuple[list[SearchRecord], list[str]]:
    """The searches of some stores by key, and a line for each file that is none."""
    records: dict[str, SearchRecord] = {}
    problems = []
    for folder in folders:
        for path in sorted((folder / FOLDER).glob("[0-9a-f]*.json")):
            try:
                if not path.is_file() or path.stat().st_size > MOST_BYTES:
                    raise ValueError("it is no file, or too large")
                record = SearchRecord.model_validate_json(path.read_bytes())
                if record.key != path.stem:
                    raise ValueError("its key is not its name")
            except (OSError, ValueError, TypeError, RecursionError) as error:
                reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
                problems.append(f"{path.name}: {visible(reason)[:120]}; left out, the same search makes it again")
                continue
            records.setdefault(record.key, record)
    return [records[key] for key in sorted(records)], problems


@dataclass(frozen=True, eq=False)
class Regret:
    """What searches on one benchmark reached. label: of the search. curve: test regret [R, Q] after each query.
    seconds: per query."""

    label: str
    curve: Floats
    seconds: float


@dataclass(frozen=True, eq=False)
class Judge:
    """Scores searches on one benchmark: the test score of the architecture with the best validation score so far.

    pool: the candidates. valid, test: scores of each row of the table [N], higher is better. whole_table: whether
    regret is the gap to the best row of the table, which the pool need not hold, and not to the best of the pool.
    """

    pool: Pool
    valid: Floats
    test: Floats
    whole_table: bool = False

    @classmethod
    def of(cls, benchmark: Benchmark, task: SearchTask, whole_table: bool = False) -> Judge:
        """For searches that share the benchmark, the metrics and the pool of a task."""
        return cls(task.pool(benchmark), benchmark.oriented(task.target), benchmark.oriented(task.test), whole_table)

    @cached_property
    def optimum(self) -> float:
        """The best test score of the pool, or of the table."""
        return float(np.nanmax(self.test) if self.whole_table else self.test[self.pool.rows].max())

    @cached_property
    def out_of_reach(self) -> float:
        """By how much the best of the table is better than the best of the pool."""
        return float(np.nanmax(self.test) - self.test[self.pool.rows].max())

    def regret(self, record: SearchRecord) -> Regret:
        """Optimum minus what the search had found after each query, [R, Q]; a repeat that ended early keeps its last
        value."""
        queries = record.planned.queries
        if queries > len(self.valid):
            raise ArchrankError(f"search {record.key[:12]} says it made more queries than the table has rows")
        curves = []
        for rows in record.rows:
            if not rows or min(rows) < 0 or max(rows) >= len(self.valid):
                raise ArchrankError(f"search {record.key[:12]} names rows that the table does not have")
            best = np.array(rows)[_running_best(self.valid[rows])]
            curve = self.optimum - self.test[best]
            curves.append(np.pad(curve, (0, queries - len(curve)), mode="edge"))
        total = sum(map(len, record.rows))
        return Regret(record.label, np.array(curves), record.seconds / max(total, 1))

    def expected_random(self, queries: int) -> Floats:
        """The exact expectation [Q] of random search's test regret after each query (ties in validation broken by the
        table's order)."""
        rows = self.pool.rows
        order = np.argsort(-self.valid[rows], kind="stable")
        return self.optimum - expected_best(self.test[rows][order], queries)

    def target_regret(self, share: float = 0.001) -> float:
        """The regret of the worst architecture that is still among the best `share` of the pool."""
        scores = np.sort(self.test[self.pool.rows])[::-1]
        return float(self.optimum - scores[max(1, round(share * len(scores))) - 1])

    @cached_property
    def floor(self) -> float:
        """What regret counts as where its logarithm is taken: the gap to the second best architecture, or less by
        none."""
        scores = np.unique(self.test[self.pool.rows])
        return float(scores[-1] - scores[-2])


def _running_best(scores: Floats) -> NDArray[np.int64]:
    """Position of the first best score among the first 1, 2, ... [n]; failed ones (NaN) never count."""
    filled = np.where(np.isfinite(scores), scores, -np.inf)
    best = np.maximum.accumulate(filled)
    fresh = np.r_[True, best[1:] > best[:-1]]
    return np.maximum.accumulate(np.where(fresh, np.arange(len(scores)), 0))


def expected_best(values: Floats, queries: int) -> Floats:
    """E[value of the first in order among n draws without replacement], n = 1 ... queries: float [Q].

    values [C]: in the order of preference, best first. The k-th (from 0) is the best of n with probability
    C(C-1-k, n-1) / C(C, n).
    """
    count = len(values)
    k = np.arange(count)[None, :]
    n = np.arange(1, queries + 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        log = _log_choose(count - 1 - k, n - 1) - _log_choose(np.full_like(k, count), n)
    return np.asarray(np.exp(log) @ values, np.float64)


def _log_choose(n: NDArray[np.int64], k: NDArray[np.int64]) -> Floats:
    n, k = np.broadcast_arrays(n, k)
    possible = k <= n
    inner = np.where(possible, n, 0), np.where(possible, k, 0)
    return np.where(possible, gammaln(inner[0] + 1) - gammaln(inner[1] + 1) - gammaln(inner[0] - inner[1] + 1), -np.inf)
