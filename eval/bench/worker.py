"""Measuring in a process of its own, so that its memory is its own and nothing that ran before it helps or hinders."""

from __future__ import annotations

import signal
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from archrank.datasets.errors import ArchrankError, one_line
from archrank.eval.runners.processes import start


class Worker:
    """A process that measures one variant of one case after another; use it in a `with` block."""

    def __init__(self, threads: int = 1) -> None:
        self.pipe, theirs = get_context("spawn").Pipe()
        self.process = get_context("spawn").Process(target=serve, args=(theirs, threads), daemon=True)
        start(self.process, threads, KINETO_LOG_LEVEL="99")  # the level keeps the profiler from chatting on stderr
        theirs.close()

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Have something measured (a method of `MeasurementServer`); ArchrankError with what went wrong there, also if
        the process died."""
        try:
            self.pipe.send((what, arguments))
            answer: dict[str, Any] = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(5)
            code = self.process.exitcode
            raise ArchrankError(
                f"the measuring process died ({f'signal {-code}' if code and code < 0 else f'exit code {code}'}); out of memory "
                "is the usual cause"
            ) from None
        if "error" in answer:
            raise ArchrankError(answer["error"])
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pipe.close()
        self.process.join(2)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def serve(pipe: Connection, threads: int) -> None:
    """A worker's life: (name of a method of `MeasurementServer`, arguments) in, a dictionary out, until the pipe
    closes."""
    # An interrupt is for the process that arranges the measuring; when that ends, the pipe does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from archrank.eval.bench.server import MeasurementServer

    server = MeasurementServer(threads)
    while True:
        try:
            what, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = getattr(server, what)(**arguments)
        except ArchrankError as error:
            answer = {"error": str(error)}
        except Exception as error:  # whatever an encoder raises ends this measurement and no other
            answer = {"error": one_line(error)}
        pipe.send(answer)
