"""What a Ray cluster costs beside worker processes: the same plan by both, in turn, on this machine.

    python -m tests.tools.overhead --rounds 3

A round trains a plan of two ensembles on digits101 twice, by two worker processes and by a cluster of this machine with
two cores that is up already, into fresh stores, in an order that alternates. Printed are the seconds of each run by the
clock, the median of the rounds' ratios with the smallest and the largest, and the machine's load. That both stores are
equal to the bit is checked, too. No test of `make test`: it takes minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from archrank.eval.runners.ray import imported
from archrank.eval.runners.run import run
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.trial import Plan, make_plan
from tests.eval.runs import content

WORKERS = 2


def timed(plan: Plan, store: Path, **how: Any) -> float:
    """Seconds that a run takes. how: as `run` takes it."""
    began = time.monotonic()
    summary = run(plan, store, **how)
    assert summary.trained == len(plan.trials), summary
    return time.monotonic() - began


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
    ratios, same = [], True
    for number in range(given.rounds):
        with TemporaryDirectory(prefix="archrank-") as folder:
            order = list(ways) if number % 2 == 0 else list(ways)[::-1]
            seconds = {way: timed(plan, Path(folder) / way, **ways[way]) for way in order}
            same &= content(Path(folder) / "ray") == content(Path(folder) / "processes")
        ratios.append(seconds["ray"] / seconds["processes"])
        print(
            f"round {number + 1}: processes {seconds['processes']:.1f} s, ray {seconds['ray']:.1f} s, "
            f"ratio {ratios[-1]:.2f}, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    cluster.shutdown()
    print(
        f"ray over processes: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
        f"stores {'equal to the bit' if same else 'differ'}"
    )
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
