"""Inference time of a cell's network on this machine's CPU, on one thread.

A quick pass of its own after the training, since a measurement beside running trainings would measure them too. The
clock is the thread's CPU time: what the network itself used, with the waiting for a busy machine left out.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from archrank.datasets.digits101.builder import BuildProgress, single_thread
from archrank.datasets.digits101.network import SharedProgram, Skeleton
from archrank.datasets.nb101_cells import NB101Cell

BATCH = 64
REPEATS = 8
WARM_UP = 2
PASSES = 8
HALVES = 2


def measure(cell: NB101Cell, classes: int, size: int, skeleton: Skeleton, repeats: int = REPEATS) -> float:
    """Milliseconds for a batch of 64 images of `size` x `size` pixels: the least of `repeats` runs after two
    unmeasured.

    The least, since whatever else the machine does can only add to a run. Batch normalisation is folded into the
    convolutions. Call it inside `single_thread()`.
    """
    program = SharedProgram([cell], [0], classes, skeleton, initialise=False)
    program.fold()
    images = torch.zeros(BATCH, 1, size, size).contiguous(memory_format=torch.channels_last)
    taken = []
    with torch.inference_mode():
        for _ in range(WARM_UP + repeats):
            started = time.thread_time_ns()
            program(images)
            taken.append(time.thread_time_ns() - started)
    return min(taken[WARM_UP:]) / 1e6


def measure_all(
    cells: Sequence[NB101Cell], classes: int, size: int, skeleton: Skeleton, path: Path, quiet: bool = False
) -> list[dict[str, float]]:
    """Latency of every cell, twice: for each half of the passes, a dict from hash to the least milliseconds in them.

    Every pass goes through the cells in an order of its own, so that a slow minute does not hit the same cells twice.
    Each measurement is a line appended to `path`; those already there are kept.
    """
    passes: list[dict[str, float]] = [{} for _ in range(PASSES)]
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            number, name, milliseconds = json.loads(line)
            passes[number][name] = milliseconds
        except ValueError:  # the line a kill cut short
            continue
    done = sum(cell.hash in measured for measured in passes for cell in cells)
    with (
        path.open("a") as file,
        single_thread(),
        BuildProgress("timing cells", PASSES * len(cells), done, quiet) as advance,
    ):
        if file.tell():
            file.write("\n")
        for number, measured in enumerate(passes):
            order = np.random.default_rng(number).permutation(len(cells))
            for cell in (cells[i] for i in order):
                if cell.hash not in measured:
                    measured[cell.hash] = measure(cell, classes, size, skeleton)
                    file.write(json.dumps([number, cell.hash, measured[cell.hash]]) + "\n")
                    advance(1)
            file.flush()
            os.fsync(file.fileno())
    halves = [passes[half::HALVES] for half in range(HALVES)]
    return [{cell.hash: min(measured[cell.hash] for measured in half) for cell in cells} for half in halves]
