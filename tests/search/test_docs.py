"""docs/search.md does what it shows."""

from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_example_of_ask_and_tell_runs(tmp_path, monkeypatch, capsys):
    block = (DOCS / "search.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/search.md", "exec"), {})
    best, told = capsys.readouterr().out.split()
    assert int(best) >= 0 and int(told) == 20 and (tmp_path / "study.json").is_file()
