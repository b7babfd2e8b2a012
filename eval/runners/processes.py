"""The runner that trains in worker processes of one thread each. A worker that dies fails only its own group."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.device import gpus
from archrank.eval.runners import Setup, runner
from archrank.eval.runners.base import IDLE_S, Again, GroupTask, Runner, Tasks
from archrank.eval.runners.worker import BEGAN, log_path, work
from archrank.eval.trials.context import Context
from archrank.eval.trials.groups import ensemble_id

# A training step frees and asks for the same tensors again, thousands of times: glibc shall keep them instead of giving
# pages back to the kernel. What it maps it never keeps (whatever the threshold, tensors above 32 MiB): it maps nothing.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}
CLOSING_S = 5.0


def environment(threads: int) -> dict[str, str]:
    """What a worker runs under: a number of threads, and an allocator that keeps its memory."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)} | KEEP_MEMORY


def start(process: Any, threads: int, **more: str) -> None:
    """Start a process in that `environment` (and `more` variables), deaf to interrupts until it says otherwise
    itself."""
    # numpy and torch read the environment when they are imported, so it must stand before the process begins.
    with variables(environment(threads) | more), _interrupts_later():
        process.start()


@contextlib.contextmanager
def variables(values: dict[str, str]) -> Iterator[None]:
    """The environment with these variables while the block runs, for processes that are started in it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """An interrupt that comes meanwhile is raised at the end. Processes that are started meanwhile are never
    interrupted: a signal mask is inherited."""
    # Python's own helper process is started by the first of all processes, and that lets interrupts through again:
    # start it before.
    resource_tracker.ensure_running()
    came: list[int] = []
    # Another thread of this process may take the signal in spite of the mask; Python's handler then runs in the main
    # thread, which alone may set one.
    # A process that ignores interrupts, as one that a script starts in the background does, goes on ignoring them.
    handler = signal.getsignal(signal.SIGINT)
    if waits := threading.current_thread() is threading.main_thread() and callable(handler):
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if waits:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    gpu: str | None = None
    task: GroupTask | None = None
    since: float = 0.0
    began: bool = False
    timed_out: bool = False

    def kill(self) -> None:
        """End both of its processes."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self.process.kill()  # it has not become a group yet


@dataclass
class Processes:
    """Trains in as many worker processes as asked for, started when there is work for them.

    Args:
        context: where and on what groups run.
        size: worker processes at most.
        timeout: seconds that a group may train; then its worker is ended, and its pending trials fail. None: as long as
            it takes.
        by_name: benchmarks that workers can load by name; others are sent to them.
    """

    context: Context
    size: int
    timeout: float | None = None
    by_name: frozenset[str] = frozenset()
    workers: list[_Worker] = field(default_factory=list)
    _heard_an_end: bool = True

    def run(self, tasks: Tasks) -> None:
        """Train every group.

        Raises:
            ArchrankError: a worker could not begin or was ended from outside, or the store cannot be written.
        """
        self.context = replace(self.context, isolated=True)
        asked = 0.0
        try:
            # One starts before anything is claimed: where no process can start (a script without a guarded entry runs
            # again in each), this raises.
            self._hire()
            while tasks.unfinished():
                if time.monotonic() - asked >= IDLE_S or self._heard_an_end:
                    asked, self._heard_an_end = time.monotonic(), False
                    self._hand_out(tasks)
                self._end_late_and_orphaned()
                by_handle = {
                    handle: worker for worker in self.workers for handle in (worker.pipe, worker.process.sentinel)
                }
                if not by_handle:
                    time.sleep(IDLE_S)  # everything that is left is another run's at present
                ready = wait(list(by_handle), self._longest_wait()) if by_handle else []
                for worker in {id(worker): worker for worker in map(by_handle.__getitem__, ready)}.values():
                    self._listen(worker, tasks)
        finally:
            self.close()

    def _hand_out(self, tasks: Tasks) -> None:
        """Give tasks to workers that have none, and to new ones while there may be more."""
        while True:
            worker = next((worker for worker in self.workers if worker.task is None), None)
            if worker is None and len(self.workers) >= self.size:
                return
            if (task := tasks.take()) is None:
                return
            worker = worker or self._hire()
            worker.task, worker.since = task, time.monotonic()
            benchmark = None if task.benchmark.name in self.by_name else task.benchmark
            with contextlib.suppress(BrokenPipeError, OSError):  # it died idle, which its pipe will tell
                worker.pipe.send((task.number, task.group, benchmark))

    def _listen(self, worker: _Worker, tasks: Tasks) -> None:
        """Take one message of a worker, or note that it has died."""
        if worker.process.is_alive() and not worker.pipe.poll():
            return
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker, tasks)
            return
        worker.began = True
        if message == BEGAN:
            worker.since = time.monotonic()  # its first task waited until now
            return
        number, event, value = message
        if event == "stopped":
            raise ArchrankError(value)
        if event == "finished":
            worker.task, self._heard_an_end = None, True
            tasks.finish(number)
        else:
            tasks.on_event(number, event, value)

    def _end_late_and_orphaned(self) -> None:
        """End workers that train for too long, and what is left of one whose keeper was killed."""
        for worker in self.workers:
            if (
                self.timeout is not None
                and worker.task is not None
                and worker.began
                and time.monotonic() - worker.since > self.timeout
            ):
                worker.timed_out = True
                worker.kill()
            elif not worker.process.is_alive():
                worker.kill()

    def _longest_wait(self) -> float:
        ends = (
            [worker.since + self.timeout - time.monotonic() for worker in self.workers if worker.task is not None]
            if self.timeout is not None
            else []
        )
        return min([IDLE_S, *(max(0.05, end) for end in ends)])

    def _hire(self) -> _Worker:
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(target=work, args=(theirs, self.context, os.getpid()), daemon=True)
        gpu = self._free_gpu()
        start(process, self.context.threads, **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}))
        theirs.close()
        worker = _Worker(process, ours, gpu)
        self.workers.append(worker)
        return worker

    def _free_gpu(self) -> str | None:
        """The GPU that the fewest workers have, as CUDA_VISIBLE_DEVICES names it; None where workers share what there
        is."""
        if self.context.device != "cuda" or self.size == 1:
            return None
        names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        names = names or [str(number) for number in range(gpus())]
        return min(names, key=lambda name: sum(worker.gpu == name for worker in self.workers))

    def _bury(self, worker: _Worker, tasks: Tasks) -> None:
        """Say what became of the task of a worker that died."""
        worker.process.join(timeout=CLOSING_S)
        self.workers.remove(worker)
        self._heard_an_end = True
        worker.pipe.close()
        code = worker.process.exitcode
        if worker.timed_out and worker.task is not None:
            tasks.lose(
                worker.task.number, "Timeout", f"it trained for longer than {self.timeout:g} s (--timeout)", "never"
            )
            return
        if not worker.began and code is not None and code > 0:
            raise ArchrankError(
                f"a worker process ended before it began (exit code {code}); a script must guard its entry with "
                "`if __name__ == '__main__':`, as Python's multiprocessing asks, or train in its own process (workers=0)"
            )
        if code in (-signal.SIGINT, -signal.SIGTERM):
            raise ArchrankError(
                f"a worker process was ended from outside (signal {-code}): what is finished is stored, the same command does the rest"
            )
        if worker.task is not None:
            why = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            memory = "; out of memory is the usual cause" if code == -signal.SIGKILL else ""
            log = log_path(self.context.store, ensemble_id(worker.task.group.members))
            printed = f"; what it printed is in {log}" if log.is_file() and log.stat().st_size else ""
            # Only this signal is likely to come from elsewhere: a kernel short of memory, or a person.
            again: Again = "whole" if code == -signal.SIGKILL else "alone"
            tasks.lose(worker.task.number, "WorkerLost", f"the worker process died ({why}){memory}{printed}", again)

    def close(self) -> None:
        """End all workers: the idle ones by word, the others at once."""
        for worker in self.workers:
            with contextlib.suppress(BrokenPipeError, OSError):
                worker.pipe.send(None)
            if worker.task is not None:
                worker.kill()
        for worker in self.workers:
            worker.process.join(timeout=CLOSING_S)
            if worker.process.is_alive():
                worker.kill()
            worker.pipe.close()
        self.workers = []


@runner("processes")
def processes(setup: Setup) -> Runner:
    """In worker processes of one thread each; the default."""
    if not hasattr(os, "fork"):
        raise ArchrankError(
            "worker processes need a POSIX system (Linux, macOS, WSL); elsewhere train in this process: --workers 0"
        )
    return Processes(setup.context, setup.workers, setup.timeout, setup.named)
