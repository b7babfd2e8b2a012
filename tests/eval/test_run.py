"""What a run does with its trials: scores, failures, encodings, and what it keeps from them."""

import gc
import weakref

import numpy as np
import pytest
import torch

from archrank.datasets.card import as_card
from archrank.datasets.errors import ArchrankError
from archrank.eval.predictor import Predictor
from archrank.eval.runners.run import run
from archrank.eval.trials.encodings import with_columns
from archrank.eval.trials.results import read_results
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import make_plan
from tests.eval.runs import PLUGIN, plan_of

pytestmark = pytest.mark.usefixtures("short_training")


def test_failures_are_records_and_the_others_go_on(cells, tmp_path):
    path = tmp_path / "sick.py"
    path.write_text(
        PLUGIN.replace('"mine"', '"sick"').replace(
            "def forward(self, graphs) -> Tensor:",
            "def forward(self, graphs) -> Tensor:\n        if self.training and len(graphs.ops) == 12: raise RuntimeError('not with twelve')",
        )
    )
    store = tmp_path / "store"
    summary = run(plan_of(cells, f"{path}:Mine,path+ridge"), store, workers=0)
    assert (summary.trained, summary.failed) == (6, 2)
    frame = read_results([store])
    assert set(frame["space"]) == {cells.space.name}
    failed = frame[frame["status"] == "failed"]
    assert (
        set(failed["budget"]) == {12}
        and failed["error"].str.contains("not with twelve").all()
        and failed["kendall"].isna().all()
    )
    assert run(plan_of(cells, f"{path}:Mine,path+ridge"), store, workers=0).failed == 2
    path.write_text(path.read_text().replace("raise RuntimeError('not with twelve')", "pass"))
    assert run(plan_of(cells, f"{path}:Mine"), store, workers=0).failed == 0


def test_constant_predictions_are_a_failure_not_a_zero(cells, tmp_path):
    path = tmp_path / "dull.py"
    path.write_text(
        "import torch\nfrom archrank import encoding\n@encoding('dull')\ndef dull(graphs, space):\n    return torch.ones(len(graphs), 2)\n"
    )
    store = tmp_path / "store"
    assert run(plan_of(cells, f"{path}:dull+ridge"), store, workers=0).failed == 4
    assert read_results([store])["kendall"].isna().all()


def test_directions_are_turned(cells, tmp_path):
    store = tmp_path / "store"
    run(plan_of(cells, "bag_of_ops+ridge", budgets=[60], targets=["cost", "quality"]), store, workers=0)
    frame = read_results([store]).groupby("target")["kendall"].mean()
    assert frame["cost"] > 0.6 and frame["quality"] > 0.2


def test_protocols_may_train_on_one_metric_and_test_on_another(cells, tmp_path):
    """Where the test score is unrelated to the validation score trained on, nothing but that relation can be found."""
    both = cells.subset(range(len(cells)))
    both.scores = both.scores.assign(my_val=both.scores["quality"], my_test=-both.scores["quality"])
    metrics = {name: {"unit": "%", "direction": "max", "description": "made up"} for name in ("my_val", "my_test")}
    both.card = as_card(both.card.as_dict() | {"metrics": metrics, "default_target": "my_val"}, "both")
    store = tmp_path / "store"
    for protocol in ("clean", "tnasp"):
        run(
            make_plan(parse_list("path+forest"), benchmarks=[both], budgets=[80], seeds=2, protocol=protocol),
            store,
            workers=0,
        )
    frame = read_results([store]).groupby("protocol")["kendall"].mean()
    assert frame["clean"] > 0.3 and frame["tnasp"] < -0.3


def test_boosting_is_what_scikit_learn_gives(cells, tmp_path):
    from scipy.stats import kendalltau
    from sklearn.ensemble import GradientBoostingRegressor

    from archrank.datasets import make_split
    from archrank.encoders.paths.path import path
    from archrank.eval.engine.labels import transform

    store = tmp_path / "store"
    run(plan_of(cells, "path+boosting", budgets=[80], seeds=3), store, workers=0)
    ours = read_results([store]).sort_values("seed")["kendall"].to_numpy()
    theirs = []
    for seed in range(3):
        split = make_split(cells, "clean", seed)
        features, scores, rows = path(cells.graphs, cells.space).numpy(), cells.target(), split.train(80)
        model = GradientBoostingRegressor(
            n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8, random_state=seed
        )
        model.fit(features[rows], transform(scores[rows], "normal"))
        theirs.append(kendalltau(scores[split.test], model.predict(features[split.test])).statistic)
    assert abs(np.mean(ours) - np.mean(theirs)) < 0.02


@pytest.mark.data("nasbench201")
def test_boosting_on_the_real_table_is_what_scikit_learn_gives(tmp_path):
    from scipy.stats import kendalltau
    from sklearn.ensemble import GradientBoostingRegressor

    from archrank.datasets import load, make_split
    from archrank.encoders.paths.path import path
    from archrank.eval.engine.labels import transform

    table, store = load("nasbench201"), tmp_path / "store"
    run(make_plan(parse_list("path+boosting"), benchmarks=[table], budgets=[390], seeds=3), store, workers=0)
    theirs = []
    features, scores = path(table.graphs, table.space).numpy(), table.target()
    for seed in range(3):
        split = make_split(table, "clean", seed)
        rows = split.train(390)
        model = GradientBoostingRegressor(
            n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8, random_state=seed
        )
        model.fit(features[rows], transform(scores[rows], "normal"))
        theirs.append(kendalltau(scores[split.test], model.predict(features[split.test])).statistic)
    assert abs(read_results([store])["kendall"].mean() - np.mean(theirs)) < 0.02


@pytest.mark.parametrize(
    "body, said",
    [
        ("def broken(:", "line 1"),
        ("import nothing_of_that_name\nclass E: pass", "No module named 'nothing_of_that_name'"),
        (
            "from torch import nn\nclass E(nn.Module):\n    def __init__(self, space): super().__init__()\n    def forward(self, g): return g.ops.float().sum(1)",
            r"forward must give \[B, dim\]",
        ),
        (
            "from archrank import encoding\n@encoding('E')\ndef E(graphs, space):\n    return {}['missing']",
            r"on synthetic0 \(.*line 4\): KeyError",
        ),
        ("from torch import nn\nclass Other(nn.Module): pass", "unknown encoder"),
    ],
)
def test_broken_plugins_stop_before_anything_is_written(cells, tmp_path, body, said):
    path = tmp_path / "e.py"
    path.write_text(body)
    with pytest.raises(ArchrankError, match=said) as refused:
        run(plan_of(cells, f"{path}:E"), tmp_path / "store", workers=0)
    assert "\n" not in str(refused.value) and not (tmp_path / "store").exists()


def test_a_target_that_is_a_cost_is_hidden_from_encodings(cells):
    from archrank.datasets.costs import COSTS
    from archrank.encoders.layers.complexity import cost

    table = cells.subset(range(len(cells)))
    secret = np.random.default_rng(0).permutation(len(table)).astype(float)
    table.scores = table.scores.assign(parameters=secret)
    table.card = table.card.with_metrics({"parameters": {"unit": "", "direction": "min", "description": "made up"}})

    def reads(graphs):
        return np.array_equal(cost(graphs, table.space, "parameters").numpy(), secret)

    assert reads(with_columns(table, COSTS)) and reads(with_columns(table, COSTS).plain().pad(20)[:])
    assert not reads(with_columns(table, COSTS, hidden="parameters"))
    assert not reads(with_columns(table, ["flops"]))
    assert not reads(table.graphs)  # what learned encoders are given, whoever came before


def test_an_encoding_is_given_the_columns_that_it_declares(cells, tmp_path):
    table = cells.subset(range(60))
    table.scores = table.scores.assign(price=np.arange(60.0), secret=np.arange(60.0))
    metric = {"unit": "", "direction": "min", "description": "made up"}
    table.card = table.card.with_metrics({"price": metric, "secret": metric})
    path = tmp_path / "priced.py"
    path.write_text(
        "from archrank import encoding\n@encoding('priced', ranks=True, columns=['price', 'absent'])\n"
        "def priced(graphs, space):\n    assert 'secret' not in graphs.columns\n"
        "    return graphs.columns.get('price', graphs.ops.double().sum(1))[:, None]\n"
    )
    targets = ["price", table.default_target]
    plan = plan_of(table, f"{path}:priced", budgets=[12], seeds=1, targets=targets)
    store = Store(tmp_path / "store")
    assert run(plan, store.folder, workers=0).failed == 0
    predicted = {record.trial.target: store.predictions(record) for record in store.records()}
    rows, values = predicted[table.default_target]
    assert np.array_equal(rows, values)
    rows, values = predicted["price"]  # the target itself is hidden
    assert np.array_equal(table.graphs.ops.double().sum(1)[rows], values)


def test_prediction_of_a_fixed_encoding_counts_the_encoding(cells, tmp_path):
    path = tmp_path / "slow.py"
    path.write_text(
        "import time, torch\nfrom archrank import encoding\n@encoding('slow')\ndef slow(graphs, space):\n    time.sleep(0.4)\n"
        "    return graphs.ops.double()\n"
    )
    run(plan_of(cells, f"{path}:slow+ridge", [12], 1), tmp_path / "store", workers=0)
    row = read_results([tmp_path / "store"]).iloc[0]
    assert row["predict_s"] >= 0.4 * row["test"] / len(cells) and row["architectures_per_s"] <= len(cells) / 0.4


def test_encodings_are_kept_for_the_first_seed_of_a_run(cells, tmp_path):
    plan = plan_of(cells, "path+ridge", [12], [3, 4])
    run(plan, tmp_path / "store", workers=0)
    assert [path.stem for path in (tmp_path / "store" / "encodings").iterdir()] == [plan.trials[0].trial.key]


def test_what_filled_the_memory_is_gone_when_members_are_tried_alone(cells, tmp_path, mine, monkeypatch):
    from archrank.eval.trials import execute

    kept, whole = [], execute._train_group

    class Heap:
        pass

    def full(group, *rest):
        if len(group.members) > 1:
            heap = Heap()
            kept.append(weakref.ref(heap))
            raise MemoryError("no more")
        gc.collect()
        assert kept[0]() is None
        return whole(group, *rest)

    monkeypatch.setattr(execute, "_train_group", full)
    assert run(plan_of(cells, mine, [12]), tmp_path / "store", workers=0).trained == 2 and kept


def test_a_record_says_whether_it_was_compiled_not_whether_that_was_asked_for(cells, tmp_path, mine, monkeypatch):
    from archrank.cli.run import _not_compiled
    from archrank.eval.engine import training
    from archrank.eval.engine.update import Update

    plan = plan_of(cells, mine, [12], 1)
    for said in ("not compiled: no compiler", "compiled: 3 programs"):
        monkeypatch.setattr(training, "compiled_update", lambda *given, said=said: (Update(*given[:3]), said))
        store = Store(tmp_path / said[:3])
        run(plan, store.folder, workers=0, compiled=True)
        assert store.load(plan.trials[0].trial.key).provenance.compiled == said.startswith("compiled")
        assert _not_compiled(plan, store) == ({("mine", "no compiler")} if said.startswith("not") else set())


def test_one_name_stands_for_a_list_of_one(tmp_path):
    import archrank

    actual = archrank.run(
        "path+ridge",
        benchmarks="digits101",
        budgets=20,
        seeds=1,
        targets="test_accuracy",
        store=tmp_path / "store",
        workers=0,
    )
    assert len(actual.frame) == 1


COUNTING = """
import numpy as np
import torch
from pathlib import Path
from threadpoolctl import threadpool_info
from archrank import encoding

@encoding("counting")
def counting(graphs, space):
    most = max([torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())])
    Path(__file__).with_name("threads").write_text(str(most))
    return np.asarray(graphs.ops, dtype=float)
"""


def test_in_this_process_a_run_and_a_predictor_take_the_threads_of_a_worker_and_give_them_back(cells, tmp_path):
    (tmp_path / "counting.py").write_text(COUNTING)
    torch.set_num_threads(2)
    plan = plan_of(cells, f"{tmp_path / 'counting.py'}:counting+ridge")
    assert run(plan, tmp_path / "store", workers=0).failed == 0
    assert (tmp_path / "threads").read_text() == "1" and torch.get_num_threads() == 2
    (tmp_path / "threads").unlink()
    Predictor(f"{tmp_path / 'counting.py'}:counting+ridge", cells.space).fit(cells.graphs[:20], cells.target()[:20])
    assert (tmp_path / "threads").read_text() == "1" and torch.get_num_threads() == 2
