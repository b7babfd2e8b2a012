"""A store that somebody sent, with names, notes, recipes and messages made to act: nothing leaves the folder, nothing
acts on page or terminal."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from archrank.cli import main
from archrank.datasets import ArchrankError
from archrank.datasets.io.visible import visible
from archrank.reports import build
from archrank.reports.blocks import Bold, Cell, Column, Details, Mono, Section, Table, Text
from archrank.reports.page import _written
from archrank.reports.renderers.text import render_markdown, render_tables
from archrank.reports.words import slug

MARKUP = "../../../up <svg onload=alert(1)>\"'&amp;`~|*_[x](javascript:alert(2))$\\input{/etc/passwd}{%"
EVIL = MARKUP + "\x1b]0;owned\x07\x9b2J\r\n# head\u202e\u2028"
ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\ud800-\udfff]")


def spoil(record: dict[str, Any], number: int) -> dict[str, Any]:
    """Every text of a record, hostile; in what identifies the trial without control characters, and the key is that of
    what it says."""
    trial = record["trial"] | dict.fromkeys(("protocol", "recipe", "target", "head", "table"), MARKUP)
    trial |= {
        "encoder": f"{MARKUP}{number}",
        "benchmark": f"{MARKUP}{trial['benchmark']}",
        "config": {MARKUP: MARKUP},
        "split": f"{MARKUP}{trial['split']}",
    }
    record = record | {
        "trial": trial,
        "label": f"{EVIL}{number}",
        "reference": f"{EVIL}{number}",
        "family": EVIL,
        "space": f"{EVIL}{record['space']}",
    }
    record |= {"notes": [EVIL, f"not compiled: {EVIL}"], "recipe": {"name": EVIL, EVIL: EVIL, "head": {EVIL: EVIL}}}
    record |= {
        "provenance": {name: value if name == "threads" else EVIL for name, value in record["provenance"].items()}
        | {EVIL: EVIL}
    }
    if number == 0 and trial["seed"] == 1:
        record |= {"status": "failed", "metrics": {}, "error": {"type": EVIL, "message": EVIL, "traceback": EVIL}}
    return record | {"key": hashlib.sha256(json.dumps(trial, sort_keys=True).encode()).hexdigest()}


@pytest.fixture(scope="module")
def hostile(make, tmp_path_factory) -> Path:
    made = make(
        (("toy-a", "toy"), ("other", "other")),
        encoders={"one": ("baseline", 0.5), "two": ("GNN", 0.8)},
        budgets=(20, 78),
        seeds=2,
    )
    for path in (made.store / "trials").glob("*.json"):
        record = json.loads(path.read_text())
        record = spoil(record, ["one", "two"].index(record["label"]))
        for kind in ("predictions", "encodings"):
            if (stored := made.store / kind / f"{path.stem}.parquet").exists():
                stored.rename(stored.with_stem(record["key"]))
        path.unlink()
        path.with_stem(record["key"]).write_text(json.dumps(record))
    (made.store / "suites").mkdir()
    (made.store / "suites" / "s.json").write_text(json.dumps({"suite": EVIL, "skipped": {EVIL: EVIL}}))
    return made.store


@pytest.fixture(scope="module")
def built(hostile: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("deep") / "a" / "b" / "out"
    build([hostile], out, formats=("html", "md", "tex", "json", "svg", "pdf"), title=EVIL + "\ud800")
    return out


def test_nothing_is_written_outside_the_folder_and_names_are_plain(built: Path) -> None:
    above = built.parents[2]
    files = [path for path in above.rglob("*") if path.is_file()]
    assert files and all(path.is_relative_to(built) for path in files)
    for path in files:
        assert re.fullmatch(
            r"report\.(html|md|tex|json)|figures/[a-z0-9-]+\.(svg|pdf)", path.relative_to(built).as_posix()
        )


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_html_shows_it_as_text(built: Path) -> None:
    text = (built / "report.html").read_text(encoding="utf-8")
    assert not ACTS.search(text) and "alert(1)" in text and "\\x1b]0;owned" in text
    page = Page(text)
    assert [tag for tag, _ in page.tags if tag == "script"] == ["script"] * 4
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:,")), (tag, attributes)
        assert re.fullmatch(r"[A-Za-z0-9-]*", attributes.get("id") or ""), attributes
    json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_markdown_shows_it_as_text(built: Path) -> None:
    text = (built / "report.md").read_text(encoding="utf-8")
    assert not ACTS.search(text)
    prose = re.sub(r"(`{3,})sh\n.*?\n\1\n", "", text, flags=re.S)
    assert "<svg" not in prose and "[x](" not in prose and not re.search(r"(?m)^#+ head", prose)
    assert set(re.findall(r"<[^>]*>", prose)) <= {"<details>", "</details>", "<summary>", "</summary>"}
    assert "$\\" not in prose.replace("\\$", "")
    assert all(
        re.fullmatch(r"figures/[a-z0-9-]+\.svg", target) for target in re.findall(r"(?<!\\)\]\(([^)#]+)\)", prose)
    )


def test_latex_shows_it_as_text(built: Path) -> None:
    text = (built / "report.tex").read_text(encoding="utf-8")
    assert not ACTS.search(text) and "\\input" not in text
    known = r"\\(begin|end|caption|label|centering|toprule|midrule|bottomrule|textbackslash|textasciitilde|textasciicircum|textless|textgreater|ldots|usepackage)\b"
    assert not re.search(
        r"\\[a-zA-Z]", re.sub(known, "", re.sub(r"\$\\[a-z]+\$", "", text.replace(r"\\" + "\n", "\n")))
    )


def test_json_is_json_and_pictures_are_xml(built: Path) -> None:
    document = json.loads((built / "report.json").read_text(encoding="utf-8"))
    assert len(document["trials"]) == 16 and document["title"].startswith(MARKUP)
    for path in (built / "figures").glob("*.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert not tags & {"script", "a", "foreignObject"} and not ACTS.search(path.read_text())


COMMANDS = [["status"], ["status", "--json"], ["failures"], ["failures", "--traceback"], ["failures", "--json"], ["show", "KEY"], ["show", "KEY", "--json"],
            ["compare", visible(EVIL) + "0", visible(EVIL) + "1"], ["compare", visible(EVIL) + "0", visible(EVIL) + "1", "--json"], ["compare", visible(EVIL) + "0", "nobody"],
            ["report", "--only", "nobody", "-o", "OUT"], ["report", "-f", "md", "-o", "OUT"]]  # fmt: skip


@pytest.mark.parametrize(
    "words", COMMANDS, ids=lambda words: " ".join(words[:1] + [w for w in words if w.startswith("-")])
)
def test_every_reading_command_shows_it_as_text(
    words: list[str], hostile: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key = next(path.stem for path in sorted((hostile / "trials").glob("*.json")) if "failed" in path.read_text())
    given = [{"KEY": key, "OUT": str(tmp_path)}.get(word, word) for word in words]
    with pytest.raises(SystemExit) as stopped:
        main([*given, "--store", str(hostile)])
    said = capfd.readouterr()
    assert stopped.value.code in (0, 1, 2) and "Traceback" not in said.err
    assert not ACTS.search(said.out + said.err), ACTS.search(said.out + said.err)
    if "--json" in words:
        json.loads(said.out)
    else:
        assert "alert(1)" in said.out + said.err or words[-1] == "OUT"


def test_diff_shows_it_as_text(hostile: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit):
            main(["diff", str(hostile), str(hostile), "--all", *more])
        said = capfd.readouterr()
        assert not ACTS.search(said.out + said.err) and "owned" in said.out


def test_a_file_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchrankError, match="outside"):
        _written(tmp_path / "out", "figures/../../x.svg", b"")
    assert not (tmp_path / "x.svg").exists()
    assert slug("../../x Y") == "x-y" and slug("..") == "other" and len(slug("a" * 500)) == 48


@pytest.mark.parametrize(
    "text, line",
    [
        ("1. a", "1\\. a"),
        ("- a", "\\- a"),
        ("+ a", "\\+ a"),
        ("# a", "\\# a"),
        ("    a", "a"),
        ("> a", "&gt; a"),
        ("a & b", "a &amp; b"),
        ("a $x$", "a \\$x\\$"),
    ],
)
def test_a_paragraph_never_becomes_a_list_or_heading(text: str, line: str) -> None:
    assert line in render_markdown("T", "S", [Section("s", "S", [Text((text,))])], {}).splitlines()


def test_code_summaries_and_rows_hold_what_they_are_given() -> None:
    table = Table("t", "c", (Column("a", "[h]"),), ({"a": Cell("[1]")}, {"a": Cell("*")}), paper=True)
    section = Section("s", "S", [Text((Bold("x"), Mono("a`b"))), Details("<b>&", (table,))])
    text = render_markdown("T", "S", [section], {})
    assert "`` a`b ``" in text and "<summary>&#60;b&#62;&#38;</summary>" in text
    assert render_tables([section]).count("\n{}") == 3
