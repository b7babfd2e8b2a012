"""Running a plan of searches: what is stored is kept, the rest is done, in worker processes."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from archrank.datasets import Benchmark
from archrank.datasets.errors import ArchrankError, one_line
from archrank.eval.engine.recipes import RecipeChoice
from archrank.eval.runners.processes import environment, variables
from archrank.eval.runners.worker import leave_with
from archrank.eval.search.plan import SearchPlan, SearchTask, oriented
from archrank.eval.search.pool import Pool
from archrank.eval.search.traces import read_searches, write_search
from archrank.eval.trials.specs import Spec


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
) -> SearchSummary:
    """Run the searches of a plan that the store does not have; a search is stored when all its repeats are done.

    Args:
        plan: what to search.
        store: the folder.
        workers: processes of one thread each (default: one per core; 0: in this process).
        device: `cpu` or `cuda`, of networks.
        on_event: told `done` or `failed`, the task, and a line.

    Raises:
        ArchrankError: the store cannot be written.
    """
    stored = {record.key for record in read_searches([store])[0]}
    waiting = [task for task in plan.tasks if task.key not in stored]
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
        (task, plan.specs.get(task.encoder), plan.recipe, plan.benchmarks[task.benchmark], store, device)
        for task in waiting
    ]
    if workers == 0 or not jobs:
        for job in jobs:
            told(job[0], one_search(*job))
        return summary
    size = min(len(jobs), workers or os.cpu_count() or 1)
    with (
        variables(environment(1)),
        ProcessPoolExecutor(size, get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)) as pool,
    ):
        running = {pool.submit(one_search, *job): job[0] for job in jobs}
        for future in as_completed(running):
            try:
                told(running[future], future.result())
            except BrokenProcessPool:
                told(running[future], "its worker process died; out of memory is the usual cause")
    return summary


def _begin(parent: int) -> None:
    """A worker leaves an interrupt to its parent, and ends when that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with, args=(parent,), daemon=True).start()


def one_search(
    task: SearchTask, spec: Spec | None, recipe: RecipeChoice, benchmark: Benchmark, store: Path, device: str
) -> str:
    """Run and store one search; returns why it failed, or nothing."""
    import torch

    from archrank.eval.search.loop import search_task
    from archrank.eval.trials.provenance import provenance

    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a Gaussian process at the edge of its bounds says so at every fit
            pool = Pool.of(benchmark, [oriented(benchmark, task.target), oriented(benchmark, task.test)])
            traces = search_task(task, spec, recipe, pool, store, device)
        write_search(store, task, traces.rows, traces.seconds, provenance(device, 1))
    except ArchrankError as error:
        return str(error)
    except (Exception, SystemExit) as error:
        return one_line(error)
    return ""
