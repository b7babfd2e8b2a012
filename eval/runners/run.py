"""Running a plan: train what is not stored, keep what is, tell how it goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archrank.datasets import Benchmark, load
from archrank.datasets.errors import ArchrankError
from archrank.encoders.catalog.apart import apart
from archrank.eval.engine.device import chosen_device
from archrank.eval.trials.groups import Group, make_groups
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Plan, Planned


@dataclass
class Summary:
    """What a run did: trials of the plan that were stored before, trained now, and failed (now or before)."""

    planned: int
    kept: int
    trained: int
    failed: int


class Watcher:
    """Told how a run goes; the command line shows it as progress bars. Does nothing by itself."""

    def begin(self, planned: int, kept: int, groups: list[Group]) -> None:
        """Before anything is trained."""

    def told(self, number: int, what: str, value: Any) -> None:
        """`started`, `progress` (share of a group), `stored` ((key, status)), `lost` (reason) or `finished`, for group `number`."""

    def end(self) -> None:
        """After the last group, or an interruption."""


def run(plan: Plan, store: Path | str, *, device: str = "cpu", workers: int | None = None, retry_failed: bool = False,
        compiled: bool = False, watcher: Watcher | None = None) -> Summary:
    """Train and store the trials of a plan that the store does not have. Always resumes.

    device: cpu, cuda, or auto (a GPU, if there is one and something to train). workers: processes of one thread each (default: one per core on a CPU;
    0: in this process). retry_failed: train failed trials again. compiled: train with compiled programs where an encoder can be (see `eval.compiled`).
    ArchrankError for a device that is not there, or if an encoder cannot be imported or built on a benchmark's space: then nothing was trained or written;
    and where the store cannot be written: then what was finished is kept.
    """
    watcher = watcher or Watcher()
    folder = Store(store)
    if workers is not None and workers < 0:
        raise ArchrankError(f"workers is 0 (train in this process) or more, not {workers}")
    settled = folder.settled(item.trial.key for item in plan.trials)
    failed = {key for key, status in settled.items() if status == "failed" and not retry_failed}
    stored = {key for key, status in settled.items() if status == "done"} | failed
    pending = [item for item in plan.trials if item.trial.key not in stored]
    if pending:
        _check_encoders(plan, pending, apart_from_here=workers != 0)
    # Looking for a GPU takes importing torch, for which a run that has nothing to do does not wait.
    device = "cpu" if device == "auto" and not pending else chosen_device(device)
    groups = make_groups(plan.trials, stored, folder, device)
    watcher.begin(len(plan.trials), len(plan.trials) - len(pending), groups)
    trained: set[str] = set()
    if groups:
        _train(plan, groups, folder, device, compiled, workers, watcher, trained, failed)
    return Summary(len(plan.trials), len(plan.trials) - len(pending), len(trained), len(failed))


def _train(plan: Plan, groups: list[Group], folder: Store, device: str, compiled: bool, workers: int | None, watcher: Watcher,
           trained: set[str], failed: set[str]) -> None:
    from archrank.eval.trials.execute import Context, execute, write_lost

    context = Context(folder.folder, device, compiled=compiled)

    def told(number: int, what: str, value: Any) -> None:
        if what == "lost":
            failed.update(write_lost(groups[number], context, value, trained | failed))
            trained.update(groups[number].wanted - failed)
        elif what == "stored":
            (trained if value[1] == "done" else failed).add(value[0])
        elif what == "finished":
            folder.close_journal(groups[number].journal)
        watcher.told(number, what, value)

    objects = [plan.benchmarks[group.first.benchmark] for group in groups]
    if workers is None:
        workers = 1 if device.startswith("cuda") else min(len(groups), os.cpu_count() or 1)
    try:
        if workers == 0:
            for number, group in enumerate(groups):
                told(number, "started", None)
                execute(group, context, _Inline(number, told), objects[number])
                told(number, "finished", None)
        else:
            from archrank.eval.runners.processes import Pool

            named = {name for name, benchmark in plan.benchmarks.items() if _loads(benchmark)}
            Pool(context, workers).run(groups, [None if b.name in named else b for b in objects], told)
    finally:
        watcher.end()


def _loads(benchmark: Benchmark) -> bool:
    """Whether workers get this very table by its name, so that it need not be sent to them."""
    try:
        return load(benchmark.name).table == benchmark.table
    except ArchrankError:
        return False


def _check_encoders(plan: Plan, pending: list[Planned], apart_from_here: bool) -> None:
    """Import and build every encoder that will be trained, once, on each space: a broken plug-in stops here with one line.

    apart_from_here: plug-ins are tried in a process of their own, as they are trained, so that one that crashes or hangs takes nobody with it.
    """
    from archrank.eval.trials.execute import probe

    first = {(item.spec.label, item.trial.benchmark): item for item in reversed(pending)}
    for (label, name), item in reversed(first.items()):
        few = plan.benchmarks[name].subset([0, 1])
        if item.spec.info.origin == "built-in" or not apart_from_here:
            probe(item, few)
        else:
            apart().call(probe, item, few, doing=f"encoder {label} on {name}")
    apart().close()


class _Inline:
    """Events of a group trained in this process."""

    def __init__(self, number: int, told: Callable[[int, str, Any], None]) -> None:
        self.number, self._told = number, told

    def progress(self, share: float) -> None:
        """Pass it on."""
        self._told(self.number, "progress", share)

    def stored(self, key: str, status: str) -> None:
        """Pass it on."""
        self._told(self.number, "stored", (key, status))
