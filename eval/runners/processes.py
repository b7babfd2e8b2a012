"""Worker processes: each takes a group, trains it on one thread, and reports. A worker that dies costs its own group and nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import ArchrankError
from archrank.eval.trials.groups import Group

if TYPE_CHECKING:
    from archrank.datasets import Benchmark
    from archrank.eval.trials.execute import Context

Told = Callable[[int, str, Any], None]
# A training step frees and asks for the same tensors again, thousands of times: glibc shall keep them instead of giving pages back to the kernel.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_TOP_PAD_": str(2**26)}
# What a worker says first of all.
BEGAN = (-1, "began", None)


def environment(threads: int) -> dict[str, str]:
    """What a worker runs under: a number of threads, and an allocator that keeps its memory."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)} | KEEP_MEMORY


def start(process: Any, threads: int, **more: str) -> None:
    """Start a process in that `environment`, which it reads before it imports numpy and torch; an interrupt reaches this process and not that one."""
    wanted = environment(threads) | more
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    # What is held back here stays so in a process that is started; what comes all the same, through another thread, waits until it is there.
    # Only the main thread may say so.
    came: list[int] = []
    resource_tracker.ensure_running()  # its start, else a part of the first process's, lets interrupts through again
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number)) if threading.current_thread() is threading.main_thread() else None
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
            if came:
                signal.raise_signal(signal.SIGINT)


def work(pipe: Connection, context: Context, threads: int, parent: int) -> None:
    """A worker's life: receive (number, group, benchmark or None), train, tell; end on None or when the process `parent` is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()
    import torch

    from archrank.eval.trials.execute import execute
    from archrank.eval.trials.store import NotWritten

    torch.set_num_threads(threads)
    pipe.send(BEGAN)

    class Telling:
        def __init__(self, number: int) -> None:
            self.number, self.last = number, 0.0

        def tell(self, what: str, value: Any) -> None:
            try:
                pipe.send((self.number, what, value))
            except OSError:
                os._exit(1)  # The parent is gone. That is no failure of the trial: nothing may be stored about it.

        def progress(self, share: float) -> None:
            if time.monotonic() - self.last > 0.2:
                self.last = time.monotonic()
                self.tell("progress", share)

        def stored(self, key: str, status: str) -> None:
            self.tell("stored", (key, status))

    while (task := _next(pipe)) is not None:
        number, group, benchmark = task
        telling = Telling(number)
        try:
            execute(group, context, telling, benchmark)
        except NotWritten as error:
            telling.tell("stopped", str(error))
            return
        telling.tell("finished", None)


def _next(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        return None


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    doing: int | None = None
    began: bool = False


@dataclass
class Pool:
    """As many workers as asked for, started when there is work for them."""

    context: Context
    size: int
    threads: int = 1
    workers: list[_Worker] = field(default_factory=list)

    def run(self, groups: Sequence[Group], benchmarks: Sequence[Benchmark | None], told: Told) -> None:
        """Train every group. told(number, what, value): `started`, `progress` (share), `stored` (key, status), `lost` (reason), `finished`."""
        waiting = list(range(len(groups)))
        running: dict[int, str | None] = {}
        try:
            while waiting or running:
                self._hand_out(groups, benchmarks, waiting, running, told)
                pipes = {worker.pipe: worker for worker in self.workers}
                for ready in wait(list(pipes), timeout=5.0):
                    worker = pipes[ready]  # type: ignore[index]
                    try:
                        message = worker.pipe.recv()
                    except (EOFError, OSError):
                        self._bury(worker, running, told)
                        continue
                    worker.began = True
                    if message == BEGAN:
                        continue
                    number, what, value = message
                    if what == "stopped":
                        raise ArchrankError(value)
                    if what == "finished":
                        worker.doing = None
                        running.pop(number)
                    told(number, what, value)
        finally:
            self.close()

    def _hand_out(self, groups: Sequence[Group], benchmarks: Sequence[Benchmark | None], waiting: list[int],
                  running: dict[int, str | None], told: Told) -> None:
        while waiting:
            busy = {chain for chain in running.values() if chain is not None}
            number = next((n for n in waiting if groups[n].chain not in busy), None)
            worker = next((worker for worker in self.workers if worker.doing is None), None)
            if number is None or (worker is None and len(self.workers) >= self.size):
                return
            worker = worker or self._hire()
            waiting.remove(number)
            running[number], worker.doing = groups[number].chain, number
            told(number, "started", None)
            try:
                worker.pipe.send((number, groups[number], benchmarks[number]))
            except (BrokenPipeError, OSError):
                self._bury(worker, running, told)

    def _hire(self) -> _Worker:
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(target=work, args=(theirs, self.context, self.threads, os.getpid()), daemon=True)
        start(process, self.threads)
        theirs.close()
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker

    def _bury(self, worker: _Worker, running: dict[int, str | None], told: Told) -> None:
        worker.process.join(timeout=5)
        self.workers.remove(worker)
        code = worker.process.exitcode
        if not worker.began and code is not None and code > 0:
            raise ArchrankError(f"a worker process ended before it began (exit code {code}); a script must guard its entry with "
                                "`if __name__ == '__main__':`, as Python's multiprocessing asks, or train in its own process (workers=0)")
        if code in (-signal.SIGINT, -signal.SIGTERM):
            raise ArchrankError(f"a worker process was ended from outside (signal {-code}): what is finished is stored, the same command does the rest")
        if worker.doing is not None:
            running.pop(worker.doing, None)
            why = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            told(worker.doing, "lost", f"the worker process died ({why})" + ("; out of memory is the usual cause" if code == -signal.SIGKILL else ""))

    def close(self) -> None:
        """End all workers: the idle ones by word, the others at once."""
        for worker in self.workers:
            with contextlib.suppress(BrokenPipeError, OSError):
                worker.pipe.send(None)
            if worker.doing is not None:
                worker.process.kill()
        for worker in self.workers:
            worker.process.join(timeout=5)
        self.workers = []
