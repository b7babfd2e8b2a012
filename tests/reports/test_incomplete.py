"""Stores that lack results, tables or a common setting: the rest is there, and what is missing is said."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from archrank.datasets import ArchrankError
from archrank.eval.statistics import leaderboard, noise_ceiling
from archrank.eval.trials.results import read_results
from archrank.eval.trials.trial import key_of
from archrank.reports import build
from archrank.reports.study import read_study
from tests.stores import rewrite


def every_block(blocks: list[dict]) -> Iterator[dict]:
    """The blocks of a JSON report, and those that others hold."""
    for block in blocks:
        yield block
        yield from every_block(block.get("blocks", []))
        for inside in block.get("options", {}).values():
            yield from every_block(inside)


def test_missing_results_failures_and_machines_are_said(ragged, sections, tmp_path: Path) -> None:
    sections("findings", "leaderboard", "cost", "failures")
    build([ragged.store], tmp_path, formats=("md",), load=ragged.load)
    text = (tmp_path / "report.md").read_text()
    assert "late is not ranked: it has results for 3 of 12 settings." in text
    assert "NonFiniteLoss" in text and "the loss became NaN at step 78" in text
    assert "Mean over 11 of 12 settings" in text
    assert "On CPU A, 78 labels" in text and "On GPU B, 78 labels" in text


def test_one_predictor_on_two_machines_is_refused_not_averaged(make, sections, tmp_path: Path) -> None:
    sections("cost")
    mixed = make((("toy-a", "toy"),), encoders={"one": ("GNN", 0.5), "two": ("GNN", 0.8)}, budgets=(20, 78), seeds=2)
    for path in sorted((mixed.store / "trials").glob("*.json")):
        record = json.loads(path.read_text())
        if record["label"] == "two" and record["trial"]["seed"] == 1:
            record["provenance"]["hardware"] = "another machine"
            path.write_text(json.dumps(record))
    build([mixed.store], tmp_path, formats=("md",), load=mixed.load)
    text = (tmp_path / "report.md").read_text()
    assert "two was measured on Synthetic CPU @ 2 GHz and another machine" in text
    cost = text.split("## 1. Cost")[1]
    assert "| one |" in cost and "| two |" not in cost


def test_without_the_tables_the_rest_is_there_and_says_so(suite, tmp_path: Path) -> None:
    from archrank.datasets import DataMissing

    def load(name: str) -> object:
        raise DataMissing(f"{name}: get it first")

    build([suite.store], tmp_path, formats=("html", "md"), load=load)
    text = (tmp_path / "report.md").read_text()
    assert text.count("The table of toy-a is not available locally") == 2
    assert "## 3. Leaderboard" in text and "flowerformer" in text


def test_another_table_of_the_same_name_is_not_used(suite, synthetic: ModuleType, sections, tmp_path: Path) -> None:
    sections("errors")
    build([suite.store], tmp_path, formats=("md",), load=lambda name: synthetic.make_table(name, seed=99))
    assert "is not the one these trials were made on" in (tmp_path / "report.md").read_text()


def test_what_was_tested_on_another_score_is_shown_against_it(make, tmp_path: Path, monkeypatch) -> None:
    made = make(
        (("toy-a", "toy"),),
        encoders={"one": ("GNN", 0.5), "two": ("GNN", 0.8)},
        budgets=(20, 78),
        seeds=2,
        protocol="tnasp",
    )
    table = made.load("toy-a")
    holes = [f"hole_{i}" for i in range(2)]
    scores = table.scores.assign(valid=-table.scores["accuracy"], **dict.fromkeys(holes, np.nan))
    card = table.card.with_metrics({"valid": {"direction": "max", "repeats": holes}})
    table = dataclasses.replace(table, scores=scores, card=card)
    for path in sorted((made.store / "trials").glob("*.json")):
        record = json.loads(path.read_text())
        record["trial"]["target"], record["test"]["target"] = "valid", "accuracy"
        record["trial"]["table"] = table.content_hash
        rewrite(path, record)
    study = read_study([made.store], load=lambda name: table)
    (group,) = study.groups
    assert study.tested(group, "toy-a", "valid") == "accuracy"
    asked = []
    monkeypatch.setattr(
        "archrank.reports.study.noise_ceiling", lambda repeats: asked.append(repeats) or noise_ceiling(repeats)
    )
    monkeypatch.setattr("archrank.reports.page.read_study", lambda *_, **__: study)
    build([made.store], tmp_path, formats=("json",))
    assert len(asked) == 1  # once for all parts, and of the score that was tested
    text = (tmp_path / "report.json").read_text()
    assert "caps \u03c4 at 0.9" in text or "caps τ at 0.9" in text
    sections = {s["id"]: json.dumps(s) for s in json.loads(text)["sections"]}
    assert "tested on accuracy" in sections["errors"]
    best = next(
        b for b in every_block(json.loads(text)["sections"][5]["blocks"]) if b.get("table", {}).get("id") == "best-0"
    )
    best = best["table"]["rows"]
    assert all(
        row["median"]["value"] < 40 for row in best
    )  # against the other score the best would stand at the bottom
    # A score without three architectures that have every repeat has no ceiling, and the page none either.
    monkeypatch.setattr(study, "tested", lambda *_: "valid")
    assert study.ceiling(group, "toy-a", "valid") is None


def test_recipes_and_protocols_never_share_a_table(make, suite, sections, tmp_path: Path) -> None:
    sections("run", "leaderboard")
    other = make((("toy-a", "toy"),), budgets=(78,), seeds=2, protocol="gates", recipe="paper")
    build([suite.store, other.store], tmp_path, formats=("json",), load=suite.load)
    document = json.loads((tmp_path / "report.json").read_text())
    section = next(s for s in document["sections"] if s["id"] == "leaderboard")
    boards = [b for b in section["blocks"] if "leaderboard" in b]
    assert [b["leaderboard"] for b in boards] == ["board-clean-common", "board-gates-paper"]
    tables = [table for board in boards for table in board["views"].values()]
    assert [{row["recipe"]["text"] for row in table["rows"]} for table in tables] == [{"common"}] * len(
        boards[0]["views"]
    ) + [{"paper"}]
    taus = [row["value"]["value"] for row in tables[-1]["rows"]]
    assert taus == pytest.approx(list(leaderboard(read_results([other.store]))["mean"]))
    said = [
        b["text"] for s in document["sections"] if s["id"] == "run" for b in every_block(s["blocks"]) if "text" in b
    ]
    assert any(text.startswith("protocol gates: ") for text in said) and any(
        text.startswith("recipe paper: ") for text in said
    )


def test_only_recomputes_among_those_named(suite, sections, tmp_path: Path) -> None:
    sections("leaderboard")
    build([suite.store], tmp_path, formats=("json",), only=["gcn", "adjacency"], load=suite.load)
    document = json.loads((tmp_path / "report.json").read_text())
    section = next(s for s in document["sections"] if s["id"] == "leaderboard")
    rows = next(b for b in section["blocks"] if "leaderboard" in b)["views"]["search spaces like these"]["rows"]
    frame = read_results([suite.store])
    expected = leaderboard(frame, labels=["gcn", "adjacency"])
    assert [row["label"]["text"] for row in rows] == list(expected["label"])
    assert [row["win"]["value"] for row in rows] == pytest.approx(list(expected["win_rate"]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"formats": ("docx",)}, "unknown report format 'docx'"),
        ({"only": ["nobody"]}, "--only nobody: no trial of that name"),
    ],
)
def test_wrong_use_is_one_clear_line(suite, tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(ArchrankError, match=re.escape(said)):
        build([suite.store], tmp_path / "out", load=suite.load, **options)
    assert not (tmp_path / "out").exists()


def test_no_store_and_an_empty_store(tmp_path: Path) -> None:
    with pytest.raises(ArchrankError, match="there is no store at"):
        build([tmp_path / "nowhere"], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArchrankError, match="no trial in"):
        build([tmp_path / "empty"], tmp_path)


def test_every_trial_failed(make, tmp_path: Path) -> None:
    dead = make(
        (("toy-a", "toy"),),
        encoders={"one": ("GNN", 0.5)},
        budgets=(20,),
        seeds=2,
        failures=[("one", "toy-a", 20, 0), ("one", "toy-a", 20, 1)],
    )
    build([dead.store], tmp_path, formats=("html", "md", "tex", "json"), load=dead.load)
    assert "no ranking" in (tmp_path / "report.md").read_text()


def test_an_edited_encoder_counts_once(make, tmp_path: Path) -> None:
    made = make((("toy-a", "toy"),), encoders={"one": ("GNN", 0.5), "two": ("GNN", 0.8)}, budgets=(20,), seeds=2)
    for path in sorted((made.store / "trials").glob("*.json")):
        record = json.loads(path.read_text())
        if record["label"] == "one":
            record["trial"]["source"] = "older"
            record["key"] = key_of(record["trial"])
            record["metrics"]["kendall"] = -0.5
            record["provenance"]["finished"] = "2020-01-01T00:00:00Z"
            (made.store / "trials" / f"{record['key']}.json").write_text(json.dumps(record))
    build([made.store], tmp_path, formats=("md",), load=made.load)
    text = (tmp_path / "report.md").read_text()
    assert "2 trials of other versions of an encoder or its table left out" in text
    assert "-0.5" not in text
