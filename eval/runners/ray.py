"""The runner that trains on a Ray cluster: each ensemble is a Ray task. Retries and lost nodes are Ray's business.

No file system is shared. A table goes to each node once, through the object store; the source of a user's encoder goes
along with its ensemble; a task trains into a folder of its own and returns its files, which this process alone writes
into the store. So a store's claims, journals and resumption are those of any other run.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import ArchrankError
from archrank.eval.runners import Setup, runner
from archrank.eval.runners.base import IDLE_S, GroupTask, Runner, Tasks
from archrank.eval.runners.processes import environment
from archrank.eval.runners.travelling import Luggage, bring, pack, put_into, unpack
from archrank.eval.trials.context import Context
from archrank.eval.trials.groups import TrialGroup

if TYPE_CHECKING:
    from archrank.datasets import Benchmark

RETRIES = 5
"""How often Ray starts an ensemble again whose process or node died, before it is trained member by member."""
PROGRESS_EVERY_S = 1.0
_tables: dict[str, Benchmark] = {}


@dataclass
class _Running:
    task: GroupTask
    since: float | None = None
    timed_out: bool = False


@dataclass
class RayRunner:
    """Trains on a cluster.

    Args:
        context: where and on what groups run; its store is this machine's.
        address: of the cluster: `auto`, `HOST:PORT`, `ray://HOST:PORT`; None: the one this machine belongs to, or a
            cluster of this machine alone, for this run.
        size: tasks at a time at most; None: as many as the cluster has room for.
        gpus: share of a GPU that a task gets, where it trains on one.
        timeout: seconds that a group may train; then its pending trials fail. None: as long as it takes.
    """

    context: Context
    address: str | None = None
    size: int | None = None
    gpus: float = 1.0
    timeout: float | None = None
    _running: dict[Any, _Running] = field(default_factory=dict)
    _sent: dict[str, Any] = field(default_factory=dict)

    def run(self, tasks: Tasks) -> None:
        """Train every group.

        Raises:
            ArchrankError: Ray is not installed or cannot be reached, the cluster lacks what a task needs, a node has
                another version of archrank, or the store cannot be written.
        """
        ray = imported()
        ours = connect(ray, self.address)
        try:
            self._board = board_here(ray)
            while tasks.unfinished():
                self._submit(ray, tasks)
                if not self._running:
                    time.sleep(IDLE_S)  # everything that is left is another run's at present
                    continue
                done, _ = ray.wait(list(self._running), timeout=IDLE_S)
                self._listen(ray, tasks)
                for reference in done:
                    self._collect(ray, reference, tasks)
        finally:
            for reference in self._running:
                ray.cancel(reference, force=True)
            if ours:
                ray.shutdown()

    def _submit(self, ray: Any, tasks: Tasks) -> None:
        """Hand tasks to the cluster while it has room."""
        while len(self._running) < self._room(ray) and (task := tasks.take()) is not None:
            table = task.benchmark.content_hash
            if table not in self._sent:
                self._sent[table] = ray.put(pickle.dumps(task.benchmark))
            remote = ray.remote(
                num_cpus=self.context.threads,
                num_gpus=self.gpus if self.context.device.startswith("cuda") else 0,
                max_retries=RETRIES,
                runtime_env={"env_vars": environment(self.context.threads)},
            )(train)
            reference = remote.remote(
                task.number,
                task.group,
                self.context,
                table,
                self._sent[table],
                pack(task.group.members[0].spec.info),
                bring(self.context.store, ["pretraining"]) if task.group.pretraining is not None else [],
                self._board,
            )
            self._running[reference] = _Running(task)

    def _room(self, ray: Any) -> int:
        """How many tasks the cluster can run now, nodes that joined or left included."""
        has = ray.cluster_resources()
        room = int(has.get("CPU", 0)) // self.context.threads
        if self.context.device.startswith("cuda"):
            room = min(room, int(has.get("GPU", 0) / self.gpus))
        if room == 0 and not self._running:
            lacks = "GPU" if has.get("CPU", 0) else "CPU"
            raise ArchrankError(f"the Ray cluster has no {lacks} for a task; `ray status` says what it has")
        return room if self.size is None else min(room, self.size)

    def _listen(self, ray: Any, tasks: Tasks) -> None:
        """Pass progress on, and end what trains for too long."""
        by_number = {running.task.number: running for running in self._running.values()}
        for number, event, value in ray.get(self._board.take.remote()):
            if number in by_number and event == "began":
                by_number[number].since = time.monotonic()
            elif number in by_number:
                tasks.on_event(number, event, value)
        for reference, running in self._running.items():
            if self.timeout and running.since and time.monotonic() - running.since > self.timeout:
                running.timed_out = True
                ray.cancel(reference, force=True)

    def _collect(self, ray: Any, reference: Any, tasks: Tasks) -> None:
        """Store what a task returned, or say what became of it."""
        running = self._running.pop(reference)
        number = running.task.number
        try:
            files, stored = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise ArchrankError(f"a task of the Ray cluster failed: {error.cause}") from None
        except ray.exceptions.RayError as error:
            if running.timed_out:
                tasks.lose(number, "Timeout", f"it trained for longer than {self.timeout:g} s (--timeout)", "never")
            else:
                why = str(error).strip().partition("\n")[0]
                tasks.lose(number, "WorkerLost", f"Ray gave it up after {RETRIES + 1} attempts ({why})", "alone")
            return
        put_into(self.context.store, files)
        for item in stored:
            tasks.on_event(number, "stored", item)
        tasks.finish(number)


class Board:
    """An actor on which tasks note how they go, and from which the run takes it."""

    def __init__(self) -> None:
        self.notes: list[tuple[int, str, Any]] = []

    def note(self, number: int, event: str, value: Any) -> None:
        """Something happened to a group."""
        self.notes.append((number, event, value))

    def take(self) -> list[tuple[int, str, Any]]:
        """What was noted since."""
        notes, self.notes = self.notes, []
        return notes


def train(
    number: int,
    group: TrialGroup,
    context: Context,
    table: str,
    benchmark: bytes,
    luggage: Luggage | None,
    known: list[tuple[str, bytes]],
    board: Any,
) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    """What a task does on its node: train a group in a folder of its own.

    Args:
        number: of the group, as events name it.
        group: what to train.
        context: as the run has it; its store is not reached from here.
        table: what the benchmark's table is called, by its content.
        benchmark: it, pickled.
        luggage: the encoder's source, where it is not installed here.
        known: pre-trainings of the store.
        board: where progress is noted.

    Returns:
        The files that shall be in the store, and the (key, status) of each trial.
    """
    import torch

    from archrank.eval.trials.execute import execute

    torch.set_num_threads(context.threads)
    board.note.remote(number, "began", None)
    stored: list[tuple[str, str]] = []
    note = noting(board, number)

    def on_event(event: str, value: Any) -> None:
        if event == "stored":
            stored.append(value)
        else:
            note(event, value)

    with TemporaryDirectory(prefix="archrank-") as name:
        folder = Path(name).resolve()
        put_into(folder / "store", known)
        here = replace(context, store=folder / "store", isolated=True)
        execute(unpack(group, luggage, folder / "source"), here, on_event, unpickled(table, benchmark))
        return [file for file in bring(here.store) if file not in known], stored


def noting(board: Any, number: int) -> Callable[[str, Any], None]:
    """Called with an event and a value: notes them on the board for the task of that number, about once a second."""
    last = 0.0

    def note(event: str, value: Any) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS_EVERY_S:
            last = time.monotonic()
            board.note.remote(number, event, value)

    return note


def unpickled(table: str, benchmark: bytes) -> Benchmark:
    """A benchmark that came to this node, unpickled once in a process. table: its content hash."""
    if table not in _tables:
        _tables[table] = pickle.loads(benchmark)
    return _tables[table]


def board_here(ray: Any) -> Any:
    """A board on this machine's own node, so that no other node's end takes it along."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(Board).remote()


def imported() -> Any:
    """Ray itself, whose workers on this machine get what local ones would of a busy one. ArchrankError where it is not
    installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError:
        raise ArchrankError("--runner ray needs Ray: pip install 'archrank[ray]'") from None
    return ray


def connect(ray: Any, address: str | None) -> bool:
    """Join the cluster; whether it is this process that has to leave it."""
    if ray.is_initialized():
        return False
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level="error", include_dashboard=None if address else False
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise ArchrankError(
            f"no Ray cluster at {address or 'this machine'}: {str(error).strip().partition(chr(10))[0]}"
        ) from None
    return True


@runner("ray", elsewhere=True)
def on_ray(setup: Setup) -> Runner:
    """On a Ray cluster (`--address`), one task per ensemble; needs the extra archrank[ray]."""
    return RayRunner(setup.context, setup.address, setup.asked, setup.gpus_per_task, setup.timeout)
