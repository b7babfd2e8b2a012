"""Whether a step costs what it launches.

On a CPU a small network's time goes where its numbers move; on a GPU every operation is a kernel, and the host takes
longer to launch one than such a kernel runs. So a hot part may have two forms that compute the same to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_few: ContextVar[bool] = ContextVar("few", default=False)


@contextmanager
def few_launches() -> Iterator[None]:
    """Whatever the device, parts that are called inside take the form of few launches."""
    token = _few.set(True)
    try:
        yield
    finally:
        _few.reset(token)


def launch_bound(tensor: Tensor) -> bool:
    """Whether what computes with `tensor` should launch as little as it can: on every device but a CPU."""
    return tensor.device.type != "cpu" or _few.get()
