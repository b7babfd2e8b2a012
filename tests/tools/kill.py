"""Kills runs at random moments and resumes them: what comes out must equal an uninterrupted run, bit for bit.

    python -m tests.tools.kill --rounds 100
    python -m tests.tools.kill --rounds 100 --forked
    python -m tests.tools.kill --rounds 100 --ray --folder results/kills-ray

A round starts a run with two worker processes on a fresh store and kills something of it (the run itself, one of its
workers, or the whole process group) with SIGTERM, SIGINT or SIGKILL, several times, each time starting the same run
again; then it lets the run finish. It checks that no trial is lost or doubled, that metrics and predictions equal those
of the uninterrupted run, and that no temporary file, claim or journal stays behind. With `--ray` runs train on a
cluster of three nodes on this machine; tasks and nodes are killed while the run goes on, and what comes out must equal
an uninterrupted run on local workers.

Runs are the command of a user, or with `--forked` the same function in a process that is forked from this one, workers
too: no time goes into imports, so that most kills fall into planning, training and writing.

Results are appended to `kills.jsonl` in the folder given; the same command goes on from there. The store of a round in
which anything is wrong stays as `store-N`, with the uninterrupted one beside it, `whole-N`. No test of `make test`:
it takes as long as it is given.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

from archrank.datasets.errors import ArchrankError
from archrank.eval.runners.ray import imported
from archrank.eval.runners.run import run
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.provenance import provenance
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.trial import Plan, make_plan
from tests.eval.runs import content

ENCODERS = "gcn[dim=8,layers=1],path+ridge,bag_of_ops+ridge,adjacency+ridge"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
LEFT_OVER = ("ensembles", "claims")
FAULTS = ("lost", "doubled", "different", "stays", "wrong")


class Command:
    """`archrank run` as a user starts it, the leader of a process group, so that the group can be killed."""

    targets: ClassVar[tuple[str, ...]] = ("run", "worker", "group")
    goes_on: ClassVar[tuple[str, ...]] = ()  # what may be killed without the run being started again
    more: ClassVar[list[str]] = ["--workers", "2"]
    apart: ClassVar[float] = 0.5  # longest time between two kills, in uninterrupted runs

    def __init__(self, store: Path, seeds: int, log: Path) -> None:
        self.log = log
        command = [
            sys.executable,
            "-m",
            "archrank",
            "run",
            "-e",
            ENCODERS,
            "-b",
            "digits101",
            "--budgets",
            "12,20",
            "--seeds",
            str(seeds),
            "--recipe",
            "quick",
            "--store",
            str(store),
            "--device",
            "cpu",
            "--retry-failed",
            *self.more,
        ]
        with log.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        self.pid = self._process.pid

    def ended(self, seconds: float) -> bool:
        """Whether it ends within some seconds."""
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


class Forked:
    """The same in a process forked from this one, its workers too."""

    targets: ClassVar[tuple[str, ...]] = Command.targets
    goes_on: ClassVar[tuple[str, ...]] = ()
    apart: ClassVar[float] = Command.apart
    plans: ClassVar[dict[int, Plan]] = {}

    def __init__(self, store: Path, seeds: int, log: Path) -> None:
        self.log = log
        if seeds not in self.plans:
            prepare()
            self.plans[seeds] = make_plan(
                parse_list(ENCODERS), benchmarks=[synthetic(200, seed=3)], budgets=[12, 20], seeds=seeds, recipe="quick"
            )
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 130  # interrupted before it began
            try:
                code = self._run(store, self.plans[seeds])
            finally:
                os._exit(code)

    def _run(self, store: Path, plan: Plan) -> int:
        import torch

        from archrank.eval.runners import processes

        os.setsid()
        file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        torch.set_num_threads(1)
        processes.get_context = lambda _: get_context("fork")  # type: ignore[attr-defined]
        try:
            os.write(1, f"{run(plan, store, workers=2, retry_failed=True).failed} failed".encode())
            return 0
        except KeyboardInterrupt:
            return 130
        except ArchrankError as error:
            os.write(1, str(error).encode())
        except BaseException:
            os.write(1, traceback.format_exc().encode())
        return 1

    def ended(self, seconds: float) -> bool:
        """Whether it ends within some seconds."""
        until = time.monotonic() + seconds
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                return False
            else:
                time.sleep(0.002)
        return True


class OnRay(Command):
    """`archrank run --runner ray` on a cluster of three nodes on this machine, of which tasks and nodes are killed."""

    # Starting a run or a node takes longer than all of its training: most kills are of tasks.
    targets: ClassVar[tuple[str, ...]] = ("run", "task", "task", "task", "node")
    goes_on: ClassVar[tuple[str, ...]] = ("task", "node")
    apart: ClassVar[float] = 0.2
    small: ClassVar[dict[str, Any]] = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster: ClassVar[Any] = None

    @classmethod
    def start(cls) -> None:
        """Make the cluster."""
        imported()
        from ray.cluster_utils import Cluster

        cls.cluster = Cluster(initialize_head=True, head_node_args=cls.small)
        for _ in range(2):
            cls.cluster.add_node(**cls.small)
        cls.more = ["--runner", "ray", "--address", cls.cluster.address]

    def strike(self, target: str, rng: random.Random) -> bool:
        """Kill a process in which a task trains, or all of a node, for which another one joins."""
        if target == "node":
            node = rng.choice(sorted(self.cluster.worker_nodes, key=str))
            self.cluster.remove_node(node, allow_graceful=False)
            self.cluster.add_node(**self.small)
            return True
        nodes = [part.process.pid for node in self.cluster.list_all_nodes() for part in node.all_processes["raylet"]]
        tasks = [pid for node in nodes for pid in children(node) if _trains(pid)]
        if tasks:
            os.kill(rng.choice(tasks), signal.SIGKILL)
        return bool(tasks)


def _trains(pid: int) -> bool:
    """Whether a process, by its command line, is a worker of Ray's in which a task runs."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::train")
    except OSError:
        return False


def prepare() -> None:
    """Import and ask, before anything is forked, what every run would import and ask for itself."""
    for module in (
        "pyarrow.parquet",
        "scipy.stats",
        "sklearn.feature_selection",
        "sklearn.linear_model",
        "torch._dynamo",
        "archrank.eval.runners.processes",
        "archrank.eval.trials.execute",
    ):
        importlib.import_module(module)
    provenance("cpu", 1)


Run = Command | Forked


def children(pid: int) -> list[int]:
    """The processes below a process: its workers and what trains in them."""
    pids: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = [int(number) for number in path.read_text().split()]
        except OSError:
            continue
        pids += [process for child in below for process in (child, *children(child))]
    return pids


def is_worker(pid: int) -> bool:
    """Whether a process is a worker, not multiprocessing's own helper."""
    try:
        return b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def kill(process: Run, target: str, number: signal.Signals, rng: random.Random) -> bool:
    """Send the signal; False if there was nothing to send it to."""
    if isinstance(process, OnRay) and target in ("task", "node"):
        return process.strike(target, rng)
    try:
        if target == "run":
            os.kill(process.pid, number)
        elif target == "group":
            os.killpg(process.pid, number)
        else:
            workers = [pid for pid in children(process.pid) if is_worker(pid)]
            if not workers:
                return False
            os.kill(rng.choice(workers), number)
    except ProcessLookupError:
        return False
    return True


def finish(process: Run, seconds: float = 300) -> str:
    """What a run says until it ends; it may not hang."""
    hangs = not process.ended(seconds)
    if hangs:
        os.killpg(process.pid, signal.SIGKILL)
        process.ended(seconds)
    return ("HANGS: " if hangs else "") + process.log.read_text(errors="replace")


def round_(
    kind: type[Run],
    folder: Path,
    expected: dict[str, object],
    seconds: float,
    seeds: int,
    rng: random.Random,
    most: int,
) -> dict[str, object]:
    """One store: kills, resumptions, and what is wrong at the end. seconds: how long an uninterrupted run takes."""
    store, log = folder / "store", folder / "output.txt"
    shutil.rmtree(store, ignore_errors=True)
    kills: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    done = False
    while not done and sum(kills.values()) < most:
        process, going = kind(store, seeds, log), True
        while (
            going and not (done := process.ended(rng.uniform(0.0, kind.apart) * seconds)) and sum(kills.values()) < most
        ):
            target, number = rng.choice(kind.targets), rng.choice(SIGNALS)
            going = target in kind.goes_on
            if kill(process, target, number, rng):
                kills[target if going else f"{target} {number.name}"] += 1
        said = finish(process)
        if said.startswith("HANGS") or "Traceback" in said:
            wrong.append(said[-2000:])
    said = finish(kind(store, seeds, log))
    if "0 failed" not in said:
        wrong.append(said[-2000:])
    actual = content(store)
    stays = [str(path.relative_to(store)) for path in store.rglob(".*")] + [
        str(path.relative_to(store)) for name in LEFT_OVER for path in (store / name).glob("*")
    ]
    return {
        "kills": dict(kills),
        "lost": len(expected.keys() - actual.keys()),
        "doubled": len(actual.keys() - expected.keys()),
        "surplus": {
            name: (store / "logs" / name).read_text()[-500:] if name.endswith(".log") else ""
            for name in sorted(actual.keys() - expected.keys())
        },
        "different": sum(actual[name] != expected[name] for name in actual.keys() & expected.keys()),
        "stays": stays,
        "wrong": wrong,
    }


def main() -> int:
    """Exit code 1 if anything was lost, doubled, different or left over, or a run hung or printed a traceback."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="stores, in all (default 20)")
    parser.add_argument("--kills", type=int, default=10, help="kills of a store at most (default 10)")
    parser.add_argument("--minutes", type=float, default=30, help="stop after this time (default 30)")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each predictor (default 2)")
    parser.add_argument(
        "--folder", type=Path, default=Path("results/kills"), help="stores and results (default results/kills)"
    )
    parser.add_argument(
        "--forked", action="store_true", help="fork runs and workers instead of starting commands: many more kills"
    )
    parser.add_argument("--ray", action="store_true", help="on a Ray cluster of three nodes; kills tasks and nodes too")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    # A script that starts this in the background has it ignore interrupts, and what it starts would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kind: type[Run] = OnRay if given.ray else Forked if given.forked else Command
    if given.ray:
        OnRay.start()
    log = given.folder / "kills.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    end = time.monotonic() + 60 * given.minutes
    whole = given.folder / "whole"
    seconds = math.inf
    for way in (kind, Command if given.ray else kind):  # the first time, everything is slower
        shutil.rmtree(whole, ignore_errors=True)
        began = time.monotonic()
        said = finish(way(whole, given.seeds, given.folder / "output.txt"))
        seconds = min(seconds, time.monotonic() - began)
        if "0 failed" not in said:
            print(said)
            return 1
    expected = content(whole)
    while len(done) < given.rounds and time.monotonic() < end:
        number = len(done)
        done.append(round_(kind, given.folder, expected, seconds, given.seeds, random.Random(number), given.kills))
        with log.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
        if any(done[-1][fault] for fault in FAULTS):
            (given.folder / "store").rename(given.folder / f"store-{number}")
            shutil.copytree(whole, given.folder / f"whole-{number}")
    return summarise(done, len(expected))


def summarise(done: list[dict[str, object]], files: int) -> int:
    """Print what the rounds found; 1 if any of it is wrong."""
    kills: collections.Counter[str] = collections.Counter()
    for result in done:
        kills.update(result["kills"])
    totals = {name: sum(result[name] for result in done) for name in ("lost", "doubled", "different")}
    stays, wrong = ([item for result in done for item in result[name]] for name in ("stays", "wrong"))  # type: ignore[attr-defined]
    print(
        f"{len(done)} stores of {files} files, {sum(kills.values())} kills: "
        + ", ".join(f"{name} {count}" for name, count in sorted(kills.items()))
    )
    print(
        ", ".join(f"{count} {name}" for name, count in totals.items())
        + f", {len(stays)} files left over, {len(wrong)} runs that went wrong"
    )
    for item in (*stays[:10], *wrong[:3]):
        print(item)
    return int(any(result[fault] for result in done for fault in FAULTS))


if __name__ == "__main__":
    sys.exit(main())
