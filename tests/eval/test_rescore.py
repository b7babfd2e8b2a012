"""Metrics computed from stored predictions: the same values as training would have stored, in the unit of the target
where they need it."""

import numpy as np
import pytest

from archrank.datasets import make_split
from archrank.eval.engine.labels import transform
from archrank.eval.metrics import METRICS, score
from archrank.eval.trials.records import TestSet, TrialRecord
from archrank.eval.trials.rescore import with_metrics
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Trial


def stored(folder, benchmark, target, labels="standard", loss="mse", off=1.1):
    """A stored trial that predicts `off` times the true score, as a network trained on such labels gives it; its
    record, rows and true scores."""
    split = make_split(benchmark, "clean", 0, target)
    rows, direction = split.train(20), benchmark.direction(target)
    sign = 1.0 if direction == "max" else -1.0
    scores = benchmark.target(target)
    trained = transform(scores[rows], labels, direction, benchmark.unit(target))
    low, high = np.argmin(trained), np.argmax(trained)
    slope = (trained[high] - trained[low]) / (sign * (scores[rows][high] - scores[rows][low]))
    predictions = trained[low] + slope * sign * (off * scores[split.test] - scores[rows][low])
    trial = Trial(
        "gcn", {}, "linear", "s", benchmark.name, benchmark.content_hash, target, "clean", 20, split.digest, 0, "paper"
    )
    record = TrialRecord(
        key=trial.key,
        status="done",
        trial=trial,
        label="gcn",
        test=TestSet(architectures=len(split.test)),
        recipe={"name": "paper", "labels": labels, "loss": loss},
    )
    Store(folder).write(record, split.test, predictions)
    return Store(folder).load(record.key), scores[split.test], predictions


def computed(folder, record, benchmark, *names):
    (found,), why = with_metrics([record], {record.key: folder}, names, lambda name: benchmark)
    return found.metrics, why


@pytest.mark.parametrize("target", ["quality", "cost"])
@pytest.mark.parametrize("labels", ["raw", "standard", "unit"])
def test_relative_errors_are_in_the_unit_of_the_target(cells, tmp_path, target, labels):
    record, _, _ = stored(tmp_path, cells, target, labels)
    values, why = computed(tmp_path, record, cells, "mape", "acc@10%")
    assert not why and values["mape"] == pytest.approx(0.1, rel=1e-6)
    near, _, _ = stored(tmp_path / "near", cells, target, labels, off=1.05)
    assert computed(tmp_path / "near", near, cells, "acc@10%")[0]["acc@10%"] == 1.0


def test_a_metric_that_was_added_later_is_that_of_the_predictions(cells, tmp_path):
    record, true, predictions = stored(tmp_path, cells, "cost", "normal", "hinge")
    names = [name for name, metric in METRICS.items() if metric.from_order]
    values, why = computed(tmp_path, record, cells, *names)
    expected = score(true, predictions, cells.direction("cost"), names)
    assert not why and {name: values[name] for name in names} == pytest.approx(expected)
    # What is stored is never computed again.
    kept = record.model_copy(update={"metrics": {"kendall": 0.125}})
    assert computed(tmp_path, kept, cells, "kendall")[0] == {"kendall": 0.125}


def test_a_learned_order_of_a_cost_takes_the_quantiles_of_the_labels_it_was_trained_on(cells, tmp_path):
    record, true, predictions = stored(tmp_path, cells, "cost", "normal", "hinge")
    values, why = computed(tmp_path, record, cells, "mape", "acc@10%")
    trained = cells.target("cost")[make_split(cells, "clean", 0, "cost").train(20)]
    place = (predictions[:, None] < predictions).sum(1) + ((predictions[:, None] == predictions).sum(1) - 1) / 2
    expected = np.quantile(trained, (place + 0.5) / len(true), method="hazen")  # the best prediction: the least cost
    assert not why and values["mape"] == pytest.approx(np.mean(np.abs(expected - true) / true))
    assert 0 < values["mape"] < np.mean(np.abs(trained.mean() - true) / true)


@pytest.mark.parametrize(("labels", "loss"), [("normal", "mse"), ("raw", "hinge")])
def test_an_order_has_no_relative_error(cells, tmp_path, labels, loss):
    record, _, _ = stored(tmp_path, cells, "quality", labels, loss)
    values, why = computed(tmp_path, record, cells, "mape")
    assert (
        values == {}
        and len(why) == 1
        and why[0].startswith("no mape for gcn: it needs predictions in the unit of the target")
    )


def test_what_cannot_be_computed_says_why(cells, tmp_path):
    record, _, _ = stored(tmp_path, cells, "quality")
    assert "another" not in computed(tmp_path, record, cells, "kendall")[1]
    (same,), why = with_metrics([record], {record.key: tmp_path}, ["kendall"], lambda name: "the table is elsewhere")
    assert same == record and why == ["no kendall for gcn: the table is elsewhere"]
    assert "is not the one it was trained on" in computed(tmp_path, record, cells.subset(range(300)), "kendall")[1][0]
    assert "with no intervals" in computed(tmp_path, record, cells, "coverage@90%")[1][0]
    Store(tmp_path).path(record.key, "predictions").unlink()
    assert "its predictions are not stored" in computed(tmp_path, record, cells, "kendall")[1][0]
