"""A process of its own for code of users that is imported or tried out: one that crashes, hangs, exits or prints does
so there."""

from __future__ import annotations

import atexit
import json
import os
import pickle
import re
import select
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from archrank.datasets.errors import ArchrankError

# Seconds that importing a plug-in or trying it out on two architectures may take.
PATIENCE = 180.0


class Apart:
    """Starts the process when it is first needed, and again after it died. What it prints goes nowhere."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def call(
        self, function: Callable[..., Any], *arguments: Any, doing: str = "", patience: float | None = None
    ) -> Any:
        """What `function(*arguments)` returns there, in JSON's types. function: at the top level of a module of
        archrank.

        doing: what it is about, for messages. ArchrankError if it raises that, dies, or takes longer than `patience`
        seconds (default `PATIENCE`).
        """
        *_, value = self.each(function, *arguments, doing=doing, patience=patience)
        return value

    def each(
        self, function: Callable[..., Any], *arguments: Any, doing: str = "", patience: float | None = None
    ) -> Iterator[Any]:
        """The same for a generator: what it yields, as it comes, then what it returns. patience: for each of them."""
        if self._process is None:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        patience = PATIENCE if patience is None else patience
        request = pickle.dumps((function, arguments))
        answer: dict[str, Any] | None = {}
        try:
            self._process.stdin.write(struct.pack("<Q", len(request)) + request)
            self._process.stdin.flush()
            while "yielded" in (answer := self._answer(time.monotonic() + patience) or {}):
                yield answer["yielded"]
        except BrokenPipeError:
            answer = {}
        except BaseException:
            self.close()
            raise
        if not answer:
            raise ArchrankError(f"{doing}: {self._end(patience)}".removeprefix(": "))
        if "error" in answer:
            raise ArchrankError(answer["error"])
        yield answer["value"]

    def _start(self) -> None:
        self._pipe, theirs = os.pipe()
        self._read = b""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        variables = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "archrank.encoders.catalog.child", str(theirs), str(os.getpid())],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)

    def _answer(self, until: float) -> dict[str, Any] | None:
        while b"\n" not in self._read:
            if not select.select([self._pipe], [], [], max(0.0, until - time.monotonic()))[0] or not (
                part := os.read(self._pipe, 1 << 16)
            ):
                return None
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end(self, patience: float) -> str:
        """End the process, and say how it ended."""
        assert self._process is not None
        process = self._process
        try:
            code = process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.close()
            return f"importing it or trying it out took longer than {patience:g} s"
        self._log.seek(0)
        frames = re.findall(
            r'^  File "(?!<)(.+)", line (\d+) in ', self._log.read().decode(errors="replace"), re.MULTILINE
        )
        self.close()
        library = sysconfig.get_path("stdlib")
        theirs = [
            (Path(file).name, line)
            for file, line in frames
            if not file.startswith(library) and "site-packages" not in file
        ]
        place = f" ({theirs[0][0]}, line {theirs[0][1]})" if theirs and code < 0 else ""
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"importing it or trying it out ended the process that did so: {how}{place}"

    def close(self) -> None:
        """End the process. The next call starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            os.close(self._pipe)
            self._log.close()
            self._process = None


@lru_cache(maxsize=1)
def apart() -> Apart:
    """The one such process of this program; ended with it."""
    process = Apart()
    atexit.register(process.close)
    return process
