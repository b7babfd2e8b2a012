"""Running a plan of searches: what is stored is kept, the rest is done, in worker processes or on a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archrank.datasets.errors import ArchrankError
from archrank.eval.runners import chosen_runner
from archrank.eval.search.guided import ROLES
from archrank.eval.search.job import Job, PretrainedName
from archrank.eval.search.places import Cluster, Place, Processes
from archrank.eval.search.plan import SearchPlan, SearchTask
from archrank.eval.search.traces import read_searches

TOLD_EVERY_S = 1.0


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
    runner: str | None = None,
    address: str | None = None,
    gpus_per_task: float = 1.0,
    on_event: Callable[[str, SearchTask, str], None] = lambda what, task, text: None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> SearchSummary:
    """Run the searches of a plan that the store does not have; a search is stored when all its repeats are done.

    Args:
        plan: what to search.
        store: the folder.
        workers: processes of one thread each (default: one per core; 0: in this process); on a cluster, tasks at a time
            at most.
        device: `cpu` or `cuda`, of networks.
        runner: `inline`, `processes` or `ray` (None: worker processes, or this process where workers is 0).
        address: of the Ray cluster: `auto` or `HOST:PORT`.
        gpus_per_task: share of a GPU that a search gets on a cluster, where device is `cuda`.
        on_event: told `done` or `failed`, the task, and a line.
        on_progress: told the share of the work that is done, 0 to 1, about once a second; a search without a predictor
            counts as nothing beside one with.

    Raises:
        ArchrankError: the store cannot be written, or the runner is unknown, not for searches, or cannot be reached.
    """
    kind = chosen_runner(runner, workers, address).name
    if kind not in ("inline", "processes", "ray"):
        raise ArchrankError(f"searches run by runner inline, processes or ray, not by {kind}")
    waiting = missing_searches(plan, store)
    # Those that train networks take longest.
    waiting.sort(key=lambda task: (not task.recipe, not task.encoder))
    summary = SearchSummary(len(plan.tasks), len(plan.tasks) - len(waiting), 0, [])

    def finished(task: SearchTask, problem: str) -> None:
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
            store,
            device,
        )
        for number, task in enumerate(waiting)
    ]
    weights = [1.0 if task.encoder else 0.01 for task in waiting]

    def progressed(shares: Sequence[float]) -> None:
        on_progress(sum(share * weight for share, weight in zip(shares, weights)) / (sum(weights) or 1.0))

    if not jobs:
        return summary
    if kind == "inline":
        _one_by_one(plan, jobs, finished, progressed)
        return summary
    place: Place
    if kind == "ray":
        gpus = gpus_per_task if device.startswith("cuda") else 0
        place = Cluster(address, workers, gpus, store, len(jobs), plan.benchmarks)
    else:
        place = Processes(min(len(jobs), workers or os.cpu_count() or 1), len(jobs), plan.benchmarks)
    with place:
        _side_by_side(place, jobs, finished, progressed)
    return summary


def missing_searches(plan: SearchPlan, store: Path) -> list[SearchTask]:
    """The searches of a plan that a store does not have."""
    stored = {record.key for record in read_searches([store])[0]}
    return [task for task in plan.tasks if task.key not in stored]


def _one_by_one(
    plan: SearchPlan,
    jobs: list[Job],
    finished: Callable[[SearchTask, str], None],
    progressed: Callable[[Sequence[float]], None],
) -> None:
    shares = [0.0] * len(jobs)
    for job in jobs:

        def took(share: float, number: int = job.number) -> None:
            shares[number] = share
            progressed(shares)

        finished(job.task, job.search(plan.benchmarks[job.task.benchmark], took))
        took(1.0)


def _side_by_side(
    place: Place,
    jobs: list[Job],
    finished: Callable[[SearchTask, str], None],
    progressed: Callable[[Sequence[float]], None],
) -> None:
    """Every encoding is pre-trained once, whichever searches wait for it; they begin when theirs are there."""
    ended = [0.0] * len(jobs)
    unmade: dict[PretrainedName, Job] = {}
    for job in jobs:
        for name in sorted(job.pretrained - unmade.keys()):
            unmade[name] = job
    pretrainings, searches = [*unmade], [*jobs]
    running: dict[Future[Any], Job | PretrainedName] = {}
    while searches or running:
        ready: list[Job | PretrainedName] = [
            *pretrainings,
            *(job for job in searches if not job.pretrained & unmade.keys()),
        ]
        for item in ready if place.limit is None else ready[: max(0, place.limit - len(running))]:
            if isinstance(item, Job):
                searches.remove(item)
                running[place.search(item)] = item
            else:
                pretrainings.remove(item)
                running[place.pretrain(unmade[item], item)] = item
        for future in wait([*running], TOLD_EVERY_S, return_when=FIRST_COMPLETED).done:
            item = running.pop(future)
            if isinstance(item, Job):
                finished(item.task, place.outcome(future))
                ended[item.number] = 1.0
            else:
                with suppress(Exception):  # one that failed fails again in each search, which says why
                    place.outcome(future)
                del unmade[item]
        progressed([max(shares) for shares in zip(place.shares(), ended)])
