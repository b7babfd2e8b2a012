"""Trackers: told of every stored trial, never in the way of a run, and named in one line where their package lacks."""

import sys
import types
from pathlib import Path

import pytest

from archrank.datasets.errors import ArchrankError, ArchrankWarning
from archrank.eval.runners.trackers import tracked
from archrank.eval.trials.records import TrialRecord
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Trial


@pytest.fixture
def stored(tmp_path: Path) -> str:
    trial = Trial("gcn", {"layers": 2}, "linear", "s", "b", "t", "acc", "clean", 78, "x", 3, "common")
    record = TrialRecord(
        key=trial.key,
        status="done",
        trial=trial,
        label="gcn[layers=2]",
        metrics={"kendall": 0.5, "p@1%": 0.25, "spearman": None},
    )
    Store(tmp_path).write(record)
    return trial.key


class Recorder:
    """Stands for any of the packages: notes every call on itself and on what its calls give."""

    def __init__(self, calls: list) -> None:
        self.calls, self.summary = calls, {}

    def __getattr__(self, name: str):
        def call(*args, **more):
            self.calls.append((name, args, more))
            return self

        return call

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.calls.append(("exit", (), {}))


@pytest.mark.parametrize(
    ("name", "module", "logs"),
    [
        ("mlflow", "mlflow", "log_metrics"),
        ("wandb", "wandb", "log"),
        ("tensorboard", "torch.utils.tensorboard", "add_hparams"),
    ],
)
def test_every_stored_trial_is_logged_with_its_parameters_and_metrics(
    name, module, logs, stored, tmp_path, monkeypatch
) -> None:
    calls: list = []
    monkeypatch.setitem(sys.modules, module, Recorder(calls))
    callback = tracked([name], tmp_path)
    callback.begin(1, 0, [])
    callback.on_event(0, "progress", 0.5)
    callback.on_event(0, "stored", (stored, "done"))
    callback.end()
    said = [call for call in calls if call[0] == logs]
    assert len(said) == 1
    values = next(arg for arg in reversed(said[0][1]) if isinstance(arg, dict))
    assert (
        values["metric.kendall"] == 0.5 and values["metric.p_at_1_percent"] == 0.25 and "metric.spearman" not in values
    )
    everything = [item for _, args, more in calls for item in (*args, *more.values()) if isinstance(item, dict)]
    assert any(
        item.get("option.layers") == "2" and item.get("budget") == 78 and item.get("key") == stored
        for item in everything
    )


def test_a_tracker_that_fails_is_left_out_and_the_run_goes_on(stored, tmp_path, monkeypatch) -> None:
    broken = types.SimpleNamespace(set_experiment=lambda _: None, start_run=lambda **_: 1 / 0)
    monkeypatch.setitem(sys.modules, "mlflow", broken)
    callback = tracked(["mlflow"], tmp_path)
    with pytest.warns(ArchrankWarning, match="--log mlflow stopped: .*the run goes on"):
        callback.on_event(0, "stored", (stored, "done"))
    callback.on_event(0, "stored", (stored, "done"))


def test_what_is_not_installed_or_unknown_is_one_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ArchrankError, match=r"--log wandb: .*pip install 'archrank\[wandb\]'"):
        tracked(["wandb"], tmp_path)
    with pytest.raises(ArchrankError, match="unknown tracker 'mlfow': did you mean mlflow"):
        tracked(["mlfow"], tmp_path)
