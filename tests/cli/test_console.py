"""Whatever is printed passes one place, and any stream will do."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archrank.datasets.io.visible import visible
from tests.commands import ended

ROOT = Path(__file__).resolve().parents[2]


def archrank(*words, redirect="", cwd=None, **environment):
    command = " ".join([sys.executable, "-m", "archrank", *words, redirect])
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        cwd=cwd,
        env=os.environ | environment,
    )


def test_what_acts_on_a_terminal_is_shown_as_its_escape():
    hostile = "a\x1b]0;title\x07\x9b2J\r\n\x00\u202eb\u200b\ud800\u2028\ufeff"
    assert visible(hostile) == r"a\x1b]0;title\x07\x9b2J\r\n\x00\u202eb\u200b\ud800\u2028\ufeff"
    assert visible("one\ntwo\r\x1b", lines=True) == "one\ntwo\\r\\x1b"
    assert visible("τ ≤ ä 漢 🙂 \\x1b") == "τ ≤ ä 漢 🙂 \\x1b"


def test_no_command_prints_past_the_console():
    for path in sorted((ROOT / "archrank" / "cli").glob("*.py")):
        if path.name == "console.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            assert ast.unparse(node.func) not in (
                "print",
                "typer.echo",
                "typer.secho",
                "click.echo",
                "sys.stdout.write",
                "sys.stderr.write",
                "json.dump",
            ), f"{path}:{node.lineno}"


@pytest.mark.parametrize("words", [["list"], ["--help"], ["data", "list"], ["list", "--json"]])
def test_a_full_output_is_one_line(words):
    done = archrank(*words, redirect="> /dev/full")
    assert done.returncode == 2 and done.stderr == "archrank: the output cannot be written: No space left on device\n"


def test_a_closed_output_is_no_error_and_no_file_takes_its_place(tmp_path):
    assert archrank("list", redirect=">&-").stderr == ""
    done = archrank(
        "run",
        "-e",
        "adjacency+ridge",
        "--budgets",
        "12",
        "--seeds",
        "1",
        "--workers",
        "0",
        redirect=">&-",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert archrank("nonsense", redirect=">&- 2>&-").returncode == 2
    record = json.loads(next((tmp_path / "results" / "store" / "trials").glob("*.json")).read_text())
    assert record["status"] == "done"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_any_encoding_gives_the_page(encoding):
    done = archrank("list", "protocols", PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and done.stderr == "" and "clean" in done.stdout


def test_help_names_types_as_people_do():
    said = archrank("run", "--help").stdout + archrank("data", "import", "--help").stdout
    assert "--store PATH" in said and "--workers INTEGER" in said and "--recipe TEXT" in said and "--to PATH" in said
    assert "list[" not in said and "<" not in said  # neither of options nor of arguments


NOISY = """import os, sys
import torch
from archrank import encoder
print("hello from the plug-in")
os.write(1, b"hello from below Python\\n")

@encoder("noisy")
class Noisy(torch.nn.Module):
    '''Prints.'''
    def __init__(self, space, *, dim: int = 4):
        super().__init__()
        self.embed = torch.nn.Embedding(len(space.ops), dim)
    def forward(self, graphs):
        print("forward")
        return (self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)).sum(-2)
"""


def test_a_plug_in_that_prints_does_not_break_json(tmp_path, monkeypatch, capfd):
    (tmp_path / "noisy.py").write_text(NOISY)
    monkeypatch.chdir(tmp_path)
    done = ended(capfd, "check", "noisy.py:Noisy", "--json")
    assert list(json.loads(done.stdout)) == ["noisy"] and done.stderr == ""
    done = ended(capfd, "plan", "-e", "noisy.py:Noisy", "--budgets", "12", "--json")
    assert json.loads(done.stdout)[0]["encoder"] == "noisy" and done.stderr == ""
