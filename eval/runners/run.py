"""Running a plan: train what is not stored, keep what is, and say how it goes."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archrank.datasets import Benchmark, load
from archrank.datasets.errors import ArchrankError, is_interrupt
from archrank.encoders.catalog.apart import apart
from archrank.eval.engine.device import chosen_device, gpus
from archrank.eval.runners import Setup, chosen_runner
from archrank.eval.runners.base import OnEvent
from archrank.eval.runners.queue import Queue
from archrank.eval.trials.claims import Claims, sweep_claims
from archrank.eval.trials.context import Context
from archrank.eval.trials.groups import TrialGroup, compose, in_shard, make_groups
from archrank.eval.trials.rates import Rates
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Plan, Planned


@dataclass
class Summary:
    """What a run did with the trials of its plan (of its shard, where it has one).

    planned: all of them. kept: stored before. trained: by this run. failed: now or before. shared: stored meanwhile by
    other runs on the store.
    missing: stored by now for all this run knows, but not in the store at its end: somebody removed them.
    """

    planned: int
    kept: int
    trained: int
    failed: int
    shared: int = 0
    missing: int = 0


class Timed:
    """Notes how long groups train, for later plans, and hands every event on."""

    def __init__(self, groups: list[TrialGroup], device: str, on_event: OnEvent) -> None:
        self.groups, self.device, self.notify, self.began = groups, device, on_event, dict[int, float]()
        self.rates = Rates.read()

    def on_event(self, number: int, event: str, value: Any) -> None:
        """See `OnEvent`."""
        if event == "started":
            self.began[number] = time.monotonic()
        elif event == "finished" and number in self.began:
            self.rates.note(self.groups[number].members, self.device, time.monotonic() - self.began.pop(number))
        elif event in ("retried", "lost"):
            self.began.pop(number, None)
        self.notify(number, event, value)


class ProgressCallback:
    """Called as a run goes on; the command line shows it as progress bars. Does nothing by itself."""

    def begin(self, planned: int, stored: int, groups: list[TrialGroup]) -> None:
        """Before anything is trained. groups: what will be; the list grows when a group is split."""

    def on_event(self, number: int, event: str, value: Any) -> None:
        """Something happened to group `number`: see `archrank.eval.runners.base.OnEvent`."""

    def end(self) -> None:
        """After the last group, or an interruption."""


def run(
    plan: Plan,
    store: Path | str,
    *,
    device: str = "cpu",
    workers: int | None = None,
    retry_failed: bool = False,
    compiled: bool = False,
    timeout: float | None = None,
    shard: tuple[int, int] | None = None,
    runner: str | None = None,
    address: str | None = None,
    gpus_per_task: float = 1.0,
    callback: ProgressCallback | None = None,
) -> Summary:
    """Train and store the trials of a plan that the store does not have. Always resumes. Several runs on one store
    share the work.

    Args:
        plan: what to train.
        store: folder of results.
        device: cpu, cuda, or auto (a GPU, if there is one and something to train).
        workers: processes of one thread each (None: one per core on a CPU; 0: in this process).
        retry_failed: train failed trials again.
        compiled: compile the training step where an encoder can be (see `archrank.eval.engine.compiled`).
        timeout: seconds that one ensemble may train before its pending trials are stored as failed; needs worker
            processes.
        shard: (k, n): only the k-th of n parts of the plan, of whole ensembles, the same whatever is stored.
        runner: who trains, a name of `RUNNERS` (None: worker processes, or this process where workers is 0).
        address: of the cluster, for a runner that trains on one (`ray`: `auto` or `HOST:PORT`).
        gpus_per_task: share of a GPU that an ensemble gets on a cluster.
        callback: called as the run goes on.

    Raises:
        ArchrankError: the device is not there, or an encoder cannot be imported or built on a benchmark's space: then
            nothing was trained or written. Or the store cannot be written: then what was finished is kept.
    """
    callback = callback or ProgressCallback()
    folder = Store(store)
    _check(workers, timeout, shard)
    kind = chosen_runner(runner, workers, address)
    if kind.elsewhere and device == "auto":
        device = "cpu"
    _sweep(folder)
    settled = folder.settled(item.trial.key for item in plan.trials)
    failed_before = {key for key, status in settled.items() if status == "failed"}
    stored = set(settled) - (failed_before if retry_failed else set())
    some_pending = any(item.trial.key not in stored for item in plan.trials)
    # Looking for a GPU takes importing torch, for which a run that has nothing to do does not wait.
    device = "cpu" if device == "auto" and not some_pending else chosen_device(device, here=not kind.elsewhere)
    planned = (
        [item for members in in_shard(compose(plan.trials, device), *shard) for item in members]
        if shard
        else plan.trials
    )
    pending = [item for item in planned if item.trial.key not in stored]
    if pending:
        _check_encoders(plan, pending, apart_from_here=workers != 0)
    groups = make_groups(plan.trials, stored, folder, device, shard)
    callback.begin(len(planned), len(planned) - len(pending), groups)
    status = {item.trial.key: settled[item.trial.key] for item in planned if item.trial.key in stored}
    trained, shared = 0, set[str]()
    if groups:
        context = Context(folder.folder, device, compiled=compiled)
        with Claims(folder.folder) as claims:
            timed = Timed(groups, device, callback.on_event)
            queue = Queue(groups, plan.benchmarks, context, claims, failed_before, timed.on_event)
            try:
                setup = _setup(context, plan, workers, len(groups), timeout)
                kind.make(replace(setup, address=address, gpus_per_task=gpus_per_task)).run(queue)
            except OSError as error:
                if is_interrupt(error):
                    raise KeyboardInterrupt from None
                raise
            finally:
                callback.end()
                timed.rates.write()
                _sweep(folder)
        status |= queue.status | folder.settled(queue.shared)
        trained, shared = sum(state == "done" for state in queue.status.values()), queue.shared
    return Summary(
        len(planned),
        len(planned) - len(pending),
        trained,
        failed=sum(state == "failed" for state in status.values()),
        shared=len(shared),
        missing=len((status.keys() | shared) - folder.keys()),
    )


def _sweep(folder: Store) -> None:
    """Remove what killed runs left in the store, as far as it lets us."""
    with contextlib.suppress(OSError):
        folder.sweep()
    sweep_claims(folder.folder)
    with contextlib.suppress(OSError):
        if not (folder.folder / "claims").exists():  # nobody else trains, and may still print
            for log in (folder.folder / "logs").glob("*.log"):
                if log.stat().st_size == 0:
                    log.unlink()


def _check(workers: int | None, timeout: float | None, shard: tuple[int, int] | None) -> None:
    """Raise ArchrankError for options that make no sense."""
    if workers is not None and workers < 0:
        raise ArchrankError(f"workers is 0 (train in this process) or more, not {workers}")
    if timeout is not None and (timeout <= 0 or workers == 0):
        raise ArchrankError(
            "a time limit is a number of seconds above 0"
            if workers != 0
            else "a time limit needs worker processes: this process cannot end its own training (workers=0)"
        )
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise ArchrankError(
            f"shard {shard[0]}/{shard[1]}: give the number of a part and how many there are, from 1/8 to 8/8"
        )


def _setup(context: Context, plan: Plan, workers: int | None, groups: int, timeout: float | None) -> Setup:
    if (size := workers) is None:
        cores = gpus() if context.device == "cuda" else 1 if context.device != "cpu" else os.cpu_count() or 1
        size = min(groups, cores)
    named = frozenset(name for name, benchmark in plan.benchmarks.items() if _loads(benchmark))
    return Setup(context, size, timeout, named, asked=workers)


def _loads(benchmark: Benchmark) -> bool:
    """Whether workers get this very table by its name, so that it need not be sent to them."""
    try:
        return load(benchmark.name).content_hash == benchmark.content_hash
    except ArchrankError:
        return False


def _check_encoders(plan: Plan, pending: list[Planned], apart_from_here: bool) -> None:
    """Import and build every encoder that will be trained, once, on each space: a broken plug-in stops here with one
    line.

    apart_from_here: plug-ins are tried in a process of their own, as they are trained, so that one that crashes or
    hangs takes nobody with it.
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
