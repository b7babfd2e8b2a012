"""What a search chooses from: candidates, which of them are one edit apart, and how good each turns out to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.datasets.errors import ArchrankError
from archrank.eval.search.neighbours import neighbour_rows

Ids = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pool:
    """C candidates, numbered from 0: the isomorphism classes of a table, each stood for by its first row.

    benchmark: the table. rows: the row that stands for each candidate, int64 [C]. candidate: the candidate of each row
    of the table, int64 [N], -1 where it has no score. A duplicate of a queried architecture is that candidate: a
    strategy that proposes it spends no query.
    """

    benchmark: Benchmark
    rows: Ids
    candidate: Ids

    @classmethod
    def of(cls, benchmark: Benchmark, scored: Sequence[Scores] = (), within: Ids | None = None) -> Pool:
        """The candidates of a table whose `scored` columns [N] are all there, of the rows `within` alone where some are
        given. ArchrankError where fewer than two are left."""
        usable = np.ones(len(benchmark), bool) if within is None else np.isin(np.arange(len(benchmark)), within)
        for column in scored:
            usable &= np.isfinite(column)
        rows_kept = np.flatnonzero(usable)
        _, first, number = np.unique(benchmark.isomorphism_class[rows_kept], return_index=True, return_inverse=True)
        if len(first) < 2:
            raise ArchrankError(
                f"benchmark {benchmark.name} has fewer than two architectures with a score to search among"
            )
        candidate = np.full(len(benchmark), -1, np.int64)
        # In the order of the table, so that numbers do not depend on how keys are spelt.
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        candidate[rows_kept] = rank[number]
        return cls(benchmark, rows_kept[first[order]], candidate)

    grows = False

    def __len__(self) -> int:
        return len(self.rows)

    def left(self, seen: set[int]) -> bool:
        """Whether there are candidates outside `seen`."""
        return len(seen) < len(self)

    def unseen(self, rng: np.random.Generator, seen: set[int]) -> list[int]:
        """Every candidate outside `seen`, ascending; of a pool without a table some random ones."""
        return [item for item in range(len(self)) if item not in seen]

    @cached_property
    def encodings(self) -> dict[str, NDArray[np.float64]]:
        """Fixed encodings of the whole table [N, F] that were computed for this pool, by predictor."""
        return {}

    @cached_property
    def _edges(self) -> tuple[Ids, Ids]:
        source, other = (self.candidate[rows] for rows in neighbour_rows(self.benchmark))
        pairs = np.unique(np.stack([source, other], 1)[(source >= 0) & (other >= 0) & (source != other)], axis=0)
        return np.searchsorted(pairs[:, 0], np.arange(len(self) + 1)), pairs[:, 1]

    @property
    def points(self) -> NDArray[np.float64]:
        """Where candidates lie in an encoding [C, F], for strategies that move in one; ArchrankError where none was
        named."""
        raise ArchrankError("this strategy moves in an encoding: name one as its option, such as [perturb=arch2vec]")

    def neighbours(self, candidate: int) -> Ids:
        """Candidates one edit away from any duplicate of this one, in ascending order."""
        starts, others = self._edges
        return others[starts[candidate] : starts[candidate + 1]]

    def draw(self, rng: np.random.Generator, count: int, without: set[int] | None = None) -> list[int]:
        """`count` different candidates, uniformly, none of them in `without`; fewer where there are not so many."""
        without = without or set()
        if len(without) > len(self) // 2:
            left = np.setdiff1d(np.arange(len(self)), list(without))
            return [int(item) for item in rng.permutation(left)[:count]]
        drawn: dict[int, None] = {}
        while len(drawn) < min(count, len(self) - len(without)):
            item = int(rng.integers(len(self)))
            if item not in without:
                drawn[item] = None
        return [*drawn]

    def mutate(self, rng: np.random.Generator, candidate: int) -> int:
        """A candidate one random edit away; a random one where the table has none."""
        near = self.neighbours(candidate)
        return int(rng.choice(near)) if len(near) else int(rng.integers(len(self)))
