"""Heads: each learns, repeats itself and says how sure it is; how they are written, with options; what a missing
package says."""

import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.batching import Member
from archrank.eval.engine.heads import HEADS, FittedWithStd, Regressor, head_layers
from archrank.eval.engine.regressors import fit_predict, fit_regressor
from archrank.eval.metrics import kendall
from archrank.eval.trials.specs import parse
from archrank.eval.trials.trial import make_plan

REGRESSORS = [name for name, entry in HEADS.entries.items() if entry.marker == "regressor" and entry.built_in]
WITH_STD = {"gp", "dngo", "forest", "extra_trees", "quantile_forest", "knn"}


def installed(name):
    head = HEADS[name]
    assert isinstance(head, Regressor)
    if head.requires and importlib.util.find_spec(head.requires) is None:
        pytest.skip(f"{head.requires} is not installed (extra archrank[boosting])")


def problem(count, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 4, (count, 5)).astype(float)
    return features, features[:, 0] + 0.5 * features[:, 1] * features[:, 2] + 0.1 * rng.standard_normal(count)


@pytest.mark.parametrize("name", [name for name in REGRESSORS if name != "none"])
def test_a_regressor_learns_repeats_itself_and_says_how_sure_it_is(name):
    installed(name)
    features, labels = problem(60)
    fresh, truth = problem(200, seed=1)
    fitted = fit_regressor(name, features, labels, seed=3)
    predicted = fitted.predict(fresh)
    assert predicted.shape == (200,) and predicted.dtype == np.float64 and kendall(truth, predicted) > 0.6
    assert np.array_equal(predicted, fit_regressor(name, features, labels, seed=3).predict(fresh))
    assert isinstance(fitted, FittedWithStd) == (name in WITH_STD)
    if isinstance(fitted, FittedWithStd):
        std = fitted.std(fresh)
        assert std.shape == (200,) and (std >= 0).all() and std.max() > 0


@pytest.mark.parametrize("name", ["gp", "forest"])
def test_far_from_the_labels_a_head_is_less_sure(name):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((80, 2))
    labels = np.sin(3 * features[:, 0])
    fitted = fit_regressor(name, features, labels, seed=0)
    assert isinstance(fitted, FittedWithStd)
    near, far = features[:40] + 0.01, features[:40] + (6.0 if name == "gp" else 1.0)
    assert fitted.std(far).mean() > 1.25 * fitted.std(near).mean()


def test_a_forests_deviation_is_that_of_the_mixture_of_its_leaves():
    features, labels = problem(40)
    fitted = fit_regressor("forest", features, labels, 0, {"trees": 7})
    model = vars(fitted)["model"]
    assert (
        isinstance(fitted, FittedWithStd) and isinstance(model, RandomForestRegressor) and len(model.estimators_) == 7
    )
    row, pooled = problem(1, seed=5)[0], []
    for tree in model.estimators_:
        leaf = tree.apply(row.astype(np.float32))[0]
        pooled.append((tree.tree_.value[leaf, 0, 0], tree.tree_.impurity[leaf]))
    means, variances = np.array(pooled).T
    assert fitted.std(row)[0] == pytest.approx(np.sqrt(variances.mean() + means.var()))
    assert fitted.predict(row)[0] == pytest.approx(means.mean())


def test_nearest_neighbours_by_hand():
    features, labels = np.array([[0.0], [1.0], [3.0], [9.0]]), np.array([1.0, 2.0, 4.0, 100.0])
    fitted = fit_regressor("knn", features, labels, 0, {"neighbours": 3})
    weights = np.array([1 / 2, 1 / 1, 1 / 1]) / 2.5
    mean = weights @ [1, 2, 4]
    assert isinstance(fitted, FittedWithStd)
    assert fitted.predict(np.array([[2.0], [3.0]])) == pytest.approx([mean, 4.0])
    assert fitted.std(np.array([[2.0], [3.0]])) == pytest.approx(
        [np.sqrt(weights @ (np.array([1, 2, 4]) - mean) ** 2), 0.0]
    )
    assert fit_regressor("knn", features, labels, 0).predict(np.array([[0.5]])).shape == (1,)


def test_few_labels_are_enough_for_every_head():
    features, labels = problem(8)
    for name in REGRESSORS:
        head = HEADS[name]
        assert isinstance(head, Regressor)
        if name != "none" and (not head.requires or importlib.util.find_spec(head.requires)):
            assert np.isfinite(fit_regressor(name, features, labels, 0).predict(features)).all()


def test_options_of_a_head_are_written_in_brackets(cells):
    spec = parse("path+forest[trees=20]")[0]
    assert (spec.head, spec.head_config, spec.label) == ("forest", {"trees": 20}, "path+forest[trees=20]")
    assert parse(spec.label)[0] == spec and parse({"name": "path", "head": "forest[trees=20]"})[0] == spec
    assert parse("path+forest[trees=300]")[0].label == "path+forest"
    assert parse("path+mlp[hidden=(64,32),dropout=0.1]")[0].layers() == head_layers("mlp", hidden=(64, 32), dropout=0.1)
    keys = [
        make_plan(parse(text), benchmarks=[cells], budgets=[12], seeds=1).trials[0].trial.key
        for text in ("path+forest", "path+forest[trees=20]")
    ]
    assert keys[0] != keys[1]
    with pytest.raises(ArchrankError, match="option of head forest 'tree': did you mean trees"):
        parse("path+forest[tree=20]")
    with pytest.raises(ArchrankError, match=r"unknown head 'forrest': did you mean forest"):
        parse("path+forrest")
    with pytest.raises(ArchrankError, match="learned with its head"):
        parse("gcn+knn")


def test_a_fixed_encoding_trains_the_head_that_it_is_asked_for():
    assert parse("path+linear")[0].layers() == head_layers("linear") != parse("path")[0].layers() == head_layers("mlp")
    assert parse("gcn")[0].layers() is None and parse("gcn+mlp")[0].layers() == head_layers("mlp")


def test_a_head_of_ones_own_is_named_by_its_place_and_known_by_its_source(tmp_path):
    file = tmp_path / "heads.py"
    text = (
        "from archrank.eval.engine.heads import regressor\nclass Mean:\n    def __init__(self, mean): self.mean = mean\n"
        "    def predict(self, features): return self.mean + 0 * features[:, 0]\n@regressor('mean')\n"
        "def mean(features, labels, seed, *, add: float = 0.0):\n    return Mean(labels.mean() + add)\n"
    )
    file.write_text(text)
    spec = parse(f"path+{file}:mean[add=2]")[0]
    fitted = fit_regressor(spec.head, np.ones((3, 2)), np.array([1.0, 2.0, 3.0]), 0, spec.head_config)
    assert fitted.predict(np.ones((2, 2))).tolist() == [4.0, 4.0]
    before = spec.head_identity
    file.write_text(text.replace("mean() + add", "mean() - add"))
    assert spec.head_identity != before


def test_a_missing_package_is_one_line():
    with pytest.raises(
        ArchrankError, match=r"head trees needs the package no_such_package: pip install 'archrank\[boosting\]'"
    ):
        Regressor("trees", lambda *_: None, "no_such_package").check_installed()


def test_all_training_architectures_alike_is_a_problem_of_the_trial():
    outcome = fit_predict(np.ones((5, 2)), Member(0, np.arange(3), np.arange(3.0), np.arange(3, 5)), "knn")
    assert outcome.problem == "all training architectures have one encoding"


def test_listing_heads_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys\nfrom archrank.eval.engine.heads import HEADS, is_neural\nprint(*HEADS)\nassert is_neural('mlp') and not is_neural('gp')\n"
        "assert not {'torch', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and {"knn", "xgboost", "lightgbm"} <= set(done.stdout.split()), done.stderr


RECIPE = Path(__file__).parents[2] / "docs/recipes/tabular_models.py"


def test_heads_of_pretrained_tables_plug_in(monkeypatch):
    """With stand-ins for the packages, whose weights are not to be had here."""

    class Median:
        def __init__(self, **options):
            self.options = options

        def fit(self, features, labels):
            self.labels = labels
            return self

        def predict(self, features, output_type="mean", quantiles=()):
            if output_type == "quantiles":
                return [np.full(len(features), np.quantile(self.labels, q)) for q in quantiles]
            return np.full(len(features), self.labels.mean())

    monkeypatch.setitem(sys.modules, "tabpfn", SimpleNamespace(TabPFNRegressor=Median))
    monkeypatch.setitem(sys.modules, "tabicl", SimpleNamespace(TabICLRegressor=Median))
    heads = runpy.run_path(str(RECIPE))
    features, labels = problem(30)
    fitted = heads["tabpfn"].fit(features, labels, 1, checkpoint="there.ckpt")
    assert fitted.model.options["model_path"] == "there.ckpt"
    assert np.allclose(fitted.predict(features), np.median(labels)) and (fitted.std(features) > 0).all()
    assert np.allclose(heads["tabicl"].fit(features, labels, 1).predict(features), labels.mean())
    monkeypatch.setitem(sys.modules, "tabpfn", None)
    with pytest.raises(ArchrankError, match="pip install tabpfn"):
        heads["tabpfn"].fit(features, labels, 1)
    assert parse(f"path+{RECIPE}:tabpfn")[0].head.endswith("tabpfn")
