import gc
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from archrank.datasets.benchmark import write_benchmark
from archrank.datasets.errors import ArchrankError
from archrank.eval.execute import with_costs
from archrank.eval.run import run
from archrank.eval.specs import parse_list
from archrank.eval.store import Store, latest, read_results, read_table, read_trials, unreadable
from archrank.eval.synthetic import synthetic
from archrank.eval.trials import make_plan

PLUGIN = """
import torch
from torch import Tensor, nn
from archrank import encoder
@encoder("mine")
class Mine(nn.Module):
    \"\"\"Mine.\"\"\"
    def __init__(self, space, *, dim: int = 8):
        super().__init__()
        self.embed = nn.Embedding(len(space.ops), dim)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(dim, dim)
    def forward(self, graphs) -> Tensor:
        x = self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)
        return self.out(self.drop(torch.relu(graphs.adj.transpose(-1, -2).float() @ x + x))).sum(-2)
"""


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    """Sixty steps instead of the recipe's; what is tested here does not depend on how long a predictor trains."""
    from archrank.eval import groups, recipes

    short = recipes.COMMON.model_copy(update={"updates": 60})
    for module in (groups, recipes):
        monkeypatch.setattr(module, "COMMON", short)


def plan_of(cells, encoders, budgets=(12, 20), seeds=2, **more):
    return make_plan(parse_list(encoders), benchmarks=[cells], budgets=list(budgets), seeds=seeds, **more)


def content(folder: Path) -> dict:
    """Everything in a store that may not depend on when or how often it was run."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and path.parent.name != "ensembles":
            if path.suffix == ".json":
                record = json.loads(path.read_text())
                found[path.name] = {name: record[name] for name in ("trial", "label", "status", "metrics", "test", "model", "recipe")}
            else:
                found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return f"{path}:Mine"


def test_a_run_its_repetition_and_its_results(cells, tmp_path, mine):
    store = tmp_path / "store"
    plan = plan_of(cells, f"{mine},path+ridge,adjacency")
    first = run(plan, store, workers=0)
    assert (first.planned, first.kept, first.trained, first.failed) == (12, 0, 12, 0)
    before = content(store)
    second = run(plan_of(cells, f"{mine},path+ridge,adjacency"), store, workers=0)
    assert (second.kept, second.trained) == (12, 0) and content(store) == before
    frame = read_results([store])
    assert sorted(frame["label"].unique()) == ["adjacency", "mine", "path+ridge"] and frame["kendall"].between(-1, 1).all()
    assert list(Store(store).journals()) == []
    for key in frame["key"]:
        kept = read_table(store, "predictions", key)
        record = Store(store).read(key)
        assert not set(kept["index"]) & set(plan.splits[record["trial"]["split"]].train(20))
    # Every encoder met the same test architectures.
    assert all(group["split"].nunique() == 1 for _, group in frame.groupby("seed"))


def test_adding_seeds_trains_only_the_new_ones(cells, tmp_path, mine):
    store = tmp_path / "store"
    run(plan_of(cells, mine, seeds=2), store, workers=0)
    more = run(plan_of(cells, mine, seeds=3), store, workers=0)
    assert (more.kept, more.trained) == (4, 2)


def test_an_edited_encoder_is_trained_again_and_no_other(cells, tmp_path, mine):
    store = tmp_path / "store"
    run(plan_of(cells, f"{mine},path+ridge"), store, workers=0)
    path = Path(mine.rpartition(":")[0])
    path.write_text(path.read_text().replace("nn.Dropout(0.2)", "nn.Dropout(0.1)"))
    again = run(plan_of(cells, f"{mine},path+ridge"), store, workers=0)
    assert (again.kept, again.trained) == (4, 4)


def test_two_programs_of_one_label_are_never_mixed_and_the_present_one_counts(cells, tmp_path, mine):
    store, path = tmp_path / "store", Path(mine.rpartition(":")[0])
    first, second = PLUGIN, PLUGIN.replace("nn.Dropout(0.2)", "nn.Dropout(0.1)")
    for day, (text, seeds, trained) in enumerate([(first, 4, 4), (second, 2, 2), (first, 4, 0)]):
        path.write_text(text)
        assert run(plan_of(cells, mine, [12], seeds), store, workers=0).trained == trained
        for record in read_trials([store]):
            if "day" not in record["provenance"]:
                Store(store).write(record | {"provenance": record["provenance"] | {"day": day, "finished": f"2026-01-0{day + 1}"}})

    def counted():
        found, others = latest(read_trials([store]))
        return {(record["provenance"]["day"], record["trial"]["seed"]) for record in found}, others

    assert counted() == ({(0, seed) for seed in range(4)}, 2)
    for text in (second, first.replace("0.2", "0.3")):  # a third program has no trials here: the newest ones count
        path.write_text(text)
        assert counted() == ({(1, 0), (1, 1)}, 4)
    path.unlink()
    assert counted() == ({(1, 0), (1, 1)}, 4)


def test_code_that_was_edited_after_the_planning_is_not_stored_as_what_was_planned(cells, tmp_path, mine):
    path, plan = Path(mine.rpartition(":")[0]), plan_of(cells, mine, [12])
    path.write_text(path.read_text().replace("nn.Dropout(0.2)", "nn.Dropout(0.15)"))
    assert run(plan, tmp_path / "store", workers=0).failed == 2
    said = set(read_results([tmp_path / "store"])["error"])
    assert said == {"RuntimeError: the source of mine.py is not the one that was planned: it was edited since; run the same command again, which plans anew"}
    assert run(plan_of(cells, mine, [12]), tmp_path / "store", workers=0).trained == 2


@pytest.mark.parametrize("lost", [1, 3])
def test_what_an_interruption_lost_comes_back_to_the_last_bit(cells, tmp_path, mine, lost):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(plan_of(cells, mine, seeds=3), whole, workers=0)
    plan = plan_of(cells, mine, seeds=3)
    from archrank.eval.groups import make_groups

    make_groups(plan.trials, set(), Store(broken))  # the journal as it is when training starts
    run(plan, broken, workers=0)
    make_groups(plan.trials, set(), Store(broken))
    for key in sorted(Store(broken).keys())[:lost]:
        (broken / "trials" / f"{key}.json").unlink()
        (broken / "predictions" / f"{key}.parquet").unlink()
    summary = run(plan_of(cells, mine, seeds=3), broken, workers=0)
    assert summary.trained == lost and content(broken) == content(whole)


def test_a_journal_that_was_left_open_behind_finished_trials_is_closed(cells, tmp_path, mine):
    store = tmp_path / "store"
    run(plan_of(cells, mine), store, workers=0)
    Store(store).open_journal([item.trial for item in plan_of(cells, mine).trials])
    assert run(plan_of(cells, mine), store, workers=0).trained == 0 and not Store(store).journals()


def test_a_half_written_trial_is_not_taken_for_one(cells, tmp_path):
    store = tmp_path / "store"
    run(plan_of(cells, "path+ridge"), store, workers=0)
    victim = sorted((store / "trials").glob("*.json"))[0]
    victim.write_text(victim.read_text()[:50])
    assert len(read_results([store])) == 3
    again = run(plan_of(cells, "path+ridge"), store, workers=0)
    assert (again.kept, again.trained) == (3, 1) and len(read_results([store])) == 4


def test_failures_are_records_and_the_others_go_on(cells, tmp_path):
    path = tmp_path / "sick.py"
    path.write_text(PLUGIN.replace('"mine"', '"sick"').replace("def forward(self, graphs) -> Tensor:",
                    "def forward(self, graphs) -> Tensor:\n        if self.training and len(graphs.ops) == 12: raise RuntimeError('not with twelve')"))
    store = tmp_path / "store"
    summary = run(plan_of(cells, f"{path}:Mine,path+ridge"), store, workers=0)
    assert (summary.trained, summary.failed) == (6, 2)
    frame = read_results([store])
    assert set(frame["space"]) == {cells.space.name}
    failed = frame[frame["status"] == "failed"]
    assert set(failed["budget"]) == {12} and failed["error"].str.contains("not with twelve").all() and failed["kendall"].isna().all()
    assert run(plan_of(cells, f"{path}:Mine,path+ridge"), store, workers=0).failed == 2
    path.write_text(path.read_text().replace("raise RuntimeError('not with twelve')", "pass"))
    assert run(plan_of(cells, f"{path}:Mine"), store, workers=0).failed == 0


def test_constant_predictions_are_a_failure_not_a_zero(cells, tmp_path):
    path = tmp_path / "dull.py"
    path.write_text("import torch\nfrom archrank import encoding\n@encoding('dull')\ndef dull(graphs, space):\n    return torch.ones(len(graphs), 2)\n")
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
    both.card["metrics"] = {name: {"unit": "%", "direction": "max", "description": "made up"} for name in ("my_val", "my_test")}
    both.card["default_target"] = "my_val"
    store = tmp_path / "store"
    for protocol in ("clean", "tnasp"):
        run(make_plan(parse_list("path+forest"), benchmarks=[both], budgets=[80], seeds=2, protocol=protocol), store, workers=0)
    frame = read_results([store]).groupby("protocol")["kendall"].mean()
    assert frame["clean"] > 0.3 and frame["tnasp"] < -0.3


def test_boosting_is_what_scikit_learn_gives(cells, tmp_path):
    from scipy.stats import kendalltau
    from sklearn.ensemble import GradientBoostingRegressor

    from archrank.datasets import make_split
    from archrank.encoders.path import path
    from archrank.eval.labels import transform

    store = tmp_path / "store"
    run(plan_of(cells, "path+boosting", budgets=[80], seeds=3), store, workers=0)
    ours = read_results([store]).sort_values("seed")["kendall"].to_numpy()
    theirs = []
    for seed in range(3):
        split = make_split(cells, "clean", seed)
        features, scores, rows = path(cells.graphs, cells.space).numpy(), cells.target(), split.train(80)
        model = GradientBoostingRegressor(n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8, random_state=seed)
        model.fit(features[rows], transform(scores[rows], "normal"))
        theirs.append(kendalltau(scores[split.test], model.predict(features[split.test])).statistic)
    assert abs(np.mean(ours) - np.mean(theirs)) < 0.02


@pytest.mark.data("nasbench201")
def test_boosting_on_the_real_table_is_what_scikit_learn_gives(tmp_path):
    from scipy.stats import kendalltau
    from sklearn.ensemble import GradientBoostingRegressor

    from archrank.datasets import load, make_split
    from archrank.encoders.path import path
    from archrank.eval.labels import transform

    table, store = load("nasbench201"), tmp_path / "store"
    run(make_plan(parse_list("path+boosting"), benchmarks=[table], budgets=[390], seeds=3), store, workers=0)
    theirs = []
    features, scores = path(table.graphs, table.space).numpy(), table.target()
    for seed in range(3):
        split = make_split(table, "clean", seed)
        rows = split.train(390)
        model = GradientBoostingRegressor(n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8, random_state=seed)
        model.fit(features[rows], transform(scores[rows], "normal"))
        theirs.append(kendalltau(scores[split.test], model.predict(features[split.test])).statistic)
    assert abs(read_results([store])["kendall"].mean() - np.mean(theirs)) < 0.02


@pytest.mark.parametrize(
    "body, said",
    [
        ("def broken(:", "line 1"),
        ("import nothing_of_that_name\nclass E: pass", "No module named 'nothing_of_that_name'"),
        ("from torch import nn\nclass E(nn.Module):\n    def __init__(self, space): super().__init__()\n    def forward(self, g): return g.ops.float().sum(1)",
         r"forward must give \[B, dim\]"),
        ("from archrank import encoding\n@encoding('E')\ndef E(graphs, space):\n    return {}['missing']", r"on synthetic0 \(.*line 4\): KeyError"),
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
    from archrank.encoders.layers.complexity import cost

    table = cells.subset(range(len(cells)))
    secret = np.random.default_rng(0).permutation(len(table)).astype(float)
    table.scores = table.scores.assign(parameters=secret)
    table.card["metrics"] = table.card["metrics"] | {"parameters": {"unit": "", "direction": "min", "description": "made up"}}
    assert np.array_equal(cost(with_costs(table), table.space, "parameters").numpy(), secret)
    assert not np.array_equal(cost(with_costs(table, hidden="parameters"), table.space, "parameters").numpy(), secret)
    assert not np.array_equal(cost(table.graphs, table.space, "parameters").numpy(), secret)  # what learned encoders are given, whoever came before
    assert np.array_equal(cost(with_costs(table), table.space, "parameters").numpy(), secret)


def test_prediction_of_a_fixed_encoding_counts_the_encoding(cells, tmp_path):
    path = tmp_path / "slow.py"
    path.write_text("import time, torch\nfrom archrank import encoding\n@encoding('slow')\ndef slow(graphs, space):\n    time.sleep(0.4)\n"
                    "    return graphs.ops.double()\n")
    run(plan_of(cells, f"{path}:slow+ridge", [12], 1), tmp_path / "store", workers=0)
    row = read_results([tmp_path / "store"]).iloc[0]
    assert row["predict_s"] >= 0.4 * row["test"] / len(cells) and row["architectures_per_s"] <= len(cells) / 0.4


def test_encodings_are_kept_for_the_first_seed_of_a_run(cells, tmp_path):
    plan = plan_of(cells, "path+ridge", [12], [3, 4])
    run(plan, tmp_path / "store", workers=0)
    assert [path.stem for path in (tmp_path / "store" / "encodings").iterdir()] == [plan.trials[0].trial.key]


def test_what_filled_the_memory_is_gone_when_members_are_tried_alone(cells, tmp_path, mine, monkeypatch):
    from archrank.eval import execute

    kept, whole = [], execute._outcomes

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

    monkeypatch.setattr(execute, "_outcomes", full)
    assert run(plan_of(cells, mine, [12]), tmp_path / "store", workers=0).trained == 2 and kept


def test_damaged_files_are_named(cells, tmp_path):
    store = tmp_path / "store"
    run(plan_of(cells, "path+ridge"), store, workers=0)
    first, second = sorted(Store(store).keys())[:2]
    (store / "trials" / f"{first}.json").write_text("{}")
    (store / "predictions" / f"{second}.parquet").write_text("x")
    assert unreadable([store], read_trials([store])) == [store / "trials" / f"{first}.json"]
    with pytest.raises(ArchrankError, match="is damaged .*delete it and repeat the run") as refused:
        read_table(store, "predictions", second)
    assert "\n" not in str(refused.value)


def test_a_trial_without_its_predictions_is_trained_again(cells, tmp_path):
    store = tmp_path / "store"
    run(plan_of(cells, "path+ridge"), store, workers=0)
    sorted((store / "predictions").iterdir())[0].unlink()
    assert run(plan_of(cells, "path+ridge"), store, workers=0).trained == 1 and len(list((store / "predictions").iterdir())) == 4


def test_a_record_says_whether_it_was_compiled_not_whether_that_was_asked_for(cells, tmp_path, mine, monkeypatch):
    from archrank.cli.run import _not_compiled
    from archrank.eval import training
    from archrank.eval.update import Update

    plan = plan_of(cells, mine, [12], 1)
    for said in ("not compiled: no compiler", "compiled: 3 programs"):
        monkeypatch.setattr(training, "compiled_update", lambda *given, said=said: (Update(*given[:3]), said))
        store = Store(tmp_path / said[:3])
        run(plan, store.folder, workers=0, compiled=True)
        assert store.read(plan.trials[0].trial.key)["provenance"]["compiled"] == said.startswith("compiled")
        assert _not_compiled(plan, store) == ({("mine", "no compiler")} if said.startswith("not") else set())


def test_one_name_stands_for_a_list_of_one(tmp_path):
    import archrank

    found = archrank.run("path+ridge", benchmarks="digits101", budgets=20, seeds=1, targets="test_accuracy", store=tmp_path / "store", workers=0)
    assert len(found.frame) == 1


def test_kill_at_random_moments_then_resume(tmp_path, mine):
    """kill -9 of the run and its workers, five times; what comes out in the end equals an uninterrupted run, bit for bit."""
    data = tmp_path / "data"
    bench = synthetic(200, seed=3)
    frame = bench.scores.assign(arch=bench.arch, ops=[o[m].tolist() for o, m in zip(bench.ops, bench.mask)],
                                edges=[np.argwhere(a).reshape(-1).tolist() for a in bench.adj])
    write_benchmark(data, frame, bench.card)

    def start(store):
        command = [sys.executable, "-m", "archrank", "run", "-b", bench.name, "-e", f"{mine},path+boosting", "--budgets", "12,20", "--seeds", "2",
                   "--store", str(store), "--workers", "2"]
        env = dict(os.environ, ARCHRANK_DATA=str(data), OMP_NUM_THREADS="1")
        return subprocess.Popen(command, env=env, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path)

    whole = start(tmp_path / "whole")
    began = time.monotonic()
    said, _ = whole.communicate(timeout=900)
    took = time.monotonic() - began
    assert whole.returncode == 0, said.decode()
    rng = random.Random(7)
    for _ in range(5):
        broken = start(tmp_path / "broken")
        try:
            broken.wait(timeout=rng.uniform(0.2, 0.9) * took)
        except subprocess.TimeoutExpired:
            broken.send_signal(signal.SIGKILL)
            broken.wait()
        broken.stdout.close()
    last = start(tmp_path / "broken")
    said, _ = last.communicate(timeout=900)
    assert last.returncode == 0, said.decode()
    assert b"8 kept" in start(tmp_path / "broken").communicate(timeout=900)[0]
    assert content(tmp_path / "broken") == content(tmp_path / "whole")
    assert list((tmp_path / "broken" / "ensembles").iterdir()) == []
