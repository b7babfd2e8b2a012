"""Published results: one file, read as data, trained again to the bit, and a forged number found."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import pytest

import archrank
from archrank.cli import main
from archrank.datasets.errors import ArchrankError
from archrank.eval.trials.merge import merge_stores
from archrank.eval.trials.publication import Submitter, digest_of, opened, publish
from archrank.eval.trials.store import Store
from archrank.eval.trials.verified import read_verified, write_verified
from archrank.eval.verification import verify
from tests.stores import rewrite


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "store"
    archrank.run("adjacency,parameters", budgets=(20, 40), seeds=2, recipe="quick", store=folder, workers=0)
    return folder


@pytest.fixture(scope="module")
def file(store, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("file") / "results.zip"
    publish([store], out, "Ours", Submitter(name="us", url="https://example.org", citation="@misc{us}"))
    return out


def copied(source: Path, out: Path, change=lambda name, data: data, more: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if (data := change(name, old.read(name))) is not None:
                new.writestr(name, data)
        for name, data in (more or {}).items():
            new.writestr(name, data)
    return out


def test_a_store_is_one_file_and_comes_back_whole(store, file, tmp_path) -> None:
    again = tmp_path / "again.zip"
    publish([store], again, "Ours", Submitter(name="us", url="https://example.org", citation="@misc{us}"))
    assert again.read_bytes() == file.read_bytes()
    with opened(file) as actual:
        assert actual.manifest.trials == 8 and actual.manifest.submitter.name == "us"
        assert [record.plain() for record in actual.reading.records] == [
            record.plain() for record in Store(store).records()
        ]
        assert all(actual.store.has_predictions(record.key) for record in actual.reading.records)


def test_published_results_merge_into_a_store_and_a_run_trains_the_rest(store, file, tmp_path) -> None:
    out = tmp_path / "store"
    merged = merge_stores(out, [file])
    assert merged.trials == {file: 8} and (merged.known, merged.total, merged.bare) == (0, 8, 0)
    kept = {path: path.read_bytes() for path in (out / "trials").iterdir()}
    assert {path.name: data for path, data in kept.items()} == {
        path.name: path.read_bytes() for path in (store / "trials").iterdir()
    }
    archrank.run("adjacency,parameters", budgets=(20, 40), seeds=3, recipe="quick", store=out, workers=0)
    now = {path: path.read_bytes() for path in (out / "trials").iterdir()}
    assert len(now) == 12 and kept.items() <= now.items()


def test_results_published_without_predictions_merge_and_the_command_says_what_that_means(
    store, tmp_path, capsys
) -> None:
    packed, out = tmp_path / "scores.zip", tmp_path / "store"
    publish([store], packed, "Ours", Submitter(), predictions=False)
    with pytest.raises(SystemExit, match="0"):
        main(["merge", str(out), "--store", str(packed)])
    said = capsys.readouterr().out
    assert f"8 trials from {packed}" in said and "8 of them have scores and no predictions" in said
    assert [record.plain() for record in Store(out).records()] == [record.plain() for record in Store(store).records()]
    assert not Store(out).settled(Store(out).keys())


def test_a_merge_names_the_published_file_that_differs(store, file, tmp_path) -> None:
    other = tmp_path / "other"
    merge_stores(other, [file])
    path = next(iter((other / "trials").iterdir()))
    record = json.loads(path.read_text())
    rewrite(path, record | {"metrics": record["metrics"] | {"kendall": 0.99}})
    with pytest.raises(ArchrankError, match=r"not merged: two results for .* kendall .*other.*kendall .*results\.zip"):
        merge_stores(tmp_path / "out", [other, file])
    with pytest.raises(ArchrankError, match="notes.zip"):
        (tmp_path / "notes.zip").write_text("no archive")
        merge_stores(tmp_path / "out", [file, tmp_path / "notes.zip"])
    assert not (tmp_path / "out").exists()


def test_files_with_a_member_for_each_trial_are_read_as_before(store, file, tmp_path) -> None:
    old, trials = tmp_path / "old.zip", sorted((store / "trials").glob("*.json"))
    with zipfile.ZipFile(file) as new, zipfile.ZipFile(old, "w") as archive:
        assert [name for name in new.namelist() if name.startswith("trials")] == ["trials-0001.json"]
        manifest = json.loads(new.read("manifest.json"))
        del manifest["files"]["trials-0001.json"]
        manifest["files"] |= {f"trials/{path.name}": digest_of(path) for path in trials}
        archive.writestr("manifest.json", json.dumps(manifest))
        for path in trials:
            archive.writestr(f"trials/{path.name}", path.read_bytes())
        for name in new.namelist():
            if name.startswith("predictions/"):
                archive.writestr(name, new.read(name))
    with opened(old) as before, opened(file) as now:
        assert [record.plain() for record in before.reading.records] == [
            record.plain() for record in now.reading.records
        ]


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        (
            lambda name, data: data.replace(b"0.", b"1.") if name.startswith("trials-") else data,
            None,
            "is not what the manifest names",
        ),
        (lambda name, data: None if name.startswith("predictions/") else data, None, "is missing, or is not what"),
        (
            lambda name, data: data,
            {"encoder.py": b"raise SystemExit"},
            "member 'encoder.py' is no part of published results",
        ),
        (lambda name, data: data, {"../../evil.json": b"{}"}, "points outside the archive"),
        (lambda name, data: None if name == "manifest.json" else data, None, "it has no manifest.json"),
        (lambda name, data: b"{}" if name == "manifest.json" else data, None, "its manifest.json is not valid"),
        *(
            (
                lambda name, data, content=content: content if name.startswith("trials-") else data,
                None,
                "member 'trials-0001.json' is no list of trials",
            )
            for content in (
                b"",
                b"[",
                b"[]",
                b"[1]",
                b"{}",
                b"[{}]",
                b'[{"key": "../../evil"}]',
                b'[{"key": 1}]',
                b"[" * 100_000,
                b"\xff",
            )
        ),
    ],
)
def test_what_was_changed_is_refused_in_one_line(file, tmp_path, change, more, said) -> None:
    out = copied(file, tmp_path / "changed.zip", change, more)
    with pytest.raises(ArchrankError) as error, opened(out):
        pass
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.rglob("evil.json"))


def test_a_sample_is_trained_again_to_the_bit(file, tmp_path) -> None:
    with opened(file) as actual:
        said = []
        result = verify(actual, sample=2, draw=1, by="them", on_check=said.append)
    drawn = random.Random(1).sample(sorted(record.key for record in actual.reading.records), 2)
    assert set(drawn) <= {check.key for check in result.checks} and said == result.checks
    assert [check.verdict for check in result.checks] == ["equal"] * len(result.checks) and result.holds
    write_verified(tmp_path / "v.json", result)
    assert read_verified(tmp_path / "v.json") == result


def test_forged_numbers_and_foreign_programs_are_told(store, tmp_path) -> None:
    forged = tmp_path / "store"
    for path in sorted(store.rglob("*.*")):
        (forged / path.relative_to(store)).parent.mkdir(parents=True, exist_ok=True)
        (forged / path.relative_to(store)).write_bytes(path.read_bytes())
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    for number, path in enumerate(sorted((forged / "trials").glob("*.json"))):
        record = json.loads(path.read_text())
        if record["label"] == "parameters":
            record["metrics"]["kendall"] += 0.01
        else:
            record["label"] = record["reference"] = f"{evil}:Evil"
            if number % 2:
                record["trial"]["encoder"] = "Evil"
        rewrite(path, record)
    file = tmp_path / "forged.zip"
    for path in (forged / "predictions").glob("*"):
        if not (forged / "trials" / f"{path.stem}.json").exists():
            path.unlink()
    publish([forged], file, "Theirs", Submitter())
    with opened(file) as actual:
        result = verify(actual, sample=None)
    assert {check.label: (check.verdict, "not that of its predictions" in check.remark) for check in result.checks} == {
        "parameters": ("outside", True)
    }
    assert sum(result.unchecked.values()) == 4 and not result.holds and not (tmp_path / "ran").exists()


def test_the_three_commands_from_a_store_to_a_verified_entry(store, tmp_path, capfd) -> None:
    def said(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stopped:
            main(list(words))
        return int(stopped.value.code or 0), capfd.readouterr().out

    file, site = tmp_path / "in" / "ours.zip", tmp_path / "site"
    code, text = said(
        "publish", "--store", str(store), "-o", str(file), "--title", "Ours", "--by", "us", "--no-predictions"
    )
    assert code == 0 and "8 trials, sha256" in text
    code, text = said("verify-results", str(file), "--sample", "1", "--by", "them")
    assert code == 0 and text.startswith("equal ") and "equal; drawn with --draw" in text
    code, text = said("leaderboard", str(tmp_path / "in"), "-o", str(site))
    assert code == 0 and "2 pages" in text and "✓ equal" in (site / "index.html").read_text()
    assert "by them" in (site / "index.html").read_text()
    assert said("publish", "--store", str(store), "-o", str(file), "--url", "javascript:alert(1)")[0] == 2
    assert said("verify-results", str(store / "trials"))[0] == 2
