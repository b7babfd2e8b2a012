"""The commands that ask stores plain questions."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from archrank.cli import main
from archrank.datasets import ArchrankError
from archrank.eval.trials.records import TrialRecord
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.trial import Trial, key_of
from archrank.reports.sections.run import repeat
from archrank.reports.stores import Moved, find, moved, progress, read
from archrank.reports.study import read_study
from tests.stores import rewrite


@pytest.fixture()
def store(suite, tmp_path: Path) -> Path:
    shutil.copytree(suite.store / "trials", tmp_path / "store" / "trials")
    return tmp_path / "store"


def change(store: Path, label: str, by: float) -> None:
    """Adds `by` to every tau of a label."""
    for path in (store / "trials").glob("*.json"):
        record = json.loads(path.read_text())
        if record["label"] == label:
            record["metrics"]["kendall"] += by
            path.write_text(json.dumps(record))


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def between(first: Path, second: Path) -> list[Moved]:
    return moved(read([first]).records, read([second]).records)


def test_status_and_failures(ragged, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "--store", str(ragged.store), "--json") == 1
    rows = {row["label"]: row for row in json.loads(capsys.readouterr().out)["predictors"]}
    assert (rows["flowerformer"]["done"], rows["flowerformer"]["failed"]) == (11, 1)
    assert (rows["late"]["done"], rows["late"]["failed"]) == (3, 0)
    assert run("failures", "--store", str(ragged.store), "--traceback") == 1
    said = capsys.readouterr().out
    assert (
        "flowerformer on toy-a/accuracy, " in said
        and "labels/seed: 78/1" in said
        and "NonFiniteLoss: the loss became NaN" in said
    )
    assert "Traceback" in said


def test_no_failures(suite, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("failures", "--store", str(suite.store)) == 0
    assert capsys.readouterr().out == "no trial failed\n"


def test_show_prints_everything_and_a_command_that_names_the_trial(suite, capsys: pytest.CaptureFixture[str]) -> None:
    record = next(r for r in read([suite.store]).records if r.label == "path[kind=truncated]" and r.trial.seed == 2)
    assert run("show", record.key[:16], "--store", str(suite.store)) == 0
    said = capsys.readouterr().out
    assert record.key in said and f"{record.metrics['kendall']:.6g}" in said
    words = shlex.split(said.strip().splitlines()[-1].split(": ", 1)[1])
    options = dict(zip(words[2::2], words[3::2]))
    assert options["--encoders"] == "path[kind=truncated]" and options["--seeds"] == "3"
    assert options["--budgets"] == str(record.trial.budget)


def test_a_key_must_name_one_trial(suite) -> None:
    records = read([suite.store]).records
    with pytest.raises(ArchrankError, match="no trial's key starts with 'zz'"):
        find(records, "zz")
    with pytest.raises(ArchrankError, match="trials have a key that starts with ''"):
        find(records, "")


def test_an_encoder_from_a_file_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mine:\n    def __init__(self, space, *, dim: int = 4): ...\n")
    (spec,) = parse_list(f"{tmp_path}/mine.py:Mine[dim=8]")
    trial = Trial("Mine", spec.config, spec.head, "", "toy", "", "accuracy", "clean", 20, "", 0, "common")
    stored = TrialRecord(
        key=trial.key, status="done", trial=trial, label=spec.label, reference=spec.reference
    )  # what a run writes of it
    assert stored.command_name.endswith("mine.py:Mine[dim=8]")
    assert stored.model_copy(update={"label": "gcn", "reference": None}).command_name == "gcn"


def test_the_report_repeats_every_target_of_every_benchmark(suite, store: Path) -> None:
    shared = repeat(study := read_study([suite.store]), study.groups[0])
    assert len(shared) == 1 and "--benchmark other,toy-a --target accuracy " in shared[0]
    for path in sorted((store / "trials").glob("*.json")):
        record = json.loads(path.read_text())
        if record["trial"]["benchmark"] == "other":
            record["trial"]["target"] = "latency"
            rewrite(path, record)
    first, second = repeat(study := read_study([store]), study.groups[0])
    assert "--benchmark other --target latency " in first and "--benchmark toy-a --target accuracy " in second
    # A benchmark's own target need not be said.
    study = read_study([store], load=suite.load)
    defaults = {name: study.table(name).default_target for name in ("other", "toy-a")}
    assert defaults == {"other": "accuracy", "toy-a": "accuracy"}
    first, second = repeat(study, study.groups[0])
    assert "--benchmark other --target latency " in first and "--benchmark toy-a --encoders " in second


def test_diff_of_a_store_with_itself_is_nothing(suite, capsys: pytest.CaptureFixture[str]) -> None:
    assert {row.verdict for row in between(suite.store, suite.store)} == {"equal"}
    assert run("diff", str(suite.store), str(suite.store)) == 0
    assert "36 settings of kendall: 36 equal" in capsys.readouterr().out


def test_diff_finds_what_moved_and_only_that(suite, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = (-0.001, 0.0012, -0.0004)  # by seed
    for path in sorted((store / "trials").glob("*.json")):
        record = json.loads(path.read_text())
        if record["label"] in ("gcn", "dagnn"):
            record["metrics"]["kendall"] += noise[record["trial"]["seed"]] + (0.1 if record["label"] == "gcn" else 0)
            path.write_text(json.dumps(record))
    verdicts = {
        label: {row.verdict for row in between(suite.store, store) if row.cell[0] == label}
        for label in ("gcn", "dagnn", "adjacency")
    }
    assert verdicts["gcn"] == {"moved"} and verdicts["adjacency"] == {"equal"}
    assert verdicts["dagnn"] == {"within"}
    assert run("diff", str(suite.store), str(store)) == 1
    assert "6 moved" in capsys.readouterr().out


def test_diff_corrects_for_the_cells_it_compares(suite, store: Path) -> None:
    random = np.random.default_rng(0)
    for path in sorted((store / "trials").glob("*.json")):
        record = json.loads(path.read_text())
        record["metrics"]["kendall"] += random.normal(0, 0.01)
        path.write_text(json.dumps(record))
    rows = between(suite.store, store)
    assert {row.verdict for row in rows} == {"within"} and len(rows) == 36
    # Without the correction some of these cells, which moved by noise alone, would count as moved.
    alone = [abs(np.mean(moved)) / (np.std(moved, ddof=1) / np.sqrt(3)) > 4.303 for moved in _moves(suite.store, store)]
    assert any(alone)


def _moves(first: Path, second: Path) -> list[list[float]]:
    """By how much every cell's seeds moved."""
    actual: dict[tuple[object, ...], list[float]] = {}
    for path in sorted((first / "trials").glob("*.json")):
        before, after = (json.loads((folder / "trials" / path.name).read_text()) for folder in (first, second))
        cell = before["label"], before["trial"]["benchmark"], before["trial"]["budget"]
        actual.setdefault(cell, []).append(after["metrics"]["kendall"] - before["metrics"]["kendall"])
    return list(actual.values())


def test_diff_names_what_only_one_store_has(suite, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (store / "trials").glob("*.json"):
        if json.loads(path.read_text())["label"] == "gcn":
            path.unlink()
    assert run("diff", str(suite.store), str(store), "--json") == 1
    assert [row["after"] for row in json.loads(capsys.readouterr().out) if row["cell"][0] == "gcn"] == [None] * 6
    rows = [row for row in between(suite.store, store) if row.verdict != "equal"]
    assert {(row.cell[0], row.verdict) for row in rows} == {("gcn", "only in the first")} and len(rows) == 6


def test_diff_says_which_seeds_only_one_store_has_done(suite, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (store / "trials").glob("*.json"):
        record = json.loads(path.read_text())
        if record["label"] == "gcn" and record["trial"]["seed"]:
            path.write_text(json.dumps(record | {"status": "failed", "metrics": {}}))
        if record["label"] == "dagnn" and record["trial"]["seed"] == 2:
            path.unlink()
    rows = {row.cell[0]: row for row in between(suite.store, store)}
    assert [rows[label].verdict for label in ("gcn", "dagnn", "adjacency")] == ["other seeds", "other seeds", "equal"]
    assert rows["gcn"].difference.endswith("done seeds 1, 2 only in the first") and rows["gcn"].seeds == 1
    assert run("diff", str(suite.store), str(store)) == 1 and "12 other seeds" in capsys.readouterr().out


def test_the_newest_trial_of_an_edited_encoder_counts_everywhere(
    suite, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted((store / "trials").glob("*.json")):
        record = json.loads(path.read_text())
        if record["label"] == "gcn":
            record["trial"]["source"], record["provenance"]["finished"] = "older", "2020-01-01T00:00:00Z"
            record["key"] = key_of(record["trial"])
            record |= (
                {"status": "failed", "metrics": {}, "space": None}
                if record["trial"]["seed"]
                else {"metrics": {"kendall": -0.5}}
            )
            (store / "trials" / f"{record['key']}.json").write_text(json.dumps(record))
    assert run("diff", str(suite.store), str(store)) == 0
    assert (
        "36 settings of kendall: 36 equal\n18 trials of other versions of an encoder or its table left out"
        in capsys.readouterr().out
    )
    run("compare", "gcn", "dagnn", "--store", str(store))
    assert "18 trials of other versions of an encoder or its table left out" in capsys.readouterr().out
    assert (
        run("status", "--store", str(store)) == 0
        and "108 done, 0 failed; 18 trials of other versions" in capsys.readouterr().out
    )
    assert run("failures", "--store", str(store)) == 0


def test_a_failure_stored_without_its_space_is_no_cell_of_its_own(suite, store: Path) -> None:
    path = next(
        path for path in sorted((store / "trials").glob("*.json")) if json.loads(path.read_text())["label"] == "gcn"
    )
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "failed", "metrics": {}, "space": None}))
    covered = read_study([store]).groups[0].views[0].covered
    assert (covered.expected, covered.shared) == (18, 17)


def test_report_command_says_where_the_files_are(suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(
            "report",
            "--store",
            str(suite.store),
            "-o",
            str(tmp_path / "out"),
            "-f",
            "md,json",
            "--only",
            "gcn,path[kind=truncated]",
        )
        == 0
    )
    said = capsys.readouterr().out
    assert str(tmp_path / "out" / "report.md") in said and "figures" in said
    assert "adjacency" not in (tmp_path / "out" / "report.md").read_text()


def test_progress_counts_every_trial(suite) -> None:
    rows = progress(read([suite.store]).records)
    assert sum(row.done for row in rows) == len(list((suite.store / "trials").glob("*.json")))
    assert {row.seeds for row in rows} == {3}
