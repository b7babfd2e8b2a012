"""The site of published results: pages that exist, marks that are earned, names that are text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from archrank.datasets.errors import ArchrankError, ArchrankWarning
from archrank.eval.statistics import rounded, values
from archrank.eval.trials.publication import Submitter, digest_of, publish
from archrank.eval.trials.results import read_results
from archrank.eval.trials.verified import SUFFIX, TrialCheck, Verified, write_verified
from archrank.reports.leaderboard import build_site
from archrank.reports.study import interval
from archrank.reports.trials_table import record_schema
from tests.stores import rewrite

EVIL = "<img src=x onerror=alert(1)>"


class Cells(HTMLParser):
    """The texts of table rows, links, and the tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag != "td"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def site(make, tmp_path_factory) -> tuple[Path, Path, list[Path]]:
    folder, out = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("site")
    tables = (("toy-a", "toy"), ("other", "other"))
    ours = make(
        tables, encoders={"good": ("GNN", 0.4), "bad": ("GNN", 1.5)}, budgets=(20, 78), seeds=3, predictions=False
    )
    theirs = make(
        tables[:1], encoders={"good": ("GNN", 0.5), "theirs": ("yours", 0.3)}, budgets=(78,), seeds=3, predictions=False
    )
    for path in sorted((theirs.store / "trials").glob("*.json")):
        record = json.loads(path.read_text())
        record["trial"]["source"] = "another"
        record["label"] = EVIL if record["label"] == "theirs" else record["label"]
        rewrite(path, record)
    publish([ours.store], folder / "ours.zip", "Ours", Submitter(name="us", citation="@misc{us,\n title={Ours}}"))
    publish([theirs.store], folder / "theirs.zip", EVIL, Submitter(name=EVIL))
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 no")
    check = TrialCheck(
        key="0" * 64, label="good", task="toy-a/accuracy", budget=20, seed=0, verdict="equal", published=0.5, again=0.5
    )
    for name, digest in (("ours.zip", digest_of(folder / "ours.zip")), ("theirs.zip", "f" * 64)):
        said = Verified(schema=1, sha256=digest, by="them", date="2026-11-28T00:00:00Z", archrank="0", hardware="cpu", draw=1,
                        trials=24, checks=[check], unchecked={})  # fmt: skip
        write_verified(folder / (name + SUFFIX), said)
    with pytest.warns(ArchrankWarning, match=r"left out .*broken\.zip: not a complete zip archive"):
        files = build_site([folder], out, "Board")
    return ours.store, out, files


def test_every_link_of_the_site_leads_somewhere(site) -> None:
    _, out, files = site
    assert files[0].name == "index.html" and len(files) == 3
    for path in files:
        page = path.read_text()
        ids = set(re.findall(r'\bid="([^"]+)"', page))
        for link in Cells(page).links:
            assert link == "data:," or link[1:] in ids if link[0] in "#d" else (out / link).exists(), link


def test_values_marks_and_names_stand_as_text(site) -> None:
    store, _, files = site
    index = Cells(files[0].read_text())
    assert "img" not in index.tags
    submissions = {row[0]: row for row in index.rows if len(row) == 6}
    assert (
        submissions["Ours"][4] == "✓ equal" and submissions[EVIL][4] == "not verified" and submissions[EVIL][1] == EVIL
    )
    assert "@misc{us," in files[0].read_text()
    page = Cells(next(path for path in files if path.name.startswith("toy-a")).read_text())
    rows = {row[0]: row for row in page.rows if row}
    assert "img" not in page.tags and len(rows) == 4
    mine = next(name for name, row in rows.items() if name.startswith("good (") and row[-2] == "Ours")
    frame = read_results([store])
    means = values(frame[(frame["label"] == "good") & (frame["benchmark"] == "toy-a")])
    expected = rounded(interval(means[means["budget"] == 20].iloc[0]))
    assert rows[mine][1].replace("\u00a0", " ").startswith(expected) and rows[EVIL][1] == "–"
    assert sum("●" in row[2] for row in rows.values()) == 1


def test_a_folder_without_results_is_one_line(tmp_path) -> None:
    with pytest.raises(ArchrankError, match="no published results in"):
        build_site([tmp_path], tmp_path / "site", "Board")


def test_the_schema_of_a_record_is_what_the_docs_carry(site) -> None:
    schema = json.loads(record_schema())
    assert (
        set(schema["required"]) <= set(schema["properties"])
        and schema["properties"]["key"]["pattern"] == "^[0-9a-f]{64}$"
    )
    assert (Path(__file__).resolve().parents[2] / "docs" / "schema" / "trial.json").read_text() == record_schema()
