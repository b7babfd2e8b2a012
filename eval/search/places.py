"""Where searches are done: in worker processes of this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Mapping, MutableSequence, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from archrank.datasets import Benchmark
from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.leaving import leave_with
from archrank.eval.runners.processes import environment, variables
from archrank.eval.runners.ray import board_here, noting, unpickled
from archrank.eval.runners.ray_pool import RayPool
from archrank.eval.runners.travelling import Luggage, arrived, bring, pack, put_into
from archrank.eval.search.job import Job, PretrainedName
from archrank.eval.search.traces import FOLDER
from archrank.eval.trials.specs import Spec

DIED = "its worker process died; out of memory is the usual cause"


class Place(Protocol):
    """Does searches, several at a time. limit: how many are handed over at a time at most; None: all."""

    limit: int | None

    def search(self, job: Job) -> Future[Any]:
        """Begin a search; `outcome` says how it went."""

    def pretrain(self, job: Job, name: PretrainedName) -> Future[Any]:
        """Begin to pre-train an encoding that a search needs."""

    def outcome(self, done: Future[Any]) -> str:
        """Of something that has ended: why it failed, or nothing; what it made is in the store."""

    def shares(self) -> Sequence[float]:
        """How much of each search is done, by number, as far as is known."""

    def __enter__(self) -> Place: ...

    def __exit__(self, *error: object) -> None: ...


class Processes:
    """Worker processes of one thread each. size: how many. count: of searches. benchmarks: by name."""

    limit: int | None = None

    def __init__(self, size: int, count: int, benchmarks: Mapping[str, Benchmark]) -> None:
        context = get_context("spawn")
        self.benchmarks = benchmarks
        self._board = context.RawArray("d", count)  # without a lock, which a killed worker would keep
        self._pool = ProcessPoolExecutor(size, context, initializer=_begin, initargs=(os.getpid(), self._board))

    def search(self, job: Job) -> Future[Any]:
        """See `Place`."""
        return self._submit(_search_in_worker, job)

    def pretrain(self, job: Job, name: PretrainedName) -> Future[Any]:
        """See `Place`."""
        return self._submit(_pretrain_in_worker, job, name)

    def _submit(self, function: Any, job: Job, *more: Any) -> Future[Any]:
        try:
            return self._pool.submit(function, job, self.benchmarks[job.task.benchmark], *more)
        except BrokenProcessPool as error:
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken

    def outcome(self, done: Future[Any]) -> str:
        """See `Place`."""
        try:
            return str(done.result())
        except BrokenProcessPool:
            return DIED

    def shares(self) -> Sequence[float]:
        """See `Place`."""
        return [*self._board]

    def __enter__(self) -> Processes:
        self._stack = ExitStack()
        self._stack.enter_context(variables(environment(1)))
        self._stack.enter_context(self._pool)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def _begin(parent: int, board: MutableSequence[float]) -> None:
    """A worker leaves an interrupt to its parent, and ends when that was killed. board: where it notes shares."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with, args=(parent,), daemon=True).start()
    _BOARD.append(board)


def _search_in_worker(job: Job, benchmark: Benchmark) -> str:
    return job.search(benchmark, lambda share: _BOARD[0].__setitem__(job.number, share))


def _pretrain_in_worker(job: Job, benchmark: Benchmark, name: PretrainedName) -> str:
    job.pretrain(benchmark, name)
    return ""


_BOARD: list[MutableSequence[float]] = []


class Cluster:
    """Tasks of a Ray cluster, which share no files with this machine: each works in a folder of its own and returns its
    files, which this process stores.

    Args:
        address: of the cluster, as `RayRunner` takes it.
        limit: tasks at a time at most; None: as many as the cluster has room for.
        gpus: share of a GPU that a task gets; 0: none.
        store: where results go.
        count: of searches.
        benchmarks: by name; each goes to a node once.

    Raises:
        ArchrankError: Ray is not installed or cannot be reached.
    """

    def __init__(
        self,
        address: str | None,
        limit: int | None,
        gpus: float,
        store: Path,
        count: int,
        benchmarks: Mapping[str, Benchmark],
    ) -> None:
        self.limit, self.store = limit, store
        self._pool = RayPool(address, gpus)
        self._tables = {
            name: (benchmark.content_hash, self._pool.put(pickle.dumps(benchmark)))
            for name, benchmark in benchmarks.items()
        }
        self._board = board_here(self._pool.ray)
        self._shares = [0.0] * count

    def search(self, job: Job) -> Future[Any]:
        """See `Place`."""
        return self._submit(job, None)

    def pretrain(self, job: Job, name: PretrainedName) -> Future[Any]:
        """See `Place`."""
        return self._submit(job, name)

    def _submit(self, job: Job, name: PretrainedName | None) -> Future[Any]:
        known = bring(self.store, ["pretraining"]) if any(spec.pretrained for spec in job.specs) else []
        luggage = {spec.info.place: pack(spec.info) for spec in job.specs}
        return self._pool.submit(_on_a_node, job, *self._tables[job.task.benchmark], luggage, known, name, self._board)

    def outcome(self, done: Future[Any]) -> str:
        """See `Place`."""
        try:
            files, problem = done.result()
            put_into(self.store, files)
        except ArchrankError as error:
            return str(error)
        return str(problem)

    def shares(self) -> Sequence[float]:
        """See `Place`."""
        for number, _, share in self._pool.ray.get(self._board.take.remote()):
            self._shares[number] = max(share, self._shares[number])  # one that Ray began again stands still at first
        return self._shares

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()


def _on_a_node(
    job: Job,
    table: str,
    benchmark: bytes,
    luggage: Mapping[str, Luggage | None],
    known: list[tuple[str, bytes]],
    name: PretrainedName | None,
    board: Any,
) -> tuple[list[tuple[str, bytes]], str]:
    """Search, or pre-train the encoding of a name, in a folder of its own: the files that shall be in the store, and
    why it failed or nothing. table: the benchmark's content hash. luggage: by encoder. known: files of the store."""
    note = noting(board, job.number)
    with TemporaryDirectory(prefix="archrank-") as folder:
        top = Path(folder).resolve()
        put_into(top / "store", known)

        def here(spec: Spec) -> Spec:
            source = top / f"source-{len([*top.iterdir()])}"
            return replace(spec, info=arrived(spec.info, luggage[spec.info.place], source))

        moved = replace(
            job,
            store=top / "store",
            spec=here(job.spec) if job.spec else None,
            guides={role: here(spec) for role, spec in job.guides.items()},
        )
        problem = ""
        if name:
            moved.pretrain(unpickled(table, benchmark), name)
        else:
            problem = moved.search(unpickled(table, benchmark), lambda share: note("progress", share))
        return [file for file in bring(moved.store, ["pretraining", FOLDER]) if file not in known], problem
