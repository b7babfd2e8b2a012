"""Running a plan of searches: what is stored is kept, the rest is done, in worker processes."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from archrank.datasets import Benchmark
from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.io.leaving import leave_with
from archrank.eval.engine.recipes import RecipeChoice
from archrank.eval.runners.processes import environment, variables
from archrank.eval.search.guided import ROLES
from archrank.eval.search.plan import SearchPlan, SearchTask
from archrank.eval.search.pool import Pool
from archrank.eval.search.traces import read_searches, write_search
from archrank.eval.trials.specs import Spec

TOLD_EVERY_S = 1.0
DIED = "its worker process died; out of memory is the usual cause"


@dataclass(frozen=True, eq=False)
class Job:
    """One search as a worker is sent it: its number among those to do, the task, its predictor, the encodings that
    guide it by role, and where it runs."""

    number: int
    task: SearchTask
    spec: Spec | None
    guides: dict[str, Spec]
    recipe: RecipeChoice
    benchmark: Benchmark
    store: Path
    device: str

    @property
    def pretrained(self) -> set[tuple[str, str, str]]:
        """Names of the encodings that have to be pre-trained before it."""
        specs = [*self.guides.values(), *([self.spec] if self.spec else [])]
        return {(self.task.benchmark, s.info.name, repr(s.config)) for s in specs if s.info.pretrained}


@dataclass
class SearchSummary:
    """What a run of searches did. failed: (label, why)."""

    planned: int
    kept: int
    done: int
    failed: list[tuple[str, str]]


def run_searches(
    plan: SearchPlan,
    store: Path,
    *,
    workers: int | None = None,
    device: str = "cpu",
    on_event: Callable[[str, SearchTask, str], None] = lambda what, task, text: None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> SearchSummary:
    """Run the searches of a plan that the store does not have; a search is stored when all its repeats are done.

    Args:
        plan: what to search.
        store: the folder.
        workers: processes of one thread each (default: one per core; 0: in this process).
        device: `cpu` or `cuda`, of networks.
        on_event: told `done` or `failed`, the task, and a line.
        on_progress: told the share of the work that is done, 0 to 1, about once a second; a search without a predictor
            counts as nothing beside one with.

    Raises:
        ArchrankError: the store cannot be written.
    """
    waiting = missing_searches(plan, store)
    # Those that train networks take longest.
    waiting.sort(key=lambda task: (not task.recipe, not task.encoder))
    summary = SearchSummary(len(plan.tasks), len(plan.tasks) - len(waiting), 0, [])

    def told(task: SearchTask, problem: str) -> None:
        if problem:
            summary.failed.append((task.label, problem))
        else:
            summary.done += 1
        on_event("failed" if problem else "done", task, problem)

    jobs = [
        Job(
            number,
            task,
            plan.specs.get(task.encoder),
            {role: plan.guides[task.options[role]] for role in ROLES if role in task.options},
            plan.recipe,
            plan.benchmarks[task.benchmark],
            store,
            device,
        )
        for number, task in enumerate(waiting)
    ]
    weights = [1.0 if task.encoder else 0.01 for task in waiting]

    def progressed(shares: Sequence[float]) -> None:
        on_progress(sum(share * weight for share, weight in zip(shares, weights)) / (sum(weights) or 1.0))

    if workers == 0 or not jobs:
        shares = [0.0] * len(jobs)
        for job in jobs:

            def took(share: float, number: int = job.number) -> None:
                shares[number] = share
                progressed(shares)

            told(job.task, one_search(job, took))
            took(1.0)
        return summary
    size = min(len(jobs), workers or os.cpu_count() or 1)
    context = get_context("spawn")
    board = context.RawArray("d", len(jobs))  # without a lock, which a killed worker would keep
    with (
        variables(environment(1)),
        ProcessPoolExecutor(size, context, initializer=_begin, initargs=(os.getpid(), board)) as pool,
    ):
        running: dict[Future[str], Job] = {}
        pretraining: dict[Future[str], tuple[str, str, str]] = {}
        for job in jobs:  # every encoding once, whichever searches wait for it
            for name in sorted(job.pretrained - {*pretraining.values()}):
                pretraining[pool.submit(pretrain, job, name)] = name
        while jobs or running:
            missing = {*pretraining.values()}
            for job in [job for job in jobs if not job.pretrained & missing]:
                jobs.remove(job)
                try:
                    running[pool.submit(_in_worker, job)] = job
                except BrokenProcessPool:
                    told(job.task, DIED)
            for future in wait([*running, *pretraining], TOLD_EVERY_S, return_when=FIRST_COMPLETED).done:
                if future in running:
                    broken = isinstance(future.exception(), BrokenProcessPool)
                    job = running.pop(future)
                    board[job.number] = 1.0
                    told(job.task, DIED if broken else future.result())
                else:
                    del pretraining[future]  # one that failed fails again in each search, which says why
            progressed(board)
    return summary


def missing_searches(plan: SearchPlan, store: Path) -> list[SearchTask]:
    """The searches of a plan that a store does not have."""
    stored = {record.key for record in read_searches([store])[0]}
    return [task for task in plan.tasks if task.key not in stored]


def _begin(parent: int, board: MutableSequence[float]) -> None:
    """A worker leaves an interrupt to its parent, and ends when that was killed. board: where it notes shares."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with, args=(parent,), daemon=True).start()
    _BOARD.append(board)


def _in_worker(job: Job) -> str:
    """`one_search` in a worker process, which notes how far it is."""
    return one_search(job, lambda share: _BOARD[0].__setitem__(job.number, share))


def one_search(job: Job, on_progress: Callable[[float], None]) -> str:
    """Run and store one search; returns why it failed, or nothing. on_progress: told the share that is done."""
    import torch

    from archrank.eval.search.loop import search_task
    from archrank.eval.trials.provenance import provenance

    torch.set_num_threads(1)
    task = job.task
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a regressor at the edge of its bounds says so at every fit
            pool = _pool(job.benchmark, task)
            traces = search_task(task, job.spec, job.recipe, pool, job.store, job.device, on_progress, job.guides)
        write_search(job.store, task, traces.rows, traces.seconds, provenance(job.device, 1))
    except ArchrankError as error:
        return str(error)
    except (Exception, SystemExit) as error:
        return one_line(error)
    return ""


def pretrain(job: Job, name: tuple[str, str, str]) -> str:
    """Pre-train the encoding of that name for a search, and keep it in the store; returns its name."""
    import torch

    from archrank.eval.search.surrogate import encoded

    torch.set_num_threads(1)
    for spec in [*job.guides.values(), *([job.spec] if job.spec else [])]:
        if (job.task.benchmark, spec.info.name, repr(spec.config)) == name:
            encoded(spec, _pool(job.benchmark, job.task), job.task.target, job.store)
    return name[1]


def _pool(benchmark: Benchmark, task: SearchTask) -> Pool:
    """The pool of a task; its neighbours and encodings are computed once in a process."""
    name = (benchmark.content_hash, task.target, task.test, task.within)
    if name not in _POOLS:
        _POOLS[name] = task.pool(benchmark)
    return _POOLS[name]


_POOLS: dict[tuple[str, str, str, str], Pool] = {}
_BOARD: list[MutableSequence[float]] = []
