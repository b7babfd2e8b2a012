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


def test_mlflow_itself_keeps_what_it_is_told(stored, tmp_path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # which takes no second; a database is made in eight
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    tracked(["mlflow"], tmp_path).on_event(0, "stored", (stored, "done"))
    (run,) = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name("archrank").experiment_id])
    assert run.info.status == "FINISHED" and run.data.tags["archrank.status"] == "done"
    assert run.data.params["key"] == stored and run.data.params["option.layers"] == "2"
    assert run.data.metrics["metric.kendall"] == 0.5


def test_tensorboard_itself_keeps_what_it_is_told(stored, tmp_path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracked(["tensorboard"], tmp_path).on_event(0, "stored", (stored, "done"))
    kept = EventAccumulator(str(tmp_path / "tensorboard" / stored[:16])).Reload()
    (point,) = kept.Scalars("b/acc/metric.kendall")
    assert (point.step, point.value) == (78, 0.5) and kept.PluginTagToContent("hparams")


def test_wandb_itself_keeps_what_it_is_told_and_prints_nothing(stored, tmp_path, monkeypatch, capfd) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    tracked(["wandb"], tmp_path).on_event(0, "stored", (stored, "done"))
    (run,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert all(text in run.read_bytes() for text in (b"metric.kendall", stored.encode(), b"gcn[layers=2] b/acc"))
    assert capfd.readouterr() == ("", "")


def test_a_tracker_that_does_not_start_is_one_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(set_experiment=lambda _: 1 / 0))
    with pytest.raises(ArchrankError, match=r"--log mlflow: it does not start: .*division"):
        tracked(["mlflow"], tmp_path)


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
