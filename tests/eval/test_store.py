"""Files of a store: what is not what a run wrote is named, left out and made again; reading changes nothing."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archrank.datasets.errors import ArchrankError
from archrank.eval.runners.run import run
from archrank.eval.trials.files import is_left_behind, parse_encodings, parse_predictions, replace, replace_bytes
from archrank.eval.trials.merge import merge_stores
from archrank.eval.trials.pretrained import read_pretrained, write_pretrained
from archrank.eval.trials.records import Damaged, TestSet, TrialFailure, TrialRecord, parse_record
from archrank.eval.trials.results import latest, read_stores
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Trial
from tests.eval.runs import content, plan_of
from tests.stores import rewrite

INDEX = np.array([3, 1, 7])
VALUES = np.array([0.5, -1.0, 2.25])
ENCODINGS = np.arange(6, dtype=np.float32).reshape(3, 2)


def trial(seed=0, **more):
    fields = {
        "encoder": "gcn",
        "config": {"dim": 8},
        "head": "linear",
        "source": "s",
        "benchmark": "toy",
        "table": "t",
        "target": "accuracy",
        "protocol": "clean",
        "budget": 20,
        "split": "x",
        "seed": seed,
        "recipe": "common",
    }
    return Trial(**(fields | more))


def record(seed=0, **more):
    which = trial(seed)
    fields = {
        "label": "gcn",
        "space": "toy",
        "metrics": {"kendall": 0.5, "spearman": None},
        "test": TestSet(architectures=3),
    }
    return TrialRecord(key=which.key, status="done", trial=which, **(fields | more))


@pytest.fixture
def store(tmp_path):
    """Three trials, the first with encodings."""
    actual = Store(tmp_path / "store")
    for seed in range(3):
        actual.write(record(seed), INDEX, VALUES, (INDEX, ENCODINGS) if seed == 0 else None)
    return actual


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()
    }


def only_damage(store, path, words):
    """The one problem of a store is with `path` and says `words`; the other two trials are read."""
    reading = read_stores([store.folder])
    assert len(reading.records) == 2 and len(reading.damaged) == 1
    (line,) = reading.damaged
    assert line.startswith(f"{path}: ") and words in line and "\n" not in line and len(line) < 400


def test_a_trial_comes_back_as_it_was_stored(store):
    first = store.load(record().key)
    index, values = store.predictions(first, 10)
    rows, encodings = store.encodings(first, 10)
    assert (
        (index == INDEX).all() and (values == VALUES).all() and (rows == INDEX).all() and (encodings == ENCODINGS).all()
    )
    assert (
        first.metrics == {"kendall": 0.5, "spearman": None} and first.trial == trial() and first.predictions.rows == 3
    )
    assert store.settled([record(seed).key for seed in range(4)]) == {record(seed).key: "done" for seed in range(3)}


def test_every_changed_byte_of_a_trial_is_noticed(store):
    """Of one byte damaged anywhere, the record is refused or is the same record."""
    path = store.path(record().key)
    data, whole = path.read_bytes(), store.load(record().key)
    generator = random.Random(0)
    for _ in range(400):
        changed = bytearray(data)
        changed[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            actual = parse_record(bytes(changed))
        except Damaged as error:
            assert "\n" not in str(error)
        else:
            assert actual == whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values["trial"].update(budget=21), "its key is not that of the trial"),
        (lambda values: values["metrics"].update(kendall=0.9), "its digest is not that"),
        (lambda values: values.update(digest=None), "its digest is not that"),
        (lambda values: values.update(status="finished"), "field status"),
        (lambda values: values.pop("label"), "field label"),
        (lambda values: values["trial"].update(budget="20"), "field trial.budget"),
        (lambda values: values["trial"].update(seed=True), "field trial.seed"),
        (lambda values: values.update(schema=3), "field schema"),
        (lambda values: values.update(notes="none"), "field notes"),
    ],
)
def test_an_edited_trial_does_not_count_as_done(store, change, words):
    path = store.path(record().key)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    only_damage(store, path, words)
    assert record().key not in store.settled([record().key])


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[" * 200_000, '{"a":' * 200_000, "NaN", "\x00", '"\ud800"', "9" * 5000]
)
def test_what_is_no_trial_is_named(store, text):
    path = store.path(record().key)
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    only_damage(store, path, "")


@pytest.mark.parametrize("kind", ["trials", "predictions"])
@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to("/dev/zero"),
        os.mkfifo,
        Path.mkdir,
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("nowhere"),
    ],
)
def test_only_regular_files_are_read(store, kind, make):
    path = store.path(record(1).key, kind)
    path.unlink()
    make(path)
    only_damage(store, path, "")


def test_a_large_file_is_not_read(store):
    path = store.path(record().key)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # of holes
    only_damage(store, path, "more than")


def test_control_characters_are_shown_as_escapes(tmp_path):
    store = Store(tmp_path)
    bad = "\x1b]0;x\x07 \u202e \ud800"
    store.write(
        record(label=f"a{bad}", notes=[f"b{bad}\nc"]).model_copy(
            update={"status": "failed", "error": TrialFailure(type="E", message=bad)}
        )
    )
    actual = store.load(record().key)
    shown = "\\x1b]0;x\\x07 \\u202e \\ud800"
    assert actual.label == f"a{shown}" and actual.notes == [f"b{shown}\nc"] and actual.error.message == shown


def parquet(**columns):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a Parquet table"),
        (b"PAR1" + b"\0" * 50 + b"PAR1", "not a Parquet table"),
        (parquet(index=[3, 1, 7], other=VALUES), "its columns are"),
        (parquet(index=[3, 1, 7], prediction=VALUES, more=[1, 2, 3]), "its columns are"),
        (parquet(index=["3", "1", "7"], prediction=VALUES), "'index' holds string"),
        (parquet(index=[3, 1, None], prediction=VALUES), "with gaps"),
        (parquet(index=[3.5, 1.0, 7.0], prediction=VALUES), "not whole numbers"),
        (parquet(index=[3, 1, -7], prediction=VALUES), "a negative row"),
        (parquet(index=[3, 1, 3], prediction=VALUES), "a row twice"),
        (parquet(index=[3, 1, 7], prediction=["a", "b", "c"]), "'prediction' holds string"),
        (parquet(index=[3, 1, 7], prediction=[0.1, np.nan, 0.3]), "no finite number"),
        (parquet(index=[3, 1], prediction=[0.1, 0.2]), "2 predictions; the trial was tested on 3"),
    ],
)
def test_predictions_are_checked(store, data, words):
    path = store.path(record().key, "predictions")
    path.write_bytes(data)
    only_damage(store, path, "another sha256")
    rewrite(
        store.path(record().key),
        json.loads(store.path(record().key).read_text()) | {"predictions": None, "encodings": None},
    )  # a trial without digests
    only_damage(store, path, words)


def test_a_row_beyond_the_table_is_refused(store):
    with pytest.raises(Damaged, match="row 7 of a table of 5"):
        store.predictions(store.load(record().key), 5)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([[1.0, 2.0], [1.0], [2.0, 3.0]], "several lengths"),
        ([[], [], []], ""),
        ([["a"], ["b"], ["c"]], "not lists of numbers"),
        ([[1.0], None, [2.0]], "not lists of numbers"),
        ([1.0, 2.0, 3.0], "not lists of numbers"),
        ([[float("inf")], [0.0], [0.0]], "not finite"),
    ],
)
def test_encodings_are_checked(store, column, words):
    path = store.path(record().key, "encodings")
    path.write_bytes(parquet(index=[3, 1, 7], encoding=column))
    only_damage(store, path, "another sha256")
    rewrite(
        store.path(record().key),
        json.loads(store.path(record().key).read_text()) | {"predictions": None, "encodings": None},
    )
    if words:
        only_damage(store, path, words)
    else:
        read_stores([store.folder])


def test_small_files_that_unpack_to_much_are_refused_before_they_do(monkeypatch):
    monkeypatch.setattr("archrank.eval.trials.files.VALUES_LIMIT", 10_000)
    many = 20_000
    flat = parquet(index=pa.array(np.zeros(many, np.int32)), prediction=pa.array(np.zeros(many)))
    nested = parquet(
        index=[3, 1, 7], encoding=pa.ListArray.from_arrays([0, many, many, many], pa.array(np.zeros(many, np.float32)))
    )
    assert len(flat) < 2000 and len(nested) < 2000
    for data, parse in ((flat, parse_predictions), (nested, parse_encodings)):
        with pytest.raises(Damaged, match="more than any trial has"):
            parse(data)


def test_two_results_for_one_key_are_named_and_never_merged(store, tmp_path):
    other = Store(tmp_path / "other")
    for seed in (0, 1, 5):
        other.write(record(seed, metrics={"kendall": 0.5 if seed else 0.75}), INDEX, VALUES)
    (conflict,) = read_stores([store.folder, other.folder]).conflicts
    said = str(conflict)
    assert (
        record().key[:12] in said
        and f"kendall 0.5 in {store.folder}" in said
        and f"kendall 0.75 in {other.folder}" in said
        and "\n" not in said
    )
    with pytest.raises(ArchrankError, match=r"not merged: two results for .* kendall 0\.5 in .* kendall 0\.75 in"):
        merge_stores(tmp_path / "merged", [store.folder, other.folder])
    assert not (tmp_path / "merged").exists()


def test_stores_merge_into_one_that_holds_all_their_trials(store, tmp_path):
    other, out = Store(tmp_path / "other"), tmp_path / "merged"
    for seed in (0, 5):
        other.write(record(seed), INDEX, VALUES)
    other.path(record(5).key).with_name(f"{'0' * 64}.json").write_text("{}")
    first = merge_stores(out, [store.folder, other.folder])
    assert list(first.trials.values()) == [3, 1] and first.total == 4 and len(first.problems) == 1
    before = files(out)
    again = merge_stores(out, [other.folder, store.folder])
    assert list(again.trials.values()) == [0, 0] and (again.known, again.total) == (4, 4) and files(out) == before
    assert files(store.folder).items() <= before.items()


def test_a_finished_trial_is_merged_before_a_failed_one(store, tmp_path):
    failed = Store(tmp_path / "failed")
    failed.write(
        record().model_copy(update={"status": "failed", "metrics": {}, "error": TrialFailure(type="E", message="m")})
    )
    merge_stores(tmp_path / "merged", [failed.folder, store.folder])
    assert (
        Store(tmp_path / "merged").load(record().key).status == "done"
        and not read_stores([failed.folder, store.folder]).conflicts
    )


def test_an_empty_name_is_no_store():
    with pytest.raises(ArchrankError, match="the store's name is empty"):
        Store("")


def test_reading_changes_nothing_and_a_sweep_removes_what_is_left_behind(store):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    name = store.path(record().key).name
    mine: list[Path] = []
    replace_bytes_to = store.folder / "trials" / name

    def scratch_name(path):
        mine.append(path)
        path.write_bytes(b"x")

    whole = replace_bytes_to.read_bytes()
    replace(replace_bytes_to, scratch_name)
    replace_bytes(replace_bytes_to, whole)
    alive = mine[0]
    dead = alive.with_name(alive.name.replace(f"-{os.getpid()}.", f"-{gone.pid}."))
    old = alive.with_name(f".{name}.00000000-1.00000000")
    for path in (alive, dead, old):
        path.write_bytes(b"half")
    (store.folder / "ensembles").mkdir()
    (store.folder / "ensembles" / "abc.json").write_text("{")
    before = files(store.folder)
    read_stores([store.folder])
    store.journals()
    store.settled(store.keys())
    assert files(store.folder) == before
    assert is_left_behind(dead) and not is_left_behind(alive) and not is_left_behind(old)
    os.utime(old, (0, 0))
    assert store.sweep() == 3 and set(files(store.folder)) == set(before) - {
        f"trials/{dead.name}",
        f"trials/{old.name}",
        "ensembles/abc.json",
    }


def test_a_damaged_pretraining_counts_as_not_there(tmp_path):
    path = tmp_path / "a.safetensors"
    encoding = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    write_pretrained(path, encoding, 1.5)
    kept, seconds = read_pretrained(path, 5)
    assert (kept == encoding).all() and seconds == 1.5 and read_pretrained(path, 6) is None
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    data = path.read_bytes()
    generator = random.Random(0)
    for _ in range(200):
        changed = bytearray(data)
        changed[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(changed)
        actual = read_pretrained(path, 5)
        assert actual is None or (actual[0] == encoding).all()
    path.write_bytes(data[:40])
    assert read_pretrained(path, 5) is None


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_run_trains_again_what_is_damaged_and_the_rest_is_kept(cells, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        run(plan_of(cells, "path+ridge"), folder, workers=0)
    store = Store(broken)
    first, second, third, _ = sorted(store.keys())
    store.path(first).write_text(store.path(first).read_text().replace('"status": "done"', '"status": "failed"'))
    store.path(second, "predictions").write_bytes(store.path(second, "predictions").read_bytes()[:-9])
    values = json.loads(store.path(third).read_text())
    store.path(third).write_text(json.dumps(values | {"metrics": dict.fromkeys(values["metrics"], 1.0)}))
    assert run(plan_of(cells, "path+ridge"), broken, workers=0).trained == 3
    assert content(broken) == content(whole) and not read_stores([broken]).damaged


def test_trials_of_the_first_schema_are_read(store):
    values = json.loads(store.path(record().key).read_text())
    old = {name: value for name, value in values.items() if name not in ("predictions", "encodings", "digest")} | {
        "schema": 1,
        "space": None,
    }
    store.path(record().key).write_text(json.dumps(old))
    reading = read_stores([store.folder])
    assert len(reading.records) == 3 and not reading.damaged
    actual, _ = latest(reading.records)
    assert {item.space for item in actual} == {"toy"}


def test_the_digest_is_that_of_the_file(store):
    first = store.load(record().key)
    assert first.predictions.sha256 == hashlib.sha256(store.path(first.key, "predictions").read_bytes()).hexdigest()
