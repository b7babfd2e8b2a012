"""Pages that go from beginning to end are run from beginning to end, as they stand but for smaller numbers."""

import re
import shlex
from pathlib import Path

import pytest

from archrank.cli import main
from tests.datasets.test_made_releases import NETWORK, onnx

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name, folder in (("CACHE", "cache"), ("TABLES", "tables")):
        monkeypatch.setenv(f"ARCHRANK_{name}", str(tmp_path / folder))
    monkeypatch.delenv("ARCHRANK_DATA", raising=False)
    (tmp_path / "here" / "nets").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "here" / "nets" / f"{name}.onnx").write_bytes(
            onnx(NETWORK[: 3 if name == "a" else 2], outputs=("y", "b"))
        )
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def play(page, smaller=()):
    """Run every block of a page: CSV is saved under the name that stands before it, Python shares one namespace."""
    text, names = (DOCS / page).read_text(encoding="utf-8"), {}
    for large, small in smaller:
        assert large in text, large
        text = text.replace(large, small)
    for block in BLOCK.finditer(text):
        kind, body = block.groups()
        if kind == "csv":
            Path(re.findall(r"`([\w/]+\.csv)`", text[: block.start()])[-1]).write_text(body)
        elif kind == "python":
            exec(compile(body, f"{page}: python", "exec"), names)
        elif kind == "console":
            for line in body.splitlines():
                words = shlex.split(line.removeprefix("$ "))
                assert words[0] == "archrank", line
                try:
                    main(words[1:])
                except SystemExit as stop:
                    assert not stop.code, line
    return names


@pytest.mark.filterwarnings("ignore::archrank.datasets.errors.ArchrankWarning")
def test_your_own_table(place, capsys):
    from archrank import load

    play("your-own-table.md")
    said = capsys.readouterr().out
    assert said.count("imported as ") == 7 and "'latency' in 1" in said
    assert load("runs").repeats("accuracy").shape == (2, 2) and load("nets").space.attrs == ("parameters",)
    assert load("strings").space.name == "nasbench201" and load("drawn").space.attrs == ("kernel",)
    assert load("cells").ops.shape == (3, 8)


def test_from_a_table_to_candidates(place, capsys):
    smaller = [
        ("range(600)", "range(80)"),
        ("range(5000)", "range(120)"),
        ("--budgets 100,200 --seeds 3\n$ archrank run", "--budgets 10,20 --seeds 1\n$ archrank run"),
        ("--budgets 100,200 --seeds 3", "--budgets 10,20 --seeds 1 --recipe quick --workers 0"),
    ]
    names = play("candidates.md", smaller)
    said = capsys.readouterr().out
    assert "10 trained, 0 failed" in said and said.count(" ± ") == 10
    assert Path("results/report.md").is_file() and len(names["best"]) == 10
    best = [names["accuracy"](names["cells"][at]) for at in names["best"]]
    everything = [names["accuracy"](cell) for cell in names["cells"]]
    assert sum(best) / len(best) > sum(everything) / len(everything)
