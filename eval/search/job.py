"""One search as whoever does it is given it, and doing it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from archrank.datasets import Benchmark
from archrank.datasets.errors import ArchrankError, one_line
from archrank.eval.engine.recipes import RecipeChoice
from archrank.eval.search.plan import SearchTask
from archrank.eval.search.pool import Pool
from archrank.eval.search.traces import write_search
from archrank.eval.trials.specs import Spec

PretrainedName = tuple[str, str, str]
"""Benchmark, encoder and configuration of an encoding that is pre-trained."""


@dataclass(frozen=True, eq=False)
class Job:
    """One search: its number among those to do, the task, its predictor, the encodings that guide it by role, how
    networks are trained, the store and the device."""

    number: int
    task: SearchTask
    spec: Spec | None
    guides: dict[str, Spec]
    recipe: RecipeChoice
    store: Path
    device: str

    @property
    def specs(self) -> list[Spec]:
        """Its predictor, if it has one, and the encodings that guide it."""
        return [*self.guides.values(), *([self.spec] if self.spec else [])]

    @property
    def pretrained(self) -> set[PretrainedName]:
        """Names of the encodings that have to be pre-trained before it."""
        return {self._name(spec) for spec in self.specs if spec.info.pretrained}

    def _name(self, spec: Spec) -> PretrainedName:
        return self.task.benchmark, spec.info.name, repr(spec.config)

    def search(self, benchmark: Benchmark, on_progress: Callable[[float], None]) -> str:
        """Run and store the search; returns why it failed, or nothing. on_progress: told the share that is done."""
        from archrank.eval.engine.threads import limited
        from archrank.eval.search.loop import search_task
        from archrank.eval.trials.provenance import provenance

        task = self.task
        try:
            with limited(1), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a regressor at the edge of its bounds says so at every fit
                pool = _pool(benchmark, task)
                traces = search_task(
                    task, self.spec, self.recipe, pool, self.store, self.device, on_progress, self.guides
                )
            write_search(self.store, task, traces.rows, traces.seconds, provenance(self.device, 1))
        except ArchrankError as error:
            return str(error)
        except (Exception, SystemExit) as error:
            return one_line(error)
        return ""

    def pretrain(self, benchmark: Benchmark, name: PretrainedName) -> None:
        """Pre-train the encoding of that name, and keep it in the store."""
        from archrank.eval.engine.threads import limited
        from archrank.eval.search.surrogate import encoded

        with limited(1):
            for spec in self.specs:
                if self._name(spec) == name:
                    encoded(spec, _pool(benchmark, self.task), self.task.target, self.store)


def _pool(benchmark: Benchmark, task: SearchTask) -> Pool:
    """The pool of a task; its neighbours and encodings are computed once in a process."""
    name = (benchmark.content_hash, task.target, task.test, task.within)
    if name not in _POOLS:
        _POOLS[name] = task.pool(benchmark)
    return _POOLS[name]


_POOLS: dict[tuple[str, str, str, str], Pool] = {}
