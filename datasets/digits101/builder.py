"""Trains the cells of a benchmark and keeps every finished one: `archrank data build digits101`.

A build folder holds `journal.jsonl`: a header line that names what is built, then one line per finished cell, appended
and flushed to the disk at once. A killed build loses the cells in flight and no others. Cells come in a seeded shuffled
order, so an unfinished journal is a fair sample of the space. `table.py` turns a journal into a benchmark.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from archrank.datasets.digits101.task import DigitsTask
from archrank.datasets.digits101.task import digits as digits_task
from archrank.datasets.digits101.training import DigitsRecipe, Trainer
from archrank.datasets.errors import DataError
from archrank.datasets.nb101_cells import NB101Cell, enumerate_cells, sample_cells

SEEDS = 6
SAMPLE = {6: 1500, 7: 2000}
SAMPLE_SEED = 101
METRICS = ("test_accuracy", "val_accuracy", "test_log_likelihood", "val_log_likelihood")


@dataclass(frozen=True)
class BuildPlan:
    """What is built: which cells, on which task, how, with how many seeds, and on which machinery.

    per_program: cells trained side by side in one program. On a CPU one cell (with all its seeds) is fastest; a GPU
    wants many.
    """

    task: DigitsTask
    cells: Sequence[NB101Cell]
    recipe: DigitsRecipe = field(default_factory=DigitsRecipe)
    seeds: int = SEEDS
    device: str = "cpu"
    workers: int = 1
    per_program: int = 1

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.workers < 1 or self.per_program < 1:
            raise DataError(
                f"seeds, workers and cells per program are 1 or more: {self.seeds}, {self.workers}, {self.per_program}"
            )
        if not self.cells:
            raise DataError("there is no cell to train")

    @property
    def header(self) -> dict[str, Any]:
        """The journal's first line; two plans with equal headers add to the same journal."""
        return {
            "journal": 1,
            "task": self.task.name,
            "digest": self.recipe.digest(self.task),
            "seeds": self.seeds,
            "recipe": asdict(self.recipe),
        }


def digits101_cells(count: int | None = None) -> list[NB101Cell]:
    """The cells of digits101 in their building order: all up to 5 vertices and seeded samples of 6 and 7, shuffled.

    count: only the first so many.
    """
    cells = [cell for vertices in range(2, 6) for cell in enumerate_cells(vertices)]
    for vertices, sampled in SAMPLE.items():
        cells += sample_cells(vertices, sampled, SAMPLE_SEED)
    if count is not None and not 1 <= count <= len(cells):
        raise DataError(f"digits101 has {len(cells)} cells, cannot build {count}")
    order = np.random.default_rng(SAMPLE_SEED).permutation(len(cells))
    return [cells[i] for i in order[:count]]


def digits101_plan(count: int | None = None, seeds: int = SEEDS, device: str = "cpu", workers: int = 1) -> BuildPlan:
    """The plan the shipped table was built with (or its first `count` cells)."""
    per_program = 1 if device == "cpu" else 64
    task = digits_task()
    return BuildPlan(task, digits101_cells(count), seeds=seeds, device=device, workers=workers, per_program=per_program)


class Journal:
    """The finished cells of a build, on disk."""

    def __init__(self, path: Path, header: dict[str, Any], resume: bool = True) -> None:
        self.path, self.records = path, dict[str, dict[str, Any]]()
        path.parent.mkdir(parents=True, exist_ok=True)
        if resume and path.exists() and path.stat().st_size:
            first_line, self.records, good = read_journal(path)
            if first_line != json.loads(json.dumps(header)):
                raise DataError(
                    f"{path} holds another build ({first_line.get('task')}, {first_line.get('seeds')} seeds, {first_line.get('digest')}); "
                    "choose another output folder, or --no-resume to start over"
                )
            os.truncate(path, good)
        else:
            path.write_text(json.dumps(header) + "\n")
        self._file = path.open("a")

    def add(self, record: dict[str, Any]) -> None:
        """Append one finished cell; it is on the disk when this returns."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records[record["arch"]] = record

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def read_journal(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]], int]:
    """(header, record of each cell by hash, length in bytes of the intact part) of a journal.

    A last line that a kill cut short is left out; a broken line anywhere else is a DataError.
    """
    intact, lines = 0, []
    content = path.read_bytes()
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        try:
            lines.append(json.loads(line))
            if not line.endswith(b"\n"):
                lines.pop()
                break
        except ValueError:
            if intact + len(line) < len(content):
                raise DataError(f"{path}: line {number} is broken; delete it to train that cell again") from None
            break
        intact += len(line)
    if not lines or "digest" not in lines[0]:
        raise DataError(f"{path} is not the journal of a build; choose another output folder")
    return lines[0], {record["arch"]: record for record in lines[1:]}, intact


def run(plan: BuildPlan, folder: Path, resume: bool = True, quiet: bool = False, pool: Executor | None = None) -> Path:
    """Train every cell of `plan` that the journal in `folder` does not hold yet; returns the journal's path.

    pool: trains the cells in place of processes of this machine, `plan.workers` of them at a time.
    Raises DataError when the folder holds another build. Interrupting is safe at any moment.
    """
    journal = Journal(folder / "journal.jsonl", plan.header, resume)
    todo = [cell for cell in plan.cells if cell.hash not in journal.records]
    done = len(plan.cells) - len(todo)
    groups = [todo[i : i + plan.per_program] for i in range(0, len(todo), plan.per_program)]
    try:
        with BuildProgress("training cells", len(plan.cells), done, quiet) as advance:
            for records in (
                _inline(plan, groups) if plan.workers == 1 and pool is None else _parallel(plan, groups, pool)
            ):
                for record in records:
                    journal.add(record)
                advance(len(records))
    finally:
        journal.close()
    return journal.path


def train_group(trainer: Trainer, cells: Sequence[NB101Cell]) -> list[dict[str, Any]]:
    """Journal records of some cells, trained as one program."""
    where = "cpu" if trainer.device.type == "cpu" else _device_name(trainer.device.index or 0)
    return [
        {
            "arch": cell.hash,
            "ops": cell.ops,
            "edges": cell.flat_edges,
            "ok": scores.finite,
            "device": where,
            **asdict(scores),
        }
        for cell, scores in zip(cells, trainer.train(cells), strict=True)
    ]


def _device_name(index: int) -> str:
    import torch

    return torch.cuda.get_device_name(index)


def _inline(plan: BuildPlan, groups: list[list[NB101Cell]]) -> Iterator[list[dict[str, Any]]]:
    trainer = Trainer(plan.task, plan.recipe, range(plan.seeds), plan.device)
    with single_thread():
        for group in groups:
            yield train_group(trainer, group)


def _parallel(plan: BuildPlan, groups: list[list[NB101Cell]], pool: Executor | None) -> Iterator[list[dict[str, Any]]]:
    # Spawned, not forked: a fork of a process that has used torch's thread pool may hang.
    context = multiprocessing.get_context("spawn")
    with pool or ProcessPoolExecutor(plan.workers, context, _start_worker) as pool:
        waiting: set[Future[list[dict[str, Any]]]] = set()
        queue = iter(groups)
        try:
            while True:
                # Two per worker at most, so that an interrupt does not wait for thousands.
                while len(waiting) < 2 * plan.workers and (group := next(queue, None)) is not None:
                    waiting.add(pool.submit(train_apart, plan.task, plan.recipe, plan.seeds, plan.device, group))
                if not waiting:
                    return
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_trainer: list[Trainer] = []


def _start_worker() -> None:
    # Ctrl-C reaches the whole group; the parent alone answers it, by stopping the pool.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def train_apart(
    task: DigitsTask, recipe: DigitsRecipe, seeds: int, device: str, cells: Sequence[NB101Cell]
) -> list[dict[str, Any]]:
    """`train_group` in a process that trains nothing else; what it needs is made once."""
    import torch

    torch.set_num_threads(1)
    if not _trainer:
        _trainer.append(Trainer(task, recipe, range(seeds), device))
    return train_group(_trainer[0], cells)


class single_thread:
    """Context in which torch computes on one thread: what bit-equal trainings need."""

    def __enter__(self) -> None:
        import torch

        self.threads = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_num_threads(self.threads)


class BuildProgress:
    """Counts finished cells: a bar with the time left on a terminal, else a plain line every 30 seconds."""

    def __init__(self, what: str, total: int, done: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.what, self.total, self.first, self.done, self.quiet = what, total, done, done, quiet
        self.console = Console(stderr=True)
        self.started = self.told = time.monotonic()
        self.bar = Progress(
            TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
            console=self.console, disable=quiet or not self.console.is_terminal,
        )  # fmt: skip
        self.row = self.bar.add_task("cells", total=total, completed=done)

    def __enter__(self) -> Any:
        self.bar.start()
        return self.advance

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def advance(self, count: int) -> None:
        """Count that many more as done."""
        self.done += count
        self.bar.advance(self.row, count)
        now = time.monotonic()
        if self.bar.disable and not self.quiet and (now - self.told > 30 or self.done == self.total):
            self.told = now
            left = (now - self.started) / (self.done - self.first) * (self.total - self.done)
            self.console.print(
                f"{self.what}: {self.done} of {self.total}, about {left / 60:.0f} min left", highlight=False
            )
