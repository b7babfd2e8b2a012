"""Recipes: by name and from a YAML file, whose content is part of a trial's key; every wrong field is one line."""

import numpy as np
import pytest

from archrank.datasets.errors import ArchrankError
from archrank.encoders.catalog import find
from archrank.eval.engine.losses import LOSSES
from archrank.eval.engine.recipes import (
    COMMON,
    RECIPES,
    Recipe,
    check_hooks,
    content_hash,
    make_recipe,
    resolve_recipe,
    variant,
)
from archrank.eval.runners.run import run
from archrank.eval.trials.groups import shape
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import make_plan


@pytest.fixture
def mine(tmp_path):
    """Writes a recipe file and returns its path."""

    def write(text):
        (tmp_path / "mine.yaml").write_text(text)
        return str(tmp_path / "mine.yaml")

    return write


def test_the_shipped_recipes():
    assert list(RECIPES) == ["common", "paper", "quick", "search", "tuned"] and all(
        entry.summary for entry in RECIPES.entries.values()
    )
    assert RECIPES["quick"].model_copy(update={"name": "common", "updates": 1000}) == COMMON
    assert find_recipe("common") is COMMON and find_recipe(COMMON) is COMMON


def test_a_file_is_fields_over_common_and_named_by_its_content(mine):
    recipe = find_recipe(mine("lr: 1e-4\nhead: mlp\nloss: listnet\nloss_options: {temperature: 2}\n"))
    assert (
        isinstance(recipe, Recipe) and recipe.lr == 1e-4 and recipe.updates == 1000 and recipe.head.hidden == (128, 128)
    )
    assert recipe.loss_options == {"temperature": 2.0} and recipe.name.startswith("mine@") and len(recipe.name) == 17
    again = find_recipe(
        mine("# the same\nloss_options: {temperature: 2.0}\nloss: listnet\nhead: {hidden: [128, 128]}\nlr: 0.0001\n")
    )
    assert again == recipe and find_recipe(mine("lr: 2e-4\n")).name != recipe.name
    assert find_recipe(mine("epochs: 3\nbatch: 8\n")).updates is None


@pytest.mark.parametrize(
    "text, said",
    [
        ("learning_rate: 1", r"unknown field of recipe 'mine' 'learning_rate'"),
        ("warmpu: 1", r"unknown field of recipe 'mine' 'warmpu': did you mean warmup"),
        ("lr: -1", r"recipe 'mine': lr: Input should be greater than 0"),
        ("loss: hing", r"unknown loss 'hing': did you mean hinge\?"),
        ("labels: normall", r"unknown label transform 'normall': did you mean normal\?"),
        ("head: gp", r"head gp has no layers; it is a regressor"),
        ("epochs: 2\nupdates: 3", r"recipe 'mine': give either updates or epochs"),
        ("- lr", r"is no list of fields; write lines such as `lr: 0.001`"),
        ("lr: [", r"not valid YAML"),
        ("name: other", r"unknown field of recipe 'mine' 'name'"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(mine, text, said):
    with pytest.raises(ArchrankError, match=said) as error:
        find_recipe(mine(text))
    assert "\n" not in str(error.value)


def test_unknown_names_and_files_are_one_line(tmp_path):
    with pytest.raises(ArchrankError, match=r"unknown recipe 'comon': did you mean common\?"):
        find_recipe("comon")
    with pytest.raises(ArchrankError, match="no such file"):
        find_recipe(str(tmp_path / "none.yaml"))


def test_an_edited_recipe_trains_again_and_an_equal_one_does_not(mine, cells, tmp_path):
    def go(text):
        plan = make_plan(
            parse_list("gcn[layers=1,dim=8],path+ridge"), benchmarks=[cells], budgets=[12], seeds=1, recipe=mine(text)
        )
        return run(plan, tmp_path / "store", workers=0), plan

    first, plan = go("updates: 3\n")
    assert (first.trained, first.failed) == (2, 0)
    assert go("updates: 3  # a remark\n")[0].kept == 2
    edited, _ = go("updates: 4\nlabels: standard\n")
    assert (edited.trained, edited.kept) == (2, 0)
    record = Store(tmp_path / "store").read(plan.trials[0].trial.key)
    answer = record["recipe"] if isinstance(record, dict) else record.recipe
    assert answer["updates"] == 3 and answer["name"] == plan.trials[0].trial.recipe


def test_a_loss_of_ones_own_is_in_the_key_by_its_source(cells, tmp_path):
    """Also where the edit is in a file beside it, which it imports."""
    (tmp_path / "scale.py").write_text("FACTOR = 1.0\n")
    text = "from scale import FACTOR\nfrom archrank.eval.engine.losses import loss\n@loss('mine')\n"
    (tmp_path / "mine.py").write_text(
        text + "def mine(scores, labels):\n    return FACTOR * (scores - labels).mean(-1)\n"
    )
    place = f"{tmp_path}/mine.py:mine"

    def key():
        recipe = variant("own", loss=place, updates=2)
        return (
            make_plan(parse_list("gin"), benchmarks=[cells], budgets=[12], seeds=1, recipe=recipe).trials[0].trial.key
        )

    before = key()
    assert key() == before and LOSSES[place](np.ones((1, 2)), np.zeros((1, 2))).tolist() == [1.0]
    (tmp_path / "scale.py").write_text("FACTOR = 2.0  # edited\n")
    assert key() != before
    assert content_hash(COMMON) == (
        "be279c8767e457759c20369a8ee82382fff03e71abc82cf926d8cded79399bd4"
    )  # built-in ones are named, and change no key


def test_batches_of_a_recipe_in_epochs_depend_on_the_budget(mine, cells):
    def shapes(text):
        plan = make_plan(parse_list("gcn"), benchmarks=[cells], budgets=[24, 48], seeds=1, recipe=mine(text))
        return [shape(item) for item in plan.trials]

    assert shapes("lr: 0.001") == [16, 16] and shapes("batch: 32") == [24, 32] and shapes("epochs: 2") == [24, 48]


def test_a_recipe_that_needs_a_hook_says_which(cells):
    gcn = find("gcn")[0].load()
    for fields, hook in (({"loss": "relation"}, "compare"), ({"consistency": 0.5}, "twins")):
        with pytest.raises(ArchrankError, match=f"which needs an encoder with `{hook}`; NeuralPredictorGCN has none"):
            resolve_recipe(variant("mine", **fields), gcn, {}, None, cells.space)
    check_hooks(COMMON, gcn)


def test_an_encoders_own_recipe_is_checked_the_same_way():
    with pytest.raises(ArchrankError, match="unknown field of recipe 'paper' 'optimiser': did you mean optimizer"):
        make_recipe("paper", {"optimiser": "adam", "updates": 1})
