"""The other end of `apart`: takes calls, answers each with a line of JSON."""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import signal
import struct
import sys
from collections.abc import Generator
from typing import Any, BinaryIO

from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.io.leaving import leave_with


def main(pipe: int, parent: int) -> None:
    """Answer calls from standard input until it ends or the process `parent` is gone."""
    calls = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a plug-in that reads from the terminal shall not read calls
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable(all_threads=False)
    leave_with(parent)
    while (call := _next(calls)) is not None:
        try:
            function, arguments = pickle.loads(call)
            value = function(*arguments)
            while isinstance(value, Generator):
                try:
                    send(pipe, {"yielded": next(value)})
                except StopIteration as end:
                    value = end.value
            answer = {"value": value}
        except ArchrankError as error:
            answer = {"error": str(error)}
        except BaseException as error:
            answer = {"error": one_line(error)}
        send(pipe, answer)


def send(pipe: int, answer: dict[str, Any]) -> None:
    """Write one answer."""
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(pipe, data) :]


def _next(calls: BinaryIO) -> bytes | None:
    head = calls.read(8)
    return calls.read(struct.unpack("<Q", head)[0]) if len(head) == 8 else None


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
