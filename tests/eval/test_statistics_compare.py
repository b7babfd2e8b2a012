"""`archrank compare` on a store of stored trials."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from archrank.cli.compare import compare
from archrank.datasets.errors import ArchrankError
from archrank.eval.trials.trial import key_of


def write(folder, label, budget, seed, tau, benchmark="nasbench201", target="c10_val", recipe="common", status="done"):
    trial = {
        "encoder": label,
        "config": {},
        "head": "mlp",
        "benchmark": benchmark,
        "target": target,
        "source": "s",
        "table": "t",
        "numerics": 1,
    }
    trial |= {
        "protocol": "clean",
        "budget": budget,
        "split": f"{benchmark}-{budget}-{seed}",
        "seed": seed,
        "recipe": recipe,
    }
    key = key_of(trial)
    record = {
        "schema": 1,
        "key": key,
        "status": status,
        "trial": trial,
        "label": label,
        "family": "GNN",
        "space": benchmark,
        "metrics": {"kendall": tau, "regret@1": 1 - tau} if status == "done" else {},
        "test": {"architectures": 5000},
        "error": None if status == "done" else {"type": "RuntimeError", "message": "NaN loss", "traceback": ""},
    }
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    (folder / "trials" / f"{key}.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture
def store(tmp_path):
    random = np.random.default_rng(0)
    for seed in range(5):
        for budget in (78, 390):
            easy = 0.02 * random.normal()
            for label, mean in (("flow", 0.8), ("gcn", 0.72), ("tree", 0.72)):
                write(tmp_path, label, budget, seed, mean + easy + 0.004 * random.normal())
    return tmp_path


def call(*words):
    app = typer.Typer()
    app.command()(compare)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_table_and_sentence(store):
    result = call("flow", "gcn", "--store", store)
    assert result.exit_code == 0, result.output
    assert result.output.count("flow significantly better") == 2
    assert "Holm's correction for 2 comparisons" in result.output
    assert (
        "flow ranks significantly better than gcn on nasbench201/c10_val over 78 and 390 labels: tau +0.0"
        in result.output
    )
    assert "no significant difference" in call("gcn", "tree", "--store", store).output


def test_json_is_the_same_comparison(store):
    answer = json.loads(call("gcn", "flow", "--store", store, "--budgets", "78", "--json").output)
    assert [row["winner"] for row in answer["rows"]] == ["flow"]
    assert answer["overall"][0]["difference"] == answer["rows"][0]["difference"] < 0
    assert answer["rows"][0]["low"] < answer["rows"][0]["high"] < 0
    assert (answer["protocol"], answer["recipe"], answer["rows"][0]["units"]) == ("clean", "common", 5)


def test_missing_results_are_told(store):
    write(store, "gcn", 78, 4, 0.0, status="failed")
    assert "Mean over 9 of 10 settings" in call("flow", "gcn", "--store", store).output


def test_several_spaces_get_both_answers(store):
    for seed in range(5):
        for label, tau in (("flow", 0.8), ("gcn", 0.7)):
            write(store, label, 78, seed, tau + 0.01 * seed * (label == "gcn"), benchmark="nasbench101", target="acc")
    answer = json.loads(call("flow", "gcn", "--store", store, "--json").output)
    assert [one["kind"] for one in answer["overall"]] == ["spaces", "splits"]
    regret = json.loads(call("flow", "gcn", "--store", store, "--metric", "regret@1", "--json").output)
    assert [one["benchmarks"] for one in regret["overall"]] == [["nasbench101/acc"], ["nasbench201/c10_val"]]


@pytest.mark.parametrize(
    "words, message",
    [
        (["flow", "gnc"], "unknown encoder in the store 'gnc': did you mean gcn"),
        (["flow", "gcn", "--metric", "kendal"], "unknown metric 'kendal': did you mean kendall"),
        (["flow", "gcn", "--budgets", "79"], "unknown budget among the results of flow and gcn '79': did you mean 78"),
        (["flow", "flow"], "cannot be compared with itself"),
        (["flow", "gcn", "--metric", "mape"], "trials has a mape (0 of them failed)"),
        (["flow", "other"], "share no protocol and recipe: flow has clean/common; other has clean/paper"),
        (["both", "again"], "choose one with --protocol and --recipe"),
    ],
)
def test_bad_input_gets_one_line(store, words, message):
    write(store, "other", 78, 0, 0.5, recipe="paper")
    for recipe in ("paper", "common"):
        write(store, "both", 78, 0, 0.5, recipe=recipe)
        write(store, "again", 78, 0, 0.6, recipe=recipe)
    result = call(*words, "--store", store)
    assert isinstance(result.exception, ArchrankError)
    assert message in str(result.exception) and "\n" not in str(result.exception)


def test_an_empty_store_is_said_to_be_empty(tmp_path):
    assert "no trial in" in str(call("a", "b", "--store", tmp_path).exception)


def test_no_torch(store):
    code = (
        "import sys, archrank.cli.compare as c; from pathlib import Path; "
        f"c.compare('flow', 'gcn', store=[Path({str(store)!r})]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
