"""What a trial is trained on: labels, features and companions as its plan says, and nothing that its split hides."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from archrank.eval.engine.batching import Member
from archrank.eval.engine.recipes import COMMON, make_recipe
from archrank.eval.engine.training import train
from archrank.eval.runners.run import run
from archrank.eval.trials.groups import make_groups
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import make_plan

PLUGIN = """
from pathlib import Path
import torch
from torch import nn
from archrank import encoder, encoding

@encoding("far")
def far(graphs, space, *, row: int = 0):
    features = torch.stack([(graphs.ops == op).sum(1) for op in range(len(space.ops))], 1).double()
    features[row : row + 1] *= 1000
    return features

@encoding("kept", pretrained=True, columns=("parameters",))
def kept(graphs, space, *, power: int = 1):
    with (Path(__file__).parent / "calls").open("a") as calls:
        calls.write(f"{power} {len(graphs)}\\n")
    return torch.stack([(graphs.ops == op).sum(1) for op in range(len(space.ops))], 1).double() ** power

@encoder("raw")
class Raw(nn.Module):
    def __init__(self, space):
        super().__init__()
        self.embed, self.out = nn.Embedding(len(space.ops), 8), nn.Linear(8, 8)

    @staticmethod
    def paper_recipe(space):
        return {"loss": "l1", "labels": "raw", "consistency": 0.5, "updates": 5, "batch": 8, "lr": 0.01}

    @staticmethod
    def twins(graphs):
        return graphs[torch.arange(len(graphs)).roll(1)]

    def forward(self, graphs):
        return self.out(torch.tanh(self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)).sum(-2))
"""


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return path


def plan_of(benchmark, encoders, budgets=(12,), seeds=1, **more):
    return make_plan(parse_list(encoders), benchmarks=[benchmark], budgets=list(budgets), seeds=seeds, **more)


def predictions(store, item):
    index, values = Store(store).predictions(Store(store).load(item.trial.key))
    return pd.Series(values, index)


def test_features_of_test_architectures_reach_no_prediction_but_their_own(cells, plugin, tmp_path):
    split = next(iter(plan_of(cells, "path").splits.values()))
    rows = [int(row) for row in split.test[:2]]
    plan = plan_of(
        cells,
        ",".join(f"{plugin}:far[row={row}]+{head}" for row in rows for head in ("linear", "ridge")),
        recipe="quick",
    )
    assert run(plan, tmp_path / "store", workers=0).failed == 0
    for one, other in zip(plan.trials[:2], plan.trials[2:]):
        first, second = predictions(tmp_path / "store", one), predictions(tmp_path / "store", other)
        assert first.drop(rows).equals(second.drop(rows)) and not (first[rows] == second[rows]).any()


def test_labels_and_twins_are_those_of_the_recipe(cells, plugin, tmp_path):
    plan = plan_of(cells, f"{plugin}:Raw", seeds=2, recipe="paper")
    assert run(plan, tmp_path / "store", workers=0).failed == 0
    spec = importlib.util.spec_from_file_location("plugin", plugin)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    splits = [plan.splits[item.trial.split] for item in plan.trials]
    members = [
        Member(seed, split.train(12), cells.target()[split.train(12)], split.test) for seed, split in enumerate(splits)
    ]
    expected = train(
        lambda member, probe: module.Raw(cells.space),
        cells.graphs,
        members,
        make_recipe("paper", module.Raw.paper_recipe(None)),
        twins=module.Raw.twins(cells.graphs),
    )
    for item, split, outcome in zip(plan.trials, splits, expected):
        assert np.allclose(predictions(tmp_path / "store", item)[split.test], outcome.predictions, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"split": "0" * 64}, "the split of seed 0 is not the one"),
        ({"table": "0" * 64}, "the table of synthetic0 is not the one"),
    ],
)
def test_a_trial_on_another_table_or_split_than_planned_is_a_failure(cells, tmp_path, change, said):
    plan = plan_of(cells, "path+ridge")
    plan.trials = [replace(item, trial=replace(item.trial, **change)) for item in plan.trials]
    assert run(plan, tmp_path, workers=0).failed == 1
    assert said in Store(tmp_path).load(plan.trials[0].trial.key).error.message


def test_a_pretraining_is_done_once_for_each_table_configuration_and_hidden_cost(cells, plugin, tmp_path):
    def calls(benchmark, encoders, **more):
        known = log.read_text().splitlines() if (log := tmp_path / "calls").exists() else []
        assert run(plan_of(benchmark, encoders, **more), tmp_path / "store", workers=0).failed == 0
        return log.read_text().splitlines()[len(known) :]

    kept, half = f"{plugin}:kept+ridge", cells.subset(range(200))
    half.scores = half.scores.assign(parameters=np.random.default_rng(0).permutation(200) + 1.0)
    half.card = half.card.with_metrics({"parameters": {"unit": "", "direction": "min", "description": "made up"}})
    assert calls(cells, kept, seeds=2) == ["1 400"] and calls(cells, kept, budgets=[20], targets=["cost"]) == []
    assert calls(cells, kept.replace("kept+", "kept[power=2]+")) == ["2 400"]
    assert calls(half, kept) == ["1 200"] and calls(half, kept, targets=["cost"]) == []
    assert calls(half, kept, targets=["parameters"]) == ["1 200"]


def test_a_damaged_pretraining_is_made_again(cells, plugin, tmp_path):
    plan = plan_of(cells, f"{plugin}:kept+ridge")
    store, calls = tmp_path / "store", Path(plugin).parent / "calls"
    assert run(plan, store, workers=0).failed == 0
    (made,) = (path for path in (store / "pretraining").iterdir() if path.suffix == ".safetensors")
    whole = made.read_bytes()
    made.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    for path in (store / "trials").iterdir():
        path.unlink()
    before = len(calls.read_text().splitlines())
    assert run(plan, store, workers=0).failed == 0
    assert len(calls.read_text().splitlines()) > before and predictions(store, plan.trials[0]) is not None
    with_whole = made.read_bytes()
    assert with_whole[-9] == whole[-9]


def test_complex_features_are_refused(cells, plugin, tmp_path):
    path = Path(plugin)
    path.write_text(
        path.read_text()
        + "\n\n@encoding('turned')\ndef turned(graphs, space):\n    return torch.ones(len(graphs), 2, dtype=torch.complex64)\n"
    )
    assert run(plan_of(cells, f"{plugin}:turned+ridge"), tmp_path / "store", workers=0).failed == 1
    (record,) = Store(tmp_path / "store").records()
    assert "gives complex numbers; give real ones" in record.error.message


def test_trials_train_together_that_have_one_target_one_recipe_and_batches_of_one_size(cells, plugin, tmp_path):
    common, quick, paper = (
        plan_of(cells, f"{plugin}:Raw", [12, 20, 40], 2, targets=["quality", "cost"], recipe=name).trials
        for name in ("common", "quick", "paper")
    )
    groups = [
        [item.trial for item in group.members]
        for group in make_groups([*common, *quick, *paper], set(), Store(tmp_path))
    ]
    actual = pd.DataFrame(
        [
            {
                "target": t.target,
                "recipe": t.recipe,
                "batch": t.budget if t.recipe == "paper" else min(COMMON.batch, t.budget),
            }
            for group in groups
            for t in group
        ],
        index=np.repeat(np.arange(len(groups)), [len(group) for group in groups]),
    )
    assert (actual.groupby(level=0).nunique() == 1).all(None) and len(actual) == 36
    assert len(groups) == len(actual.drop_duplicates()) == 2 * (2 + 2 + 3)
