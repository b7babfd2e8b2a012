"""Encoders of users on the command line: reading commands run none of their code, and a crash is a line."""

import json
import os
import sys

import pytest

from archrank.cli import main
from archrank.eval.runners.run import run
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import make_plan
from tests.stores import rewrite

RUNS = "import pathlib\npathlib.Path('ran').touch()\n"
ENCODER = "from archrank import encoding\n@encoding('theirs')\ndef X(graphs, space, *, power: int = {power}):\n    return graphs.ops.double() ** power\n"


def ends(words, code=0):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code in ({code} if code is not None else {0, 1, 2})


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A store with two versions of an encoder that a package of the working folder holds, whose every module says when
    it runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil").mkdir()
    for power in (1, 2):
        (tmp_path / "enc.py").write_text(ENCODER.format(power=power))
        run(
            make_plan(parse_list("enc.py:X+ridge,path+ridge"), benchmarks=["digits101"], budgets=[20], seeds=1),
            "s",
            workers=0,
        )
    for path in sorted((tmp_path / "s" / "trials").glob("*.json")):
        record = json.loads(path.read_text())
        if record["label"] == "theirs+ridge":
            rewrite(path, record | {"reference": "evil.sub:X+ridge"})
    (tmp_path / "evil" / "__init__.py").write_text(RUNS)
    (tmp_path / "evil" / "sub.py").write_text(RUNS + ENCODER.format(power=2))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_reading_a_store_runs_nobodys_code(theirs, capsys):
    assert [record.command_name for record in Store("s").records()].count("evil.sub:X+ridge") == 2
    for words in (
        ["status", "--store", "s"],
        ["failures", "--store", "s"],
        ["compare", "theirs+ridge", "path+ridge", "--store", "s"],
        ["diff", "s", "s"],
        ["plan", "-e", "evil.sub:X+ridge", "--budgets", "20", "--seeds", "1", "--store", "s"],
    ):
        ends(words, None)
        said = capsys.readouterr()
        assert "No such command" not in said.err and "Traceback" not in said.err, words
    assert not (theirs / "ran").exists() and not [name for name in sys.modules if name.partition(".")[0] == "evil"]


def test_a_plug_in_that_crashes_when_it_is_imported_fails_its_check_in_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "enc.py").write_text("print('hello')\nimport ctypes\nctypes.string_at(0)\n" + ENCODER.format(power=1))
    ends(["check", "enc.py:X", "--json"], 1)
    said = json.loads(capfd.readouterr().out)["theirs"]["loading"]
    assert said["verdict"] == "fail" and "signal SIGSEGV (enc.py, line 3)" in said["said"]


def test_plan_says_what_the_text_leaves_open(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "enc.py").write_text(
        "import os\nos._exit(3)\n" + ENCODER.format(power=1).replace("@enc", "@os.wraps\n@enc")
    )
    ends(["plan", "-e", "enc.py:X[any=1]+ridge", "--budgets", "20", "--seeds", "1"])
    assert "its text does not say what @os.wraps makes of it" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["random", "Torch", "gcn"])
def test_a_new_encoder_does_not_take_a_name_that_is_used(tmp_path, name, capsys):
    ends(["new", name, "-o", os.fspath(tmp_path)], 2)
    assert not list(tmp_path.iterdir()) and "choose another" in capsys.readouterr().err
