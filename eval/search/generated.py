"""Pools without a table: candidates come from a generator, and are numbered as they are met."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.eval.search.pool import Ids, Pool

SCREENED = 1000
TRIES = 100


@runtime_checkable
class Generator(Protocol):
    """A search space as a search walks in it. An architecture is whatever the generator makes of it."""

    def sample(self, rng: np.random.Generator) -> Any:
        """A random architecture."""
        ...

    def neighbours(self, architecture: Any) -> Sequence[Any]:
        """All architectures one edit away."""
        ...

    def name(self, architecture: Any) -> Hashable:
        """Equal for duplicates."""
        ...

    def benchmark(self, architectures: Sequence[Any]) -> Benchmark:
        """Their graphs as a table, one row each, in order; scores may be missing."""
        ...


class GeneratedPool(Pool):
    """Candidates of a generator: whatever was drawn, or lies next to what was asked about, gets the next number."""

    def __init__(self, generator: Generator) -> None:
        self.__dict__.update(generator=generator, architectures=[], numbers={}, tables={}, near={})

    generator: Generator
    architectures: list[Any]
    numbers: dict[Hashable, int]
    tables: dict[int, tuple[Benchmark, dict[str, NDArray[np.float64]]]]
    near: dict[int, Ids]

    grows = True

    def _number(self, architecture: Any) -> int:
        name = self.generator.name(architecture)
        if name not in self.numbers:
            self.numbers[name] = len(self.architectures)
            self.architectures.append(architecture)
        return self.numbers[name]

    def _table(self) -> tuple[Benchmark, dict[str, NDArray[np.float64]]]:
        if len(self) not in self.tables:
            self.tables.clear()
            self.tables[len(self)] = (self.generator.benchmark(self.architectures), {})
        return self.tables[len(self)]

    def __len__(self) -> int:
        return len(self.architectures)

    @property
    def benchmark(self) -> Benchmark:
        """All candidates so far as a table."""
        return self._table()[0]

    @property
    def encodings(self) -> dict[str, NDArray[np.float64]]:
        """As of a pool with a table; empty again once there are new candidates."""
        return self._table()[1]

    @property
    def rows(self) -> Ids:
        """Every candidate is a row."""
        return np.arange(len(self))

    @property
    def candidate(self) -> Ids:
        """Every row is a candidate."""
        return np.arange(len(self))

    def left(self, seen: set[int]) -> bool:
        """There are always more."""
        return True

    def unseen(self, rng: np.random.Generator, seen: set[int]) -> list[int]:
        """1,000 random candidates."""
        return self.draw(rng, SCREENED, seen)

    def draw(self, rng: np.random.Generator, count: int, without: set[int] | None = None) -> list[int]:
        """`count` different random candidates; fewer where the generator makes nothing new any more."""
        without, drawn = without or set(), dict[int, None]()
        for _ in range(TRIES * count):
            if len(drawn) == count:
                break
            number = self._number(self.generator.sample(rng))
            if number not in without:
                drawn[number] = None
        return [*drawn]

    def neighbours(self, candidate: int) -> Ids:
        """Candidates one edit away, in the generator's order."""
        if candidate not in self.near:
            numbers = [self._number(other) for other in self.generator.neighbours(self.architectures[candidate])]
            self.near[candidate] = np.array([*dict.fromkeys(n for n in numbers if n != candidate)], np.int64)
        return self.near[candidate]

    def mutate(self, rng: np.random.Generator, candidate: int) -> int:
        """A candidate one random edit away; a random one where there is none."""
        near = self.neighbours(candidate)
        return int(rng.choice(near)) if len(near) else self.draw(rng, 1)[0]
