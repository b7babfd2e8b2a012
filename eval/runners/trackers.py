"""Experiment trackers that a run may tell of every trial: MLflow, Weights & Biases, TensorBoard.

The store stays what counts; a tracker that fails is left out for the rest of the run. Their packages are extras,
imported when one is asked for.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from archrank.datasets.errors import ArchrankError, ArchrankWarning, one_line, unknown
from archrank.eval.runners.run import ProgressCallback
from archrank.eval.trials.groups import TrialGroup
from archrank.eval.trials.records import TrialRecord
from archrank.eval.trials.store import Store

__all__ = ["TRACKERS", "Tracked", "tracked"]

PROJECT = "archrank"
Log = Callable[[TrialRecord], None]


def _named(record: TrialRecord) -> str:
    trial = record.trial
    return f"{record.label} {trial.benchmark}/{trial.target} {trial.budget} labels seed {trial.seed}"


def _parameters(record: TrialRecord) -> dict[str, object]:
    trial = record.trial
    options = {f"option.{name}": str(value) for name, value in trial.config.items()}
    return {
        "predictor": record.label,
        "encoder": trial.encoder,
        "head": trial.head,
        "benchmark": trial.benchmark,
        "target": trial.target,
        "protocol": trial.protocol,
        "recipe": trial.recipe,
        "budget": trial.budget,
        "seed": trial.seed,
        "key": record.key,
    } | options


def _values(record: TrialRecord) -> dict[str, float]:
    """Metrics and seconds by names that every tracker takes: letters, digits, `_` and `.`."""
    named = {f"metric.{name.replace('@', '_at_').replace('%', '_percent')}": v for name, v in record.metrics.items()}
    timed = {"fit_s": record.timings.fit_s, "predict_s": record.timings.predict_s}
    return {name: float(v) for name, v in (named | timed).items() if v is not None and math.isfinite(v)}


def _mlflow(module: Any, store: Path) -> Log:
    module.set_experiment(PROJECT)

    def log(record: TrialRecord) -> None:
        with module.start_run(run_name=_named(record)):
            module.set_tags({"archrank.status": record.status, "archrank.store": str(store)})
            module.log_params(_parameters(record))
            module.log_metrics(_values(record))

    return log


def _wandb(module: Any, store: Path) -> Log:
    def log(record: TrialRecord) -> None:
        run = module.init(
            project=PROJECT,
            name=_named(record),
            group=record.label,
            config=_parameters(record),
            settings=module.Settings(silent=True),  # else thirty lines on each trial
        )
        try:
            run.log(_values(record))
            run.summary["status"] = record.status
        finally:
            run.finish()

    return log


def _tensorboard(module: Any, store: Path) -> Log:
    def log(record: TrialRecord) -> None:
        trial = record.trial
        folder = store / "tensorboard" / record.key[:16]
        with module.SummaryWriter(str(folder)) as writer:
            for name, value in _values(record).items():
                writer.add_scalar(f"{trial.benchmark}/{trial.target}/{name}", value, trial.budget)
            writer.add_hparams(_parameters(record), _values(record), run_name=".")

    return log


TRACKERS: Mapping[str, tuple[str, Callable[[Any, Path], Log]]] = {
    "mlflow": ("mlflow", _mlflow),
    "wandb": ("wandb", _wandb),
    "tensorboard": ("torch.utils.tensorboard", _tensorboard),
}
"""Name -> the module it takes, and what makes a function that logs a trial."""


class Tracked(ProgressCallback):
    """A callback that tells trackers of every stored trial, and passes everything on to another callback.

    Args:
        inner: the callback that shows how the run goes.
        store: folder of results.
        logs: name of a tracker -> its function.
    """

    def __init__(self, inner: ProgressCallback, store: Path, logs: Mapping[str, Log]) -> None:
        self.inner, self.store, self.logs = inner, Store(store), dict(logs)

    def begin(self, planned: int, stored: int, groups: list[TrialGroup]) -> None:
        """Passed on."""
        self.inner.begin(planned, stored, groups)

    def on_event(self, number: int, event: str, value: Any) -> None:
        """Passed on; a stored trial is logged."""
        self.inner.on_event(number, event, value)
        if event == "stored" and self.logs and (record := self.store.read(value[0])) is not None:
            for name, log in list(self.logs.items()):
                try:
                    log(record)
                except Exception as error:
                    del self.logs[name]
                    warnings.warn(
                        f"--log {name} stopped: {one_line(error)}; the run goes on", ArchrankWarning, stacklevel=2
                    )

    def end(self) -> None:
        """Passed on."""
        self.inner.end()


def tracked(names: Sequence[str], store: Path | str, inner: ProgressCallback | None = None) -> ProgressCallback:
    """A callback that logs every trial of a run with these trackers, and passes everything on to `inner`.

    Raises:
        ArchrankError: an unknown tracker, one whose package is not installed, or one that does not start.
    """
    logs: dict[str, Log] = {}
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, sorted(TRACKERS))
        module, make = TRACKERS[name]
        try:
            logs[name] = make(import_module(module), Path(store))
        except ImportError as error:
            raise ArchrankError(f"--log {name}: {one_line(error)}; pip install 'archrank[{name}]'") from None
        except Exception as error:  # a tracker's own: a server that is not there, a database without its driver
            raise ArchrankError(f"--log {name}: it does not start: {one_line(error)}") from None
    callback = inner or ProgressCallback()
    return Tracked(callback, Path(store), logs) if logs else callback
