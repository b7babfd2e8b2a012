import json
import os
import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "words, said",
    [
        (["run", "-e", "gnc"], "unknown encoder 'gnc': did you mean g"),
        (["run", "-e", "gcn", "-b", "digits10"], "unknown benchmark 'digits10': did you mean digits101"),
        (["run", "-e", "gcn", "--budgets", "20,abc"], "--budgets 20,abc: give whole numbers"),
        (["run", "-e", "gcn", "--budgets", "999999"], "budget 999999"),
        (["run", "-e", "nowhere.py:E"], "nowhere.py does not exist"),
        (["run"], "no encoder given"),
        (["run", "-e", "gcn", "--budgets", ""], "--budgets is empty"),
        (["run", "-e", "gcn", "-b", ""], "--benchmark is empty"),
        (["run", "--suite", "defalt"], "unknown suite 'defalt': did you mean default"),
        (["run", "--suite", "no.yaml"], "suite file no.yaml does not exist"),
        (["plan", "-e", "gcn", "--device"], "No such option"),
        (["list", "encodres"], "did you mean encoders"),
        (["report", "--store", "nowhere"], "nowhere"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(words, said, tmp_path, archrank):
    done = archrank(*words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_options_given_often_add_up(tmp_path, archrank):
    done = archrank(
        "plan", "-e", "gcn", "-e", "gin,path+ridge", "--budgets", "20", "--budgets", "30", "--seeds", "1", cwd=tmp_path
    )
    assert "\n6 trials, 0 stored, 6 to train\n" in done.stdout


def test_plan_and_run_agree_on_what_is_stored(tmp_path, archrank):
    words = ("-e", "path+ridge", "--budgets", "20", "--seeds", "4", "--store", "s")
    assert archrank("run", *words, "--workers", "0", cwd=tmp_path).returncode == 0
    first, second, third, _ = sorted((tmp_path / "s" / "trials").glob("*.json"))
    first.write_text(first.read_text()[:100])
    second.write_text(
        json.dumps({name: value for name, value in json.loads(second.read_text()).items() if name != "label"})
    )
    (tmp_path / "s" / "predictions" / f"{third.stem}.parquet").unlink()
    assert "4 trials, 1 stored, 3 to train" in archrank("plan", *words, cwd=tmp_path).stdout
    for command in ("status", "failures"):
        assert "Traceback" not in archrank(command, "--store", "s", cwd=tmp_path).stderr
    assert "4 trials: 1 kept, 3 trained, 0 failed" in archrank("run", *words, "--workers", "0", cwd=tmp_path).stdout


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, archrank):
    (tmp_path / "file").write_text("")
    done = archrank("run", "-e", "path+ridge", "--budgets", "20", "--seeds", "1", "--store", "file", cwd=tmp_path)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1 and "--store" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupted_run_says_that_it_can_go_on(tmp_path):
    running = subprocess.Popen(
        [sys.executable, "-m", "archrank", "run", "-e", "flowerformer", "--seeds", "1"],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert (
        running.returncode == 130
        and said.strip() == "archrank: interrupted; what was finished is kept, repeat the command to go on"
    )


def test_bad_suite_files_are_refused_by_field(tmp_path, archrank):
    for text, said in (
        (
            "benchmarks: [digits101]\nencoders: [gcn]\nbudgets: [20]\nseed: 3\n",
            "unknown field of suite mine.yaml 'seed': did you mean seeds?",
        ),
        ("a: [", "not valid YAML"),
    ):
        (tmp_path / "mine.yaml").write_text(text)
        done = archrank("run", "--suite", "mine.yaml", cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr


def test_new_then_check(tmp_path, archrank):
    assert archrank("new", "my-encoder", cwd=tmp_path).returncode == 0
    again = archrank("new", "my-encoder", cwd=tmp_path)
    assert again.returncode == 2 and "exists" in again.stderr
    done = archrank("check", "my_encoder.py:MyEncoder", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "overfits" in done.stdout and "fail" not in done.stdout


THEIRS = """import os

import torch
from archrank import Graphs, SearchSpace, encoder

if os.environ.get("LISTING"):
    raise RuntimeError("listing imports nobody")


@encoder("theirs", family="GNN")
class Theirs(torch.nn.Module):
    '''Somebody else's.'''

    def __init__(self, space: SearchSpace, *, dim: int = 3) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(len(space.ops), dim)

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, object]:
        return {"updates": 20, "batch": 8}

    def forward(self, graphs: Graphs) -> torch.Tensor:
        return (self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)).sum(-2)
"""
PROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "their-encoders"
version = "1.0"

[project.entry-points."archrank.encoders"]
theirs = "their_encoders:Theirs"

[tool.setuptools]
py-modules = ["their_encoders"]
"""


def test_an_installed_package_brings_its_encoder(tmp_path):
    pytest.importorskip("setuptools")
    package, site = tmp_path / "package", tmp_path / "site"
    package.mkdir()
    (package / "their_encoders.py").write_text(THEIRS)
    (package / "pyproject.toml").write_text(PROJECT)
    # No network: what builds it is what is installed here, and it depends on nothing.
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-build-isolation",
            "--no-deps",
            "--no-index",
            "--target",
            str(site),
            str(package),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert list(site.glob("their_encoders-1.0.dist-info/entry_points.txt"))
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))}

    def archrank(*words, **more):
        return subprocess.run(
            [sys.executable, "-m", "archrank", *words], capture_output=True, text=True, cwd=tmp_path, env=here | more
        )

    listed = archrank("list", "encoders", LISTING="1").stdout
    assert "[GNN, learned] Somebody else's. (plug-in their-encoders)" in listed and "dim=3" in listed
    done = archrank(
        "run",
        "-e",
        "theirs[dim=4]",
        "--recipe",
        "paper",
        "--budgets",
        "20",
        "--seeds",
        "2",
        "--workers",
        "0",
        "--device",
        "cpu",
        "--store",
        "s",
    )
    assert done.returncode == 0 and "2 trained, 0 failed" in done.stdout + done.stderr, done.stderr


def test_an_interrupt_under_another_name_is_one_line(monkeypatch, capsys):
    from archrank import cli

    def interrupted(*words, **more):
        raise OSError("Signal 2 ignored due to race condition")

    monkeypatch.setattr(cli, "command", lambda wanted: interrupted)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["list"])
    assert stopped.value.code == cli.INTERRUPTED and capsys.readouterr().err.startswith("archrank: interrupted;")


LONG = "a" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["run", "-e", "gin", "--recipe", f"{LONG}.yaml"],
        ["run", "-e", f"{LONG}.py:Mine"],
        ["run", "-e", "gin", "--recipe", f"{LONG}.py:Mine"],
        ["run", "-e", f"{LONG}:Mine"],
        ["run", "-e", "gin", "-b", LONG],
        ["run", "--suite", LONG],
        ["run", "--suite", f"{LONG}.yaml"],
        ["report", "--store", LONG],
        ["merge", "--store", LONG, "out"],
        ["data", "import", LONG],
        ["check", LONG],
    ],
)
def test_a_name_longer_than_a_file_may_have_is_one_line(words, tmp_path, monkeypatch, capsys):
    from archrank import cli

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.startswith("archrank: ") and said.count("\n") == 1, said
