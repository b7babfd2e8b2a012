"""Worker processes: what they are given, and what becomes of a trial whose worker dies."""

import os
import signal
import subprocess
import sys

import pytest

from archrank.datasets.errors import ArchrankError
from archrank.eval.runners.processes import start
from archrank.eval.runners.run import run
from archrank.eval.trials.context import Context
from archrank.eval.trials.execute import write_lost
from archrank.eval.trials.groups import make_groups
from archrank.eval.trials.results import read_results
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import make_plan

DYING = """
import os, torch
from archrank import encoding
@encoding("dying")
def dying(graphs, space):
    if len(graphs) > 2:
        os._exit(3)
    return graphs.ops.double()
"""


def test_workers_train_on_the_table_that_was_planned(cells, tmp_path):
    """A table that goes by the name of another one, with its scores turned round."""
    from archrank.datasets import load

    turned = load("digits101").subset(range(300))
    turned.scores = turned.scores.assign(test_accuracy=-turned.scores["test_accuracy"])
    plan = make_plan(parse_list("path+ridge"), benchmarks=[turned, cells], budgets=[40], seeds=1)
    for workers in (0, 1):
        assert run(plan, tmp_path / str(workers), workers=workers).trained == 2
    here, there = (read_results([tmp_path / str(workers)]) for workers in (0, 1))
    assert list(here["kendall"]) == list(there["kendall"])


def test_a_worker_that_dies_again_is_a_failure_again(tmp_path):
    path = tmp_path / "dying.py"
    path.write_text(DYING)
    plan = make_plan(parse_list(f"{path}:dying+ridge"), benchmarks=["digits101"], budgets=[20], seeds=2)
    for retry in (False, True):
        summary = run(plan, tmp_path / "store", workers=1, retry_failed=retry)
        assert (summary.kept, summary.trained, summary.failed) == (0, 0, 2)


def test_a_worker_that_is_ended_from_outside_stores_no_failure(tmp_path):
    path = tmp_path / "ended.py"
    path.write_text(DYING.replace("os._exit(3)", "os.kill(os.getpid(), 15)").replace("dying", "ended"))
    plan = make_plan(parse_list(f"{path}:ended+ridge"), benchmarks=["digits101"], budgets=[20], seeds=1)
    with pytest.raises(ArchrankError, match=r"ended from outside \(signal 15\)"):
        run(plan, tmp_path / "store", workers=1)
    assert not Store(tmp_path / "store").keys()


def test_what_was_done_before_a_worker_died_stays_done(cells, tmp_path):
    store = tmp_path / "store"
    plan = make_plan(parse_list("path+ridge"), benchmarks=[cells], budgets=[12], seeds=2)
    run(plan, store, workers=0)
    first, second = (item.trial.key for item in plan.trials)
    (store / "trials" / f"{second}.json").unlink()
    (group,) = make_groups(plan.trials, set(), Store(store))
    assert write_lost(group, Context(store), "WorkerLost", "gone") == {first: "done", second: "failed"}
    assert Store(store).status() == {first: "done", second: "failed"}


def test_a_script_without_a_guarded_entry_is_told_so_and_nothing_is_stored(tmp_path):
    (tmp_path / "script.py").write_text("import archrank\narchrank.run('path+ridge', budgets=[20], seeds=1, workers=1)\n")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode and "guard its entry with `if __name__ == '__main__':`" in done.stderr.strip().splitlines()[-1]
    assert not list((tmp_path / "results" / "store").glob("trials/*"))


def test_an_interrupt_while_a_worker_starts_is_neither_lost_nor_the_workers():
    class Process:
        held = None

        def start(self):
            os.kill(os.getpid(), signal.SIGINT)
            asked = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
            self.held = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()

    process, before = Process(), dict(os.environ)
    with pytest.raises(KeyboardInterrupt):
        start(process, 1)
    assert process.held == "True" and dict(os.environ) == before


@pytest.mark.parametrize("workers", [0, 1])
def test_a_store_that_cannot_be_written_ends_the_run_with_one_line_and_keeps_what_is_done(tmp_path, workers):
    """No failed trial, no traceback, and when there is room again the same command does the rest."""
    store = tmp_path / "store"
    plan = make_plan(parse_list("path+ridge"), benchmarks=["digits101"], budgets=[20], seeds=2)
    run(plan, store, workers=0)
    kept, lost = (item.trial.key for item in plan.trials)
    (store / "trials" / f"{lost}.json").unlink()
    (store / "trials" / f"{lost}.json").mkdir()
    with pytest.raises(ArchrankError, match=rf"{lost}\.json cannot be written \(Is a directory\); make room there .* what was finished is kept") as stopped:
        run(plan, store, workers=workers)
    assert "\n" not in str(stopped.value) and Store(store).status() == {kept: "done"}
    (store / "trials" / f"{lost}.json").rmdir()
    summary = run(plan, store, workers=0)
    assert (summary.kept, summary.trained) == (1, 1)
