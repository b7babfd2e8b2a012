"""NAS-Bench-NLP: the real WikiText-2 logs, recipes as graphs, and logs that are not what they should be."""

import json
import zipfile

import numpy as np
import pytest

from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers import nasbench_nlp as source

RECIPE = {"h_new_0": {"op": "activation_tanh", "input": ["f"]}, "f": {"op": "linear", "input": ["x", "h_prev_0"]}}


def names(recipe):
    ops, edges = source.graph(recipe, "here")
    words = [source.OPS[op] for op in ops]
    return words, {(words[u], words[v]) for u, v in edges}


@pytest.mark.data
def test_wikitext2_part(real_data):
    frame, card = source.read(source.locate(real_data))
    benchmark = build(frame, card)
    assert len(benchmark) == 291 and len(set(benchmark.key)) == 265
    val = benchmark.target()
    assert benchmark.direction("val_loss") == "min" and np.isnan(val).sum() == 2 and 4.5 < np.nanmin(val) < 5
    runs = benchmark.repeats("val_loss")
    np.testing.assert_allclose(np.nanmean(runs[~np.isnan(val)], 1), val[~np.isnan(val)])
    ends = np.isin(benchmark.ops, [source.OPS.index(name) for name in source.OUTPUTS]) & benchmark.mask
    assert not (benchmark.adj.any(2) & ends).any() and (ends.sum(1) >= 1).all()


def test_recipe_becomes_a_graph_in_topological_order():
    words, edges = names(RECIPE)
    assert words == ["x", "h_prev_0", "linear", "activation_tanh", "h_new_0"]
    assert edges == {
        ("x", "linear"),
        ("h_prev_0", "linear"),
        ("linear", "activation_tanh"),
        ("activation_tanh", "h_new_0"),
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"f": {"op": "linear", "input": ["x", "h_new_0"]}}, "form a cycle"),
        ({"f": {"op": "system", "input": ["x"]}}, "unknown operation 'system'"),
        ({"f": {"op": "linear", "input": ["y"]}}, "nothing makes"),
        ({"f": {"op": "linear", "input": []}}, "list of inputs"),
        ({"f": 5}, "list of inputs"),
        ({f"g{i}": {"op": "linear", "input": ["x"]} for i in range(80)}, "1 to 64 steps"),
    ],
)
def test_wrong_recipes_are_refused(change, says):
    with pytest.raises(DataError, match=says):
        source.graph(RECIPE | change, "here")
    with pytest.raises(DataError, match="h_new_0"):
        source.graph({"f": RECIPE["f"]}, "here")


def log(losses=(5.0, 4.0, 4.5), status="OK", recipe=RECIPE, **more):
    return {
        "recepie": json.dumps(recipe),
        "recepie_id": 7,
        "num_params": 10,
        "status": status,
        "val_losses": list(losses),
        "test_losses": [loss - 0.5 for loss in losses],
        "wall_times": [2.0] * len(losses),
    } | more


def write(path, *logs):
    with zipfile.ZipFile(path, "w") as archive:
        for number, entry in enumerate(logs):
            archive.writestr(f"log_stats_model_{number}.json", json.dumps(entry))
    return path


def test_runs_of_one_recipe_are_averaged_and_broken_ones_left_out(tmp_path):
    other = {"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}
    path = write(
        tmp_path / "a.zip",
        log(),
        log((4.4, 4.2)),
        log((1.0,), "loss is nan!"),
        log((1.0,), "loss is nan!", other, recepie_id=8),
    )
    frame, card = source.read(path)
    benchmark = build(frame, card)
    np.testing.assert_allclose(benchmark.target(), [4.1, np.nan])
    np.testing.assert_allclose(benchmark.target("test_loss"), [3.6, np.nan])
    assert list(benchmark.arch) == ["7", "8"] and benchmark.repeats("val_loss").shape == (2, 2)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (log((5.0, float("nan"))), "not finite"),
        (log((5.0, float("inf"))), "not finite"),
        (log(test_losses=[1.0]), "different length"),
        (log(val_losses="x"), "lists of numbers"),
        (log(num_params="many"), "not a number"),
        ({"a": 1}, "recepie"),
        (log(recepie="{"), "not JSON"),
    ],
)
def test_wrong_logs_are_refused_by_member(tmp_path, entry, says):
    with pytest.raises(DataError, match=says) as caught:
        source.read(write(tmp_path / "a.zip", log(), entry))
    assert "log_stats_model_1.json" in str(caught.value)
