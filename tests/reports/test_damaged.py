"""Stores that a stranger changed: every reading command answers, in lines, and changes nothing."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from archrank.cli import main
from archrank.reports.renderers.text import render_json
from archrank.reports.sections.failures import failures
from archrank.reports.study import read_study
from tests.commands import ended
from tests.stores import rewrite

ROUNDS, MUTATIONS = 20, 15
VALUES: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    7,
    2**31,
    10**15,
    2**63,
    10**40,
    0.5,
    -1e99,
    1e99,
    1e308,
    "",
    "x",
    "x" * 3000,
    "\x1b[2J\x07",
    "\u202eabc\ud800",
    "../../../x",
    "/etc/passwd",
    "<svg onload=alert(1)>",
    "a|b\nc",
    "$\\input{x}$",
    "gcn",
    "kendall",
    "2026-13-99",
    [],
    {},
    [None],
    [[[]]],
    {"a": {"b": [1, "c"]}},
    {"kendall": "0.5"},
    ["x", 1],
]


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something can be changed in a JSON value."""
    actual = [here] if here else []
    for name, item in value.items() if isinstance(value, dict) else ():
        actual += places(item, (*here, name))
    return actual


def mutate(path: Path, generator: random.Random) -> None:
    """One change: a value replaced or removed in the record (mostly under a right key, so that it is read), bytes
    changed, or files beside it damaged."""
    kind = generator.choice(["value"] * 6 + ["key", "bytes", "predictions", "encodings"])
    if kind in ("value", "key"):
        record = json.loads(path.read_text())
        *way, last = generator.choice(places(record))
        part = record
        for name in way:
            part = part[name]
        if generator.random() < 0.15:
            part.pop(last)
        else:
            part[last] = generator.choice(VALUES)
        if kind == "value" and isinstance(record.get("trial"), dict):
            rewrite(path, record)
        else:
            path.write_text(json.dumps(record))
        return
    victim = path if kind == "bytes" else path.parent.parent / kind / f"{path.stem}.parquet"
    if not victim.exists():
        return
    data = bytearray(victim.read_bytes())
    match generator.randrange(4):
        case 0:
            data = data[: generator.randrange(len(data))]
        case 1:
            data = bytearray(generator.randbytes(50))
        case _:
            for _ in range(generator.randrange(1, 9)):
                data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    victim.write_bytes(data)


def answers(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command: it ends with an exit code of ours, one line for each problem, and no control character reaches the
    terminal."""
    code, out, err = ended(capsys, *words)
    assert code in (0, 1, 2), words
    assert not any(ord(sign) < 32 and sign != "\n" for sign in out + err), words
    for line in err.splitlines():
        assert (
            line.startswith(("archrank: ", "Usage: ", "Try ", "left out", "... ")) or "trials of other versions" in line
        ), (words, line)
    return out


@pytest.fixture(scope="module")
def small(make):
    encoders = {"flowerformer": ("flow transformer", 0.55), "gcn": ("GNN", 0.62), "parameter-count": ("baseline", 1.6)}
    return make(
        (("toy-a", "toy"), ("other", "other")),
        encoders=encoders,
        budgets=(20, 78),
        seeds=3,
        failures=[("gcn", "toy-a", 20, 1)],
    )


def test_every_reading_command_answers_on_a_store_that_was_changed(
    small, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("archrank.datasets.load", small.load)
    monkeypatch.chdir(tmp_path)
    for number in range(ROUNDS):
        generator = random.Random(number)
        store = tmp_path / f"store{number}"
        shutil.copytree(small.store, store)
        trials = sorted((store / "trials").glob("*.json"))
        # A report takes long: there are few, on stores of which most is changed.
        for path in generator.sample(trials, MUTATIONS * (1 + (number % 10 == 0))):
            mutate(path, generator)
        before = {path: path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}
        keys = [path.stem[:20] for path in (store / "trials").iterdir()]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=RuntimeWarning)
            for words in (
                ["status"],
                ["status", "--json"],
                ["failures", "--traceback"],
                ["show", keys[0]],
                ["show", keys[1], "--json"],
                ["compare", "gcn", "flowerformer", "--metric", "mape" if number % 2 else "kendall"],
            ):
                answers([*words, "--store", str(store)], capsys)
            if number % 10 == 0:
                answers(["diff", str(small.store), str(store)], capsys)
                answers(["merge", f"merged{number}", "--store", str(store)], capsys)
                answers(["report", "-o", f"out{number}", "-f", "html,md,tex,json", "--store", str(store)], capsys)
        assert {path: path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()} == before
        shutil.rmtree(store)
    # Nothing was written outside what was asked for.
    assert {path.name.rstrip("0123456789") for path in tmp_path.iterdir()} <= {"out", "merged"}


def test_what_is_left_out_is_named_and_the_rest_reported(
    small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    shutil.copytree(small.store, store)
    first, second, *_ = sorted((store / "trials").glob("*.json"))
    first.write_text("{}")
    (store / "predictions" / f"{second.stem}.parquet").write_bytes(b"x")
    with pytest.raises(SystemExit):
        main(["status", "--store", str(store)])
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == 2 and all(
        line.startswith("archrank: left out ") and line.endswith("the next run trains it again") for line in lines
    )
    assert first.name in lines[0] and second.stem in lines[1] and "33 done, 1 failed" in said.out
    with pytest.warns(UserWarning, match="left out"):
        study = read_study([store], load=small.load)
    said = render_json("", "", [failures(study)], [])
    assert first.stem in said and second.stem in said


def test_two_results_for_one_key_are_named_with_both_provenances(
    small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(small.store, other)
    path = next(
        path for path in sorted((other / "trials").glob("*.json")) if json.loads(path.read_text())["status"] == "done"
    )
    record = json.loads(path.read_text())
    record["metrics"]["kendall"], record["provenance"]["hardware"] = -0.5, "Another CPU"
    path.write_text(json.dumps(record))
    with pytest.raises(SystemExit):
        main(["status", "--store", str(small.store), "--store", str(other)])
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        path.stem[:12] in line
        and "Synthetic CPU" in line
        and "Another CPU" in line
        and "kendall -0.5" in line
        and "the first is used" in line
    )
    with pytest.raises(SystemExit) as stopped:
        main(["merge", str(tmp_path / "merged"), "--store", str(small.store), "--store", str(other)])
    assert (
        stopped.value.code == 2
        and "not merged: two results" in capsys.readouterr().err
        and not (tmp_path / "merged").exists()
    )


@pytest.mark.parametrize(
    "words",
    [
        ["status", "--store", ""],
        ["report", "--store", " "],
        ["run", "-e", "path", "--store", ""],
        ["merge", "", "--store", "x"],
    ],
)
def test_an_empty_store_name_is_refused(words, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2 and "is empty" in capsys.readouterr().err and not list(tmp_path.iterdir())
