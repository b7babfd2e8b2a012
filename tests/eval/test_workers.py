"""Worker processes: what they are given, and what becomes of a trial whose worker dies."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.runners import processes
from archrank.eval.runners.processes import start
from archrank.eval.runners.run import ProgressCallback, run
from archrank.eval.runners.worker import LARGEST_LOG
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


@pytest.fixture
def forked(monkeypatch):
    """Workers are forked from this process instead of started anew, where what they import is not what is tested."""
    monkeypatch.setattr(processes, "get_context", lambda _: get_context("fork"))


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


BAD = """
import ctypes, os, signal, sys, time, torch
from archrank import encoding

class Unsayable(Exception):
    def __str__(self): raise SystemExit("not even this")

class Stop(BaseException): pass

def unsayable(): raise Unsayable
def interrupt(): raise KeyboardInterrupt
def stop(): raise Stop("at once")
def surrogate(): raise ValueError("half a character: \\udc80")
def parent(): os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)
def segfault(): ctypes.string_at(0)
def garbage(): os.write(1, bytes(range(256)) * 8192); time.sleep(0.5); sys.stderr.write("the end"); print("said")
def forever():
    while True: time.sleep(0.1)
"""


def misbehaving(folder, *names):
    """A file with an encoding of each name, which misbehaves once it is used on more architectures than it is tried
    on."""
    path = folder / "bad.py"
    path.write_text(
        BAD
        + "".join(
            f"""
@encoding("{name}_encoding")
def {name}_encoding(graphs, space):
    if len(graphs) > 2: {name}()
    return graphs.ops.double()
"""
            for name in names
        )
    )
    return ",".join(f"{path}:{name}_encoding+ridge" for name in names)


def test_a_plug_in_that_misbehaves_fails_only_its_own_trials(cells, tmp_path, capfd):
    names = ("unsayable", "interrupt", "stop", "surrogate", "parent", "segfault", "garbage")
    store = tmp_path / "store"
    plan = make_plan(
        parse_list(f"{misbehaving(tmp_path, *names)},path+ridge"), benchmarks=[cells], budgets=[20], seeds=1
    )
    summary = run(plan, store, workers=1)
    assert (summary.trained, summary.failed) == (2, 6)
    said = {row.label.partition("_")[0]: row.error for row in read_results([store]).itertuples() if row.error}
    assert (
        said["unsayable"] == "Unsayable: (no message: its __str__ raises SystemExit)"
        and said["interrupt"] == "KeyboardInterrupt: KeyboardInterrupt"
    )
    assert said["stop"] == "Stop: at once" and said["surrogate"] == r"ValueError: half a character: \udc80"
    assert "the worker process died (killed by signal 9)" in said["parent"]
    printed = Path(said["segfault"].rpartition(" ")[2]).read_text()
    assert "killed by signal 11" in said["segfault"] and "Segmentation fault" in printed and "in segfault" in printed
    log = sorted((store / "logs").iterdir(), key=lambda path: path.stat().st_size)[-1].read_bytes()
    assert log.startswith(bytes(range(256))) and log.endswith(b"the rest is not kept\n") and len(log) < 3 * LARGEST_LOG
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("forked")
def test_an_ensemble_that_trains_for_too_long_is_ended(cells, tmp_path):
    plan = make_plan(
        parse_list(f"path+ridge,{misbehaving(tmp_path, 'forever')}"), benchmarks=[cells], budgets=[20], seeds=2
    )
    summary = run(plan, tmp_path / "store", workers=1, timeout=10.0)
    assert (summary.trained, summary.failed) == (2, 2)
    assert set(read_results([tmp_path / "store"])["error"].dropna()) == {
        "Timeout: it trained for longer than 10 s (--timeout)"
    }
    with pytest.raises(ArchrankError, match="needs worker processes"):
        run(plan, tmp_path / "store", workers=0, timeout=3.0)


@pytest.mark.usefixtures("short_training", "forked")
def test_a_worker_that_dies_on_one_seed_fails_that_seed(cells, tmp_path, mine):
    path = Path(mine.rpartition(":")[0])
    text = path.read_text().replace(
        "super().__init__()",
        f"super().__init__()\n        if torch.initial_seed() == {derive_seed(5, 'weights')}: os._exit(3)",
    )
    path.write_text("import os\n" + text)
    plan = make_plan(parse_list(mine), benchmarks=[cells], budgets=[20], seeds=[0, 5, 9], recipe="quick")
    summary = run(plan, tmp_path / "store", workers=1)
    assert (summary.trained, summary.failed) == (2, 1)
    frame = read_results([tmp_path / "store"])
    assert (
        list(frame[frame["status"] == "failed"]["seed"]) == [5]
        and frame["error"].dropna().str.startswith("WorkerLost: ").all()
    )


def test_a_store_that_is_deleted_while_a_run_goes_on_is_missed_at_its_end(cells, tmp_path):
    class Deletes(ProgressCallback):
        done = 0

        def on_event(self, number, event, value):
            self.done += event == "finished"
            if self.done == 2 and event == "finished":
                shutil.rmtree(tmp_path / "store")

    plan = make_plan(
        parse_list("path+ridge,bag_of_ops+ridge,adjacency+ridge"), benchmarks=[cells], budgets=[20], seeds=2
    )
    summary = run(plan, tmp_path / "store", workers=0, callback=Deletes())
    assert (summary.trained, summary.missing) == (6, 4)
    assert run(plan, tmp_path / "store", workers=0).trained == 4


@pytest.mark.usefixtures("forked")
def test_a_worker_that_dies_again_is_a_failure_again(tmp_path):
    path = tmp_path / "dying.py"
    path.write_text(DYING)
    plan = make_plan(parse_list(f"{path}:dying+ridge"), benchmarks=["digits101"], budgets=[20], seeds=1)
    for retry in (False, True):
        summary = run(plan, tmp_path / "store", workers=1, retry_failed=retry)
        assert (summary.kept, summary.trained, summary.failed) == (0, 0, 1)


@pytest.mark.usefixtures("forked")
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
    assert {record.key: record.status for record in Store(store).records()} == {first: "done", second: "failed"}


def test_a_script_without_a_guarded_entry_is_told_so_and_nothing_is_stored(tmp_path):
    (tmp_path / "script.py").write_text(
        "import archrank\narchrank.run('path+ridge', budgets=[20], seeds=1, workers=1)\n"
    )
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path)
    assert (
        done.returncode and "guard its entry with `if __name__ == '__main__':`" in done.stderr.strip().splitlines()[-1]
    )
    assert not list((tmp_path / "results" / "store").glob("trials/*"))


def test_an_interrupt_while_a_worker_starts_is_neither_lost_nor_the_workers():
    class Process:
        held = None

        def start(self):
            os.kill(os.getpid(), signal.SIGINT)
            asked = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
            self.held = subprocess.run(
                [sys.executable, "-c", asked], capture_output=True, text=True, check=True
            ).stdout.strip()

    process, before = Process(), dict(os.environ)
    with pytest.raises(KeyboardInterrupt):
        start(process, 1)
    assert process.held == "True" and dict(os.environ) == before


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_store_that_cannot_be_written_ends_the_run_with_one_line_and_keeps_what_is_done(tmp_path, workers):
    """No failed trial, no traceback, and when there is room again the same command does the rest."""
    store = tmp_path / "store"
    plan = make_plan(parse_list("path+ridge"), benchmarks=["digits101"], budgets=[20], seeds=2)
    run(plan, store, workers=0)
    stored, lost = (item.trial.key for item in plan.trials)
    (store / "trials" / f"{lost}.json").unlink()
    (store / "trials" / f"{lost}.json").mkdir()
    with pytest.raises(
        ArchrankError,
        match=rf"{lost}\.json cannot be written \(Is a directory\); make room there .* what was finished is kept",
    ) as stopped:
        run(plan, store, workers=workers)
    assert "\n" not in str(stopped.value) and {record.key: record.status for record in Store(store).records()} == {
        stored: "done"
    }
    (store / "trials" / f"{lost}.json").rmdir()
    summary = run(plan, store, workers=0)
    assert (summary.kept, summary.trained) == (1, 1)


@pytest.mark.parametrize("ignores", [False, True])
def test_an_interrupt_while_a_worker_starts_waits_unless_interrupts_are_ignored(ignores):
    """A script that starts a run in the background has it ignore interrupts: it goes on ignoring them."""
    started = []

    class Starting:
        def start(self):
            signal.raise_signal(signal.SIGINT)
            started.append(True)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignores else signal.default_int_handler)
    try:
        with contextlib.nullcontext() if ignores else pytest.raises(KeyboardInterrupt):
            start(Starting(), threads=1)
        assert started and signal.getsignal(signal.SIGINT) is (
            signal.SIG_IGN if ignores else signal.default_int_handler
        )
    finally:
        signal.signal(signal.SIGINT, before)


FAULTS = """
import resource, sys, torch
megabytes = int(sys.argv[1])
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    torch.zeros(megabytes * 2**18)
before = faults()
for _ in range(20):
    torch.zeros(megabytes * 2**18)
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
@pytest.mark.parametrize("megabytes", [1, 24, 100])
def test_a_worker_keeps_the_memory_of_tensors_of_every_size(megabytes):
    """A tensor of one size, freed and asked for again, costs no new pages: mapped anew each time, twenty of them would
    take 5,120 page faults for each MiB."""
    run_once = [sys.executable, "-c", FAULTS, str(megabytes)]
    kept = subprocess.run(run_once, env=os.environ | processes.environment(1), capture_output=True, check=True)
    assert int(kept.stdout) < 256 * megabytes
