"""Plans: what is refused before anything is trained, and what makes two trials the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from archrank.cli.docs import store_page
from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.heads import head_layers
from archrank.eval.engine.recipes import COMMON
from archrank.eval.trials.groups import make_groups
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Trial, make_plan
from tests.eval.runs import plan_of


def infinite(graphs, space, *, top=1.0):
    """An encoding whose option may be anything."""
    return graphs.ops


@pytest.mark.parametrize(
    "encoders, more, said",
    [
        ("nope", {}, "unknown encoder 'nope'"),
        ("gcn[dimm=3]", {}, "unknown option of encoder gcn 'dimm': did you mean dim"),
        ("gcn[dim=wide]", {}, "option dim='wide'"),
        ("gcn+gp", {}, "learned with its head"),
        ("path+gb", {}, "unknown head 'gb'"),
        ("gcn,gcn", {}, "listed twice"),
        ("gcn", {"budgets": [10_000]}, "budget 10000"),
        ("gcn", {"budgets": [2]}, "fewer than 4"),
        ("gcn", {"protocol": "dirty"}, "unknown protocol"),
        ("gcn", {"recipe": "secret"}, "unknown recipe"),
        ("gcn", {"targets": ["qualty"]}, "did you mean quality"),
        ("gcn", {"seeds": [-1]}, "seed -1: seeds are whole numbers from 0 on"),
        ("gcn[dim={]", {}, r"option 'dim=\{', line 1: not valid YAML"),
        ("gcn[dim=.inf]", {}, ".inf is no finite number"),
        ([{"name": f"{__file__}:infinite", "top": (1.0, float("nan"))}], {}, r"option top=\(1.0, nan\) cannot be kept"),
        (f"{__file__}:infinite[top=.inf]", {}, ".inf is no finite number"),
        ([{"dim": 3}], {}, "has no name"),
        ("", {}, "no encoder given"),
    ],
)
def test_wrong_plans_are_refused_in_one_line(cells, encoders, more, said):
    with pytest.raises(ArchrankError, match=said) as refused:
        plan_of(cells, encoders, **more)
    assert "\n" not in str(refused.value)


def test_one_name_means_one_table(cells, tmp_path):
    turned = cells.subset(range(len(cells)))
    for pair, said in (((cells, cells), "given twice"), ((cells, turned), "two tables are called")):
        with pytest.raises(ArchrankError, match=said):
            make_plan(parse_list("path+ridge"), benchmarks=pair, budgets=[12], seeds=1)


def test_keys_name_what_matters_and_nothing_else(cells):
    keys = {item.trial.key for item in plan_of(cells, "gcn,path").trials}
    assert keys == {item.trial.key for item in plan_of(cells, "path,gcn").trials} and len(keys) == 8
    assert not keys & {item.trial.key for item in plan_of(cells, "gcn[dim=32],path+gp").trials}
    assert not keys & {item.trial.key for item in plan_of(cells, "gcn,path", protocol="gates").trials}


def test_a_direction_that_was_turned_is_in_the_keys(cells):
    def keys(direction):
        quality = cells.card.as_dict()["metrics"]["quality"] | {"direction": direction}
        table = replace(cells, card=cells.card.with_metrics({"quality": quality}))
        return {item.trial.key for item in plan_of(table, "path+ridge").trials}

    assert keys("max") == {item.trial.key for item in plan_of(cells, "path+ridge").trials} and not keys("max") & keys(
        "min"
    )


def test_tables_of_one_content_are_trained_apart_where_they_have_two_names(cells, tmp_path):
    twin = replace(cells, name="twin")
    plan = make_plan(parse_list("path"), benchmarks=[cells, twin], budgets=[12], seeds=2)
    groups = make_groups(plan.trials, set(), Store(tmp_path))
    assert sorted(len(group.members) for group in groups) == [2, 2] and {group.first.benchmark for group in groups} == {
        cells.name,
        "twin",
    }


def test_a_key_names_what_is_in_a_recipe_and_in_a_head(cells, monkeypatch):
    def keys(encoders, recipe="common"):
        return [
            item.trial.key
            for item in make_plan(parse_list(encoders), benchmarks=[cells], budgets=[12], seeds=1, recipe=recipe).trials
        ]

    assert keys("gcn,path") == keys("gcn,path") and keys("gcn") != keys("gcn", "quick") != keys("gcn", "paper")
    assert keys("gcn", COMMON) == keys("gcn") != keys("gcn", COMMON.model_copy(update={"lr": 0.5}))
    before = keys("path+mlp,path+ridge,gcn")
    wider = head_layers("mlp").model_copy(update={"hidden": (9,)})
    monkeypatch.setattr("archrank.eval.trials.specs.heads.head_layers", lambda name, **options: wider)
    assert [old == new for old, new in zip(before, keys("path+mlp,path+ridge,gcn"))] == [False, True, True]


def test_the_documented_schema_is_that_of_the_records():
    text = (Path(__file__).parents[2] / "docs" / "store.md").read_text()
    assert store_page(text) == text, "run `archrank docs`"
    assert all(f"| `{name}` |" in text for name in (*Trial.__dataclass_fields__, "fit_s", "hardware", "traceback"))
