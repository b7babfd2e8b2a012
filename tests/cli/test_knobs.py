"""What a run is told and what it tells: seeds, suites, how long it takes, how far it is, where it works."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from archrank.cli.progress import Bars, Lines, Work
from archrank.datasets.errors import ArchrankError
from archrank.eval.trials.groups import TrialGroup, compose
from archrank.eval.trials.rates import Rates, duration, wall_seconds
from archrank.eval.trials.seeds import parse_seeds
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.suite import read_suite
from archrank.eval.trials.trial import make_plan
from tests.commands import ended


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text, seeds", [("5", 5), ("3-5,8", [3, 4, 5, 8]), ("7-7", [7]), (" 0 - 1 , 9", [0, 1, 9])])
def test_seeds_are_a_number_or_which(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "a", "3-", "5-3", "1,,2", "0-999999999999", "9" * 30, "-1"])
def test_wrong_seeds_are_one_line(text):
    with pytest.raises(ArchrankError, match="seed"):
        parse_seeds(text)


def groups_of(encoders, seeds=2, budgets=(8, 12)):
    plan = make_plan(parse_list(encoders), benchmarks=["digits101"], budgets=list(budgets), seeds=seeds, recipe="quick")
    return [TrialGroup(members, frozenset(item.trial.key for item in members), "") for members in compose(plan.trials)]


def test_a_plan_says_how_long_it_takes_once_a_run_has_told_and_when_it_is_measured(place, capsys):
    words = ["-e", "adjacency+ridge,gin[dim=8,layers=1]", "--budgets", "12", "--recipe", "quick", "--store", "s"]
    code, out, _ = ended(capsys, "plan", *words, "--seeds", "0-1")
    assert code == 0 and "how long that takes is not known here; not timed here yet: adjacency+ridge, gin" in out
    assert ended(capsys, "run", *words[:1], "adjacency+ridge", *words[2:], "--seeds", "3,5", "--workers", "0")[0] == 0
    out = ended(capsys, "plan", *words, "--seeds", "0-1")[1]
    assert (
        "4 trials, 0 stored" in out
        and "at least" in out
        and "not timed here yet: gin[dim=8,layers=1] (--measure" in out
    )
    out = ended(capsys, "plan", *words, "--seeds", "0-1", "--measure")[1]
    assert "about" in out and "worker process" in out and "not timed" not in out
    assert "2 trials, 2 stored" in ended(capsys, "plan", *words[:1], "adjacency+ridge", *words[2:], "--seeds", "3,5")[1]


def test_rates_scale_with_size_and_a_damaged_file_is_none(place):
    one, two = groups_of("adjacency+ridge", seeds=1, budgets=[8]), groups_of("adjacency+ridge", seeds=3, budgets=[16])
    rates = Rates.read()
    assert rates.of(one[0].members) is None
    rates.note(one[0].members, "cpu", 2.0)
    rates.note(one[0].members, "cpu", 4.0)
    rates.write()
    again = Rates.read()
    assert again.of(one[0].members) == 3.0 and again.of(two[0].members) == 3.0 * 2 * 3
    assert again.of(one[0].members, "cuda") is None
    for text in ("{", "[]", '{"seconds": {"a": "b"}, "device": 1}', '{"seconds": {"[1]": -1}, "device": "cpu"}'):
        rates.path.write_text(text)
        assert Rates.read().seconds == {}
    assert wall_seconds([10, 2, 2], 2) == 10 and wall_seconds([4, 4, 4, 4], 2) == 8 and wall_seconds([], 2) == 0
    assert [duration(seconds) for seconds in (40, 720, 12600)] == ["40 s", "12 min", "3.5 h"]


def test_what_is_left_is_told_before_the_first_ensemble_ends(place, monkeypatch, capsys):
    groups, clock = groups_of("adjacency+ridge,path+ridge"), [100.0]
    monkeypatch.setattr("archrank.cli.progress.time.monotonic", lambda: clock[0])
    work = Work(groups)
    assert work.done == 0 and work.left == ""
    work.on_event(0, "progress", 0.02)
    clock[0] += 10
    assert work.done == 0.01 and work.left == ""  # as much as pre-training before it, or a worker's start, would count
    work.on_event(0, "progress", 0.5)
    assert work.done == 0.25 and work.left == "about 30 s left"
    for event in (("progress", 0.2), ("finished", None)):
        work.on_event(0, *event)
    assert work.done == 0.5
    lines = Lines()
    lines.begin(8, 0, groups)
    lines.on_event(0, "started", None)
    lines.on_event(0, "progress", 0.1)
    clock[0] += 40
    lines.on_event(0, "progress", 0.5)
    for key in groups[0].pending_keys:
        lines.on_event(0, "stored", (key, "done"))
    lines.on_event(0, "finished", None)
    out = capsys.readouterr().out
    assert "[0/8] 25 % of the work is done, about 2 min left" in out
    assert "[4/8] adjacency+ridge on digits101, budgets 8, 12, about 40 s left" in out


def test_a_pre_training_is_named_when_it_begins_and_once(place, capsys):
    groups, lines = groups_of("gin[dim=8,layers=1,pretext=counts],arch2vec+ridge,gin[dim=8,layers=1]"), Lines()
    lines.begin(12, 0, groups)
    for _ in range(2):
        for number in range(len(groups)):
            lines.on_event(number, "started", None)
    said = [line for line in capsys.readouterr().out.splitlines() if "pre-training" in line]
    assert said == [
        "[0/12] gin[dim=8,layers=1,pretext=counts] on digits101: pre-training first, unless the store has it",
        "[0/12] arch2vec+ridge on digits101: pre-training first, unless the store has it",
    ]


def test_bars_move_with_every_step(place, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    groups, bars = groups_of("adjacency+ridge,path+ridge"), Bars()
    bars.begin(8, 0, groups)
    try:
        bars.on_event(0, "started", None)
        bars.on_event(0, "progress", 0.5)
        whole = bars.bar.tasks[0]
        assert whole.completed == 0.25 and whole.description == "0/8 trials" and whole.fields["left"].endswith(" left")
        assert bars.bar.tasks[1].completed == 0.5
        bars.on_event(0, "finished", None)
        assert len(bars.bar.tasks) == 1 and bars.bar.tasks[0].completed == 0.5
    finally:
        bars.end()


def test_running_from_python_shows_progress_as_the_command_does(place, capsys):
    from archrank import run

    run(["adjacency+ridge"], budgets=12, seeds="4-5", store="s", workers=0)
    out = capsys.readouterr().out
    assert "2 trials, 0 stored, 2 to train in 1 ensembles" in out and "[2/2] adjacency+ridge on digits101" in out
    run(["adjacency+ridge"], budgets=16, seeds=1, store="s", workers=0, progress=False)
    assert capsys.readouterr().out == ""


def test_a_misspelt_field_of_a_suite_gets_the_nearest_and_seeds_may_be_ranges(place):
    fields = {"benchmarks": ["digits101"], "encoders": ["path"], "budgets": [12]}
    Path("a.yaml").write_text(json.dumps(fields | {"seeds": "3-5,8"}))
    assert read_suite("a.yaml").seeds == [3, 4, 5, 8]
    for more, says in (
        ({"protocoll": "clean"}, r"unknown field of suite a.yaml 'protocoll': did you mean protocol\?"),
        ({"seeds": "x"}, "give how many"),
    ):
        Path("a.yaml").write_text(json.dumps(fields | more))
        with pytest.raises(ArchrankError, match=says):
            read_suite("a.yaml")
    Path("a.yaml").write_text(json.dumps({"encoder": fields.pop("encoders")} | fields))
    with pytest.raises(ArchrankError, match=r"unknown field of suite a.yaml 'encoder': did you mean encoders\?"):
        read_suite("a.yaml")


def test_systems_that_lack_something(monkeypatch, place, capsys):
    words = ["run", "-e", "adjacency+ridge", "--budgets", "12", "--seeds", "1", "--store", "s"]
    code, _, err = ended(capsys, *words, "--device", "mps")
    assert code == 2 and "device mps is not supported" in err and "use cpu" in err and err.count("\n") == 1
    monkeypatch.delattr(os, "fork")
    code, _, err = ended(capsys, *words)
    assert code == 2 and "need a POSIX system" in err and "--workers 0" in err and err.count("\n") == 1
    assert ended(capsys, *words, "--workers", "0")[0] == 0


@pytest.mark.parametrize("without", ["", "del signal.sigtimedwait; "])
def test_a_worker_is_kept_where_signals_cannot_be_waited_for(without):
    assert hasattr(signal, "sigtimedwait")
    code = (
        f"import os, signal, time; {without}from archrank.eval.runners.worker import keep\n"
        "child = os.fork()\nif not child:\n    time.sleep(0.3)\n    os._exit(3)\nkeep(child, os.getppid())"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 3
