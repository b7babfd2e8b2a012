"""Metrics computed from stored predictions: one added after a trial was trained, or one that is not computed by
default. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from archrank.datasets import Benchmark, make_split
from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.labels import transform
from archrank.eval.metrics import METRICS
from archrank.eval.trials.files import Floats
from archrank.eval.trials.records import Damaged, TrialRecord
from archrank.eval.trials.store import Store

__all__ = ["with_metrics"]

AFFINE = ("raw", "standard", "unit")
"""Label transforms that keep ratios of differences, so that a prediction can be turned back into the target's unit."""
REGRESSION = ("mse", "l1")
"""Losses that predict the labels themselves; all others predict an order alone."""


def with_metrics(
    records: Iterable[TrialRecord],
    store_of: Mapping[str, Path],
    names: Iterable[str],
    table: Callable[[str], Benchmark | str],
) -> tuple[list[TrialRecord], list[str]]:
    """The trials with the named metrics, computed from their predictions where they are not stored; and why some have
    them not.

    Args:
        records: trials, done or failed.
        store_of: key -> the store that holds the trial's predictions.
        names: metrics out of `METRICS`.
        table: a benchmark's table by name, or the reason why it is not available.

    Returns:
        The trials in their order, and a sentence for each metric and reason. A metric that cannot be computed stays
        absent.
    """
    names, out, why = list(names), [], dict[tuple[str, str], set[str]]()
    for record in records:
        missing = [name for name in names if name not in record.metrics] if record.status == "done" else []
        computed: dict[str, float | None] = {}
        for name in missing:
            try:
                computed[name] = _computed(record, name, Store(store_of[record.key]), table)
            except ArchrankError as error:
                why.setdefault((name, str(error)), set()).add(record.label)
        out.append(record.model_copy(update={"metrics": {**record.metrics, **computed}}) if computed else record)
    return out, [
        f"no {name} for {', '.join(sorted(labels))}: {reason}" for (name, reason), labels in sorted(why.items())
    ]


def _computed(record: TrialRecord, name: str, store: Store, table: Callable[[str], Benchmark | str]) -> float | None:
    """One metric of one trial; None where it is undefined. ArchrankError, one line, where it cannot be computed."""
    trial, metric = record.trial, METRICS[name]
    if metric.intervals:
        raise ArchrankError("it was stored with no intervals: its predictor has none, or an earlier version trained it")
    benchmark = table(trial.benchmark)
    if isinstance(benchmark, str):
        raise ArchrankError(benchmark)
    if benchmark.content_hash != trial.table or trial.target not in benchmark.card.metrics:
        raise ArchrankError(f"the table of {trial.benchmark} available locally is not the one it was trained on")
    regression = record.recipe.get("labels") in AFFINE and record.recipe.get("loss") in REGRESSION
    if metric.in_unit and not regression and benchmark.direction(trial.target) == "max":
        raise ArchrankError(
            "it needs predictions in the unit of the target, which only a regression loss on labels other than ranks gives"
        )
    try:
        index, predictions = store.predictions(record, len(benchmark))
    except Damaged:
        raise ArchrankError("its predictions are not stored") from None
    tested = record.test.target or trial.target
    direction: Any = benchmark.direction(trial.target)
    if metric.in_unit:
        predictions = (_in_unit if regression else _by_quantiles)(record, predictions, benchmark)
    try:
        value = METRICS[name].function(benchmark.target(tested)[index], predictions, direction)
    except ValueError as error:
        raise ArchrankError(str(error)) from None
    return float(value) if np.isfinite(value) else None


def _trained_on(record: TrialRecord, benchmark: Benchmark) -> Floats:
    """The scores [n] that a trial was trained on. ArchrankError where they are not to be had, or of another unit."""
    trial = record.trial
    split = make_split(benchmark, trial.protocol, trial.seed, trial.target)
    if split.digest != trial.split:
        raise ArchrankError("its split cannot be drawn again")
    trained = split.train_target or trial.target
    if benchmark.unit(trained) != benchmark.unit(record.test.target or trial.target):
        raise ArchrankError("it was trained on a score of another unit than it was tested on")
    return benchmark.target(trained)[split.train(trial.budget)]


def _by_quantiles(record: TrialRecord, predictions: Floats, benchmark: Benchmark) -> Floats:
    """Predictions of a cost in its unit, higher = better, where only their order was learned: the architecture at some
    quantile of the predictions is given that quantile of the trial's training scores."""
    from scipy.stats import rankdata

    turned = np.sort(-_trained_on(record, benchmark))
    share = (rankdata(predictions) - 0.5) / len(predictions)
    values: Floats = np.interp(share, (np.arange(len(turned)) + 0.5) / len(turned), turned)
    return values


def _in_unit(record: TrialRecord, predictions: Floats, benchmark: Benchmark) -> Floats:
    """Predictions in the unit of the target, higher = better: the label transform of the trial's training scores,
    turned round."""
    trial, scores = record.trial, _trained_on(record, benchmark)
    direction = benchmark.direction(trial.target)
    labels = transform(scores, str(record.recipe["labels"]), direction, benchmark.unit(trial.target))
    high, low = int(np.argmax(labels)), int(np.argmin(labels))
    if labels[high] == labels[low]:
        raise ArchrankError("its training scores are all equal")
    turned = scores if direction == "max" else -scores
    return (predictions - labels[low]) * (turned[high] - turned[low]) / (labels[high] - labels[low]) + turned[low]
