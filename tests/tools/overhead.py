"""What a Ray cluster costs beside worker processes: the same plan by both, in turn, on this machine.

    python -m tests.tools.overhead --rounds 3

A round trains a plan of two ensembles on digits101 twice, by two worker processes and by a cluster of this machine with
two cores that is up already, into fresh stores, in an order that alternates. Printed are the seconds of each run by the
clock, and of processors in this process, its workers and all processes of the cluster; the second is what to look at
on a machine that does other things too. Then the median of the rounds' ratios with the smallest and the largest. That
both stores are equal to the bit is checked, too. No test of `make test`: it takes minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from archrank.eval.runners.ray import imported
from archrank.eval.runners.run import run
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.trial import Plan, make_plan
from tests.eval.runs import content
from tests.tools.kill import children

WORKERS = 2


def timed(plan: Plan, store: Path, **how: Any) -> tuple[float, float]:
    """Seconds that a run takes, by the clock and of processors. how: as `run` takes it."""
    began, used = time.monotonic(), processor_seconds()
    summary = run(plan, store, **how)
    assert summary.trained == len(plan.trials), summary
    return time.monotonic() - began, processor_seconds() - used


def processor_seconds() -> float:
    """What this process and all below it have used so far, those that have ended included."""
    ticks = 0
    for pid in (os.getpid(), *children(os.getpid())):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # of its own and of its children that have ended: user, system
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Exit code 1 if what came out differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoders", default="gin", help="predictors (default gin)")
    parser.add_argument("--budgets", default="20,78", help="numbers of labels, an ensemble each (default 20,78)")
    parser.add_argument("--seeds", type=int, default=5, help="members of an ensemble (default 5)")
    given = parser.parse_args()
    budgets = [int(part) for part in given.budgets.split(",")]
    plan = make_plan(parse_list(given.encoders), benchmarks=["digits101"], budgets=budgets, seeds=given.seeds)
    imported()
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": WORKERS, "object_store_memory": 200 * 2**20, "include_dashboard": False},
    )
    ways: dict[str, dict[str, Any]] = {
        "processes": {"workers": WORKERS},
        "ray": {"runner": "ray", "address": cluster.address},
    }
    ratios: list[tuple[float, float]] = []
    same = True
    for number in range(given.rounds):
        with TemporaryDirectory(prefix="archrank-") as folder:
            order = list(ways) if number % 2 == 0 else list(ways)[::-1]
            seconds = {way: timed(plan, Path(folder) / way, **ways[way]) for way in order}
            same &= content(Path(folder) / "ray") == content(Path(folder) / "processes")
        (clock, used), (clock_here, used_here) = seconds["ray"], seconds["processes"]
        ratios.append((clock / clock_here, used / used_here))
        print(
            f"round {number + 1}: clock {clock:.1f} s by ray, {clock_here:.1f} s by processes, ratio {ratios[-1][0]:.2f}; "
            f"processors {used:.1f} s, {used_here:.1f} s, ratio {ratios[-1][1]:.2f}; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    cluster.shutdown()
    for what, values in zip(("clock", "processors"), zip(*ratios)):
        print(f"{what}, ray over processes: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
    print(f"stores {'equal to the bit' if same else 'differ'}")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
