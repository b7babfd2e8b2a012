import json

import pandas as pd
import pytest

from archrank.datasets import PROTOCOLS
from archrank.datasets.errors import ArchrankError
from archrank.encoders import catalog
from archrank.eval.metrics import METRICS
from archrank.reports import published as table
from archrank.reports import reproduce

ROW = {
    "paper": "Paper (2020)",
    "encoder": "GIN",
    "label": "gin",
    "benchmark": "digits101",
    "protocol": "gates",
    "target": "test_accuracy",
    "as_published": "digits; gates",
    "budget": 20,
    "metric": "kendall",
    "value": 0.5,
    "std": float("nan"),
    "source": "its table 1",
    "confidence": "primary",
    "remark": "",
}


def rows_of(*changes):
    return pd.DataFrame([ROW | change for change in changes])


@pytest.fixture
def known(monkeypatch):
    """Published values as a test wants them, on every path that reads them."""

    def set_to(*changes):
        frame = rows_of(*changes)
        monkeypatch.setattr(table, "published", lambda: frame)
        monkeypatch.setattr(reproduce, "published", lambda: frame)

    return set_to


def test_the_shipped_values_name_things_that_exist_and_say_where_they_are_from():
    rows = table.published()
    assert (
        set(rows["confidence"]) == {"primary", "secondary"}
        and rows["source"].ne("").all()
        and rows["value"].between(-1, 1).all()
    )
    assert (
        set(rows["label"]) - {""} <= set(catalog.known())
        and set(rows["protocol"]) - {""} <= set(PROTOCOLS)
        and set(rows["metric"]) <= set(METRICS)
    )
    # A value from somebody else's note, or one that nothing may stand beside, never goes without a remark.
    assert rows.loc[(rows["confidence"] == "secondary") | (rows["protocol"] == ""), "remark"].ne("").all()
    assert rows.loc[rows["protocol"] != "", ["benchmark", "target"]].ne("").all(axis=None)
    assert not rows.duplicated(["paper", "encoder", "as_published", "budget", "metric"]).any()


def test_marks_in_a_figure_are_from_primary_sources_only(known):
    known({}, {"confidence": "secondary", "value": 0.9}, {"target": "other"}, {"metric": "spearman"})
    assert table.matching("digits101", "gates", "test_accuracy")["value"].tolist() == [0.5]


def test_what_cannot_be_compared_says_why(known, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHRANK_DATA", "")
    monkeypatch.setenv("ARCHRANK_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    known(
        {},
        {"budget": 78},
        {"protocol": "", "remark": "nobody knows the split"},
        {"budget": None},
        {"metric": "mae"},
        {"benchmark": "nasbench201", "target": "cifar10_val"},
        {"benchmark": "ecnas_4v9e"},
    )
    actual = reproduce.claims("gin", benchmarks=["digits101", "nasbench201"], budgets=[20])
    reasons = [claim.reason for claim in actual]
    assert reasons[:5] == [
        "",
        "this budget was not asked for",
        "nobody knows the split",
        "the number of labels is not stated",
        "archrank does not measure mae",
    ]
    assert "put nasbench201/" in reasons[5] and reasons[6] == "this benchmark was not asked for"
    assert reproduce.tasks(actual) == [reproduce.ClaimedRun("digits101", "gates", "test_accuracy", (20,))]
    with pytest.raises(ArchrankError, match="no published value of path is known"):
        reproduce.claims("path")


def trials(taus, **changes):
    row = {
        "label": "gin",
        "status": "done",
        "space": "nasbench101",
        "benchmark": "digits101",
        "target": "test_accuracy",
        "protocol": "gates",
        "recipe": "paper",
        "budget": 20,
    }
    return pd.DataFrame(
        [row | {"seed": seed, "split": f"s{seed}", "kendall": tau} | changes for seed, tau in enumerate(taus)]
    )


def test_only_the_same_cell_is_compared_and_the_interval_decides(known):
    known({}, {"value": 0.9}, {"budget": 78})
    frame = pd.concat(
        [trials([0.45, 0.5, 0.58]), trials([0.9, 0.9, 0.91], protocol="clean"), trials([0.1, 0.2, 0.3], budget=40)],
        ignore_index=True,
    )
    near, far = reproduce.outcomes(reproduce.claims("gin"), frame)
    assert near.ours.estimate == pytest.approx(0.51) and near.seeds == 3
    assert (near.inside, far.inside) == (True, False)
    alone, _ = reproduce.outcomes(reproduce.claims("gin"), trials([0.5]))
    assert alone.inside is None


def test_the_command_trains_by_the_papers_recipe_and_prints_both(known, monkeypatch, tmp_path, capsys):
    from archrank.cli import main
    from archrank.encoders.gnn.gin import GIN
    from archrank.eval.trials.results import read_results

    recipe = GIN.paper_recipe
    monkeypatch.setattr(GIN, "paper_recipe", staticmethod(lambda space: recipe(space) | {"epochs": 2}))
    monkeypatch.setattr(GIN, "paper_config", staticmethod(lambda space: {"dim": 8, "layers": 1}))
    known({"value": 0.99, "remark": "made up"}, {"budget": 12}, {"protocol": "", "remark": "nobody knows the split"})
    words = [
        "reproduce",
        "gin",
        "--budgets",
        "20",
        "--seeds",
        "2",
        "--workers",
        "0",
        "--device",
        "cpu",
        "--store",
        str(tmp_path),
    ]

    def said(*more):
        with pytest.raises(SystemExit) as stopped:
            main([*words, *more])
        assert stopped.value.code == 0
        return capsys.readouterr().out

    with pytest.raises(SystemExit):
        main([*words, "--dry-run", "--device", "gpu"])
    assert "unknown device 'gpu'" in capsys.readouterr().err
    before = said("--dry-run")
    assert "not comparable because nobody knows the split: 0.5 at 20 labels" in before
    assert (
        "protocol gates, recipe paper, 20 labels, 2 seeds: 2 of 2 trials to train, roughly" in before
        and not (tmp_path / "trials").exists()
    )
    after = said()
    frame = read_results([tmp_path])
    assert set(frame["recipe"]) == {"paper"} and set(frame["protocol"]) == {"gates"} and len(frame) == 2
    assert "0.99" in after and "made up" in after and "of 1 published values lie in the interval of our mean" in after
    assert "all 2 trials are stored" in said()
    for path in (tmp_path / "trials").glob("*.json"):
        path.unlink()
    answer = json.loads(said("--json"))  # trains again, and prints nothing but the document
    assert [one["inside"] for one in answer["compared"]] == [False] and answer["compared"][0]["published"][
        "std"
    ] is None
    assert json.loads(said("--json", "--dry-run"))["compared"] == []
