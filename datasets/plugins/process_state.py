"""The state of the process that everybody's code shares, kept as it was across a stranger's code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# Its name, how it is read, and how it is put back.
State = tuple[str, Callable[[], Any], Callable[[Any], Any]]
OF_PYTORCH = ("TORCHINDUCTOR_CACHE_DIR",)  # variables that PyTorch sets by itself when it is first used


@contextmanager
def unchanged() -> Iterator[list[str]]:
    """Put the process's state back as it was when the block ends, however it ends. The list given then names what had
    changed.

    That is: PyTorch's default dtype and device, gradient and anomaly mode, threads, matmul precision, deterministic and
    cuDNN flags, where PyTorch is imported before the block; NumPy's error state; warning filters, `sys.path`, the
    environment, the working directory, signal handlers, the recursion limit and the standard streams.
    """
    changed: list[str] = []
    before = [(name, get(), get, put) for name, get, put in _states()]
    try:
        yield changed
    finally:
        for name, value, get, put in before:
            if get() != value:
                changed.append(name)
                with suppress(OSError, ValueError):  # a working directory that is gone
                    put(value)


def _states() -> list[State]:
    import numpy as np

    states: list[State] = [
        *(_states_of_torch() if "torch" in sys.modules else []),
        ("NumPy's error state", np.geterr, lambda value: np.seterr(**value)),
        ("warning filters", _filters, _put_filters),
        ("sys.path", lambda: [*sys.path], lambda value: sys.path.__setitem__(slice(None), value)),
        ("environment", _environment, _put_environment),
        ("working directory", _folder, os.chdir),
        ("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        ("standard streams", lambda: (sys.stdin, sys.stdout, sys.stderr), _put_streams),
    ]
    if threading.current_thread() is threading.main_thread():  # only it may set a handler
        states.append(("signal handlers", _handlers, _put_handlers))
    return states


def _states_of_torch() -> list[State]:
    import torch

    cudnn = torch.backends.cudnn
    return [
        ("default dtype", torch.get_default_dtype, torch.set_default_dtype),
        # Set to None, and not to "cpu", there is no default device at all, as in a fresh process.
        (
            "default device",
            torch.get_default_device,
            lambda value: torch.set_default_device(None if value.type == "cpu" else value),
        ),
        ("gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
        ("anomaly mode", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        ("threads", torch.get_num_threads, torch.set_num_threads),
        ("matmul precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (
            "deterministic algorithms",
            lambda: (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
            lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
        ),
        ("cuDNN flags", lambda: (cudnn.enabled, cudnn.benchmark, cudnn.deterministic), _put_cudnn),
    ]


def _put_cudnn(flags: tuple[bool, bool, bool]) -> None:
    from torch.backends import cudnn

    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = flags


def _filters() -> list[Any]:
    """Those that are about all warnings of one of Python's own kinds; libraries that are imported late add narrower
    ones for theirs."""
    return [entry for entry in warnings.filters if _is_broad(entry)]


def _put_filters(filters: list[Any]) -> None:
    narrow = [entry for entry in warnings.filters if not _is_broad(entry)]
    warnings.resetwarnings()  # also makes Python forget which warnings it has shown under the others
    warnings.filters[:] = [*narrow, *filters]  # type: ignore[index]


def _is_broad(entry: Any) -> bool:
    _, message, category, module, _ = entry
    return message is None and module is None and category.__module__ == "builtins"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in OF_PYTORCH}


def _put_environment(values: dict[str, str]) -> None:
    for name in _environment().keys() - values:
        del os.environ[name]
    os.environ.update(values)


def _folder() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def _put_streams(streams: tuple[Any, Any, Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams


def _handlers() -> dict[signal.Signals, Any]:
    return {number: signal.getsignal(number) for number in signal.Signals}


def _put_handlers(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)
