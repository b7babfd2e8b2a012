"""A worker process, from the inside: it takes a task, trains it, and reports, until the runner has no more or is gone.

A worker is two processes. The first, the keeper, is the runner's child: it runs no encoder, waits for the second, and
ends as that one ends. The second trains. So an encoder that kills its parent process kills a keeper and not the run,
and the keeper can end a training that listens to nothing. Both form a process group of their own, which the runner can
end as a whole, and which a signal to the run's group does not reach.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from archrank.datasets.io.leaving import leave_with
from archrank.eval.trials.context import Context
from archrank.eval.trials.groups import ensemble_id

BEGAN = (-1, "began", None)
"""What a worker says first of all."""
LARGEST_LOG = 2**20
"""Bytes of what an ensemble's training prints that are kept."""
PROGRESS_EVERY_S = 0.2


def work(pipe: Connection, context: Context, runner: int) -> None:
    """Entry of a worker's first process. pipe: tasks in, (number, event, value) out. runner: the process that started
    it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the runner, which then ends its workers
    os.setsid()
    keeper = os.getpid()
    if training := os.fork():
        pipe.close()
        keep(training, runner)
    leave_with(keeper)
    serve(pipe, context)


def keep(training: int, runner: int) -> None:
    """Wait for the process `training`, end as it ends, and end it when the process `runner` is gone. Does not
    return."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        ended, status = os.waitpid(training, os.WNOHANG)
        if ended:
            break
        if os.getppid() != runner:
            os.killpg(0, signal.SIGKILL)
        if hasattr(signal, "sigtimedwait"):
            signal.sigtimedwait({signal.SIGCHLD}, 0.2)
        else:  # macOS
            time.sleep(0.05)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 1)


def serve(pipe: Connection, context: Context) -> None:
    """Train what comes through the pipe until None comes, or the runner is gone."""
    import torch

    from archrank.eval.trials.execute import execute
    from archrank.eval.trials.files import NotWritten

    torch.set_num_threads(context.threads)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what was printed before a crash is not lost
    send(pipe, BEGAN)
    while (task := receive(pipe)) is not None:
        number, group, benchmark = task
        with output_in(log_path(context.store, ensemble_id(group.members))):
            try:
                execute(group, context, partial(report, pipe, number, [0.0]), benchmark)
            except NotWritten as error:
                send(pipe, (number, "stopped", str(error)))
                return
        send(pipe, (number, "finished", None))


def receive(pipe: Connection) -> Any:
    """The next task; None when there is no more, or when the runner is gone."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def send(pipe: Connection, message: tuple[int, str, Any]) -> None:
    """Send a message; if the runner is gone, end: that is no failure of a trial, so nothing may be stored about it."""
    try:
        pipe.send(message)
    except OSError:
        os._exit(1)


def report(pipe: Connection, number: int, last: list[float], event: str, value: Any) -> None:
    """Send what happens to a group, its progress every now and then. last: when it was sent last."""
    if event == "progress":
        if time.monotonic() - last[0] < PROGRESS_EVERY_S:
            return
        last[0] = time.monotonic()
    send(pipe, (number, event, value))


def log_path(store: Path, ensemble: str) -> Path:
    """Where what an ensemble's training prints is kept."""
    return store / "logs" / f"{ensemble}.log"


@contextlib.contextmanager
def output_in(path: Path) -> Iterator[None]:
    """Everything that this process prints meanwhile goes to a file, its first `LARGEST_LOG` bytes; an empty one is
    removed.

    That is true of what is printed by any language, and of the place in the code where a signal ended the process.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    except OSError:  # a store that cannot be written is found out when a trial is stored
        file = os.open(os.devnull, os.O_WRONLY)
    redirect(file)
    full = threading.Event()
    threading.Thread(target=_limit, args=(file, full), daemon=True).start()
    faulthandler.enable(2)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        full.set()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        redirect(nowhere)
        os.close(nowhere)
        os.close(file)
        with contextlib.suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()


def redirect(file: int) -> None:
    """Standard output and error go to an open file from now on."""
    for standard in (1, 2):
        os.dup2(file, standard)


def _limit(file: int, done: threading.Event) -> None:
    while not done.wait(0.2):
        if os.fstat(file).st_size > LARGEST_LOG:
            os.write(file, b"\n... the rest is not kept\n")
            nowhere = os.open(os.devnull, os.O_WRONLY)
            redirect(nowhere)
            os.close(nowhere)
            return
