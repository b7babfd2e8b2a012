"""How many threads libraries of numbers may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Every library that has threads of its own (torch, BLAS, OpenMP) takes this many inside. Ensembles of small
    networks gain nothing from a second one, and on a busy machine lose a multiple by threads that wait for each other;
    the number of threads also decides the last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
