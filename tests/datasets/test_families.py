"""Every encoder of the smoke suite on the releases that are not at hand: trained, or left out before training with a
reason."""

from dataclasses import replace

import pytest

from archrank.datasets import load
from archrank.eval.engine.recipes import variant
from archrank.eval.runners.run import run
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.suite import read_suite
from archrank.eval.trials.trial import make_plan
from tests.datasets import made

BENCHMARKS = ("deepnets1m", "nnlqp", "nasbench_asr", "natsbench_size")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("made")
    made.make(folder / "data", 28, 130)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHRANK_DATA", str(folder / "data"))
        patch.setenv("ARCHRANK_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        tables = [load(name) for name in BENCHMARKS]
    suite = read_suite("smoke")
    return make_plan(parse_list(suite.encoders), benchmarks=tables, budgets=[12], seeds=1, recipe="quick")


def test_what_an_encoder_cannot_hold_is_left_out_before_training(plan):
    left_out = dict(plan.left_out)
    assert {what.split("[")[0].split("+")[0] + " on " + what.rpartition(" on ")[2] for what in left_out} == {
        "canonical_path on deepnets1m",
        "cate on deepnets1m",
        "canonical_path on natsbench_size",
    }
    assert all("\n" not in why for why in left_out.values())
    assert len(plan.trials) == len(BENCHMARKS) * 8 - len(left_out)


def test_everything_else_trains(plan, tmp_path):
    plan = replace(plan, trials=[replace(item, recipe=variant("quick", updates=2)) for item in plan.trials])
    summary = run(plan, tmp_path, workers=0)
    store = Store(tmp_path)
    failed = {
        f"{record.label} on {record.trial.benchmark}": record.error.message
        for item in plan.trials
        if (record := store.read(item.trial.key)).status == "failed"
    }
    assert not failed and summary.trained == len(plan.trials)
