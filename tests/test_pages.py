"""Pages that go from beginning to end are run from beginning to end, as they stand but for smaller numbers."""

from pathlib import Path

import pytest

from tests.datasets.test_made_releases import NETWORK, onnx
from tests.tools.pages import FOLDERS, blocks, play


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name, folder in FOLDERS.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("ARCHRANK_DATA", raising=False)
    (tmp_path / "here" / "nets").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "here" / "nets" / f"{name}.onnx").write_bytes(
            onnx(NETWORK[: 3 if name == "a" else 2], outputs=("y", "b"))
        )
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def whole(page, smaller=()):
    """Run every block of a page; the names its Python leaves."""
    names = {}
    for kind, text, name in blocks(page, smaller):
        play(kind, text, name, names)
    return names


@pytest.mark.filterwarnings("ignore::archrank.datasets.errors.ArchrankWarning")
def test_your_own_table(place, capsys):
    from archrank import load

    whole("your-own-table.md")
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
    names = whole("candidates.md", smaller)
    said = capsys.readouterr().out
    assert "10 trained, 0 failed" in said and said.count(" ± ") == 10
    assert Path("results/report.md").is_file() and len(names["best"]) == 10
    best = [names["accuracy"](names["cells"][at]) for at in names["best"]]
    everything = [names["accuracy"](cell) for cell in names["cells"]]
    assert sum(best) / len(best) > sum(everything) / len(everything)
