"""docs/search.md does what it shows."""

from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    text = (DOCS / "search.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, "docs/search.md", "exec"), names)
    first, front, cells = capsys.readouterr().out.splitlines()
    best, answer = map(int, first.split())
    assert answer == 20 and names["evaluate"](best) == max(map(names["evaluate"], range(27)))
    assert (tmp_path / "study.json").is_file() and len(front) > 2 and cells.startswith("((")
