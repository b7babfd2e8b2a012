"""Which settings are compared: missing results, refusals, repeated rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from archrank.eval.statistics import (
    ComparisonError,
    bootstrap,
    compare,
    coverage,
    leaderboard,
)
from tests.eval.made_trials import trials


def test_missing_results_are_named_and_aggregates_taken_over_what_all_have():
    frame = trials(budgets=(20, 78))
    frame.loc[(frame["label"] == "gcn") & (frame["seed"] == 1) & (frame["budget"] == 78), "status"] = "failed"
    frame.loc[(frame["label"] == "path") & (frame["seed"] == 2) & (frame["budget"] == 20), "kendall"] = np.nan
    frame = frame[~((frame["label"] == "tree") & (frame["seed"] == 3))]
    covered = coverage(frame)
    assert (covered.expected, covered.shared) == (10, 6)
    holes = covered.missing.set_index("label")["state"].groupby("label").apply(sorted).to_dict()
    assert holes == {"gcn": ["failed"], "path": ["undefined"], "tree": ["missing", "missing"]}
    assert covered.sentence() == (
        "Mean over 6 of 10 settings (benchmark, target, budget, seed), those present for all 4 predictors; "
        "results missing: gcn 1 failed, path 1 undefined, tree 2 missing."
    )
    assert covered.matrix.loc["tree"].tolist() == [4, 4]
    result = bootstrap(frame)
    assert result.settings == 6 and covered.sentence() in result.notes
    seeds = {20: [0, 1, 4], 78: [0, 2, 4]}
    own = frame[frame["label"] == "flow"]
    mean = np.mean([own[(own["budget"] == b) & own["seed"].isin(s)]["kendall"].mean() for b, s in seeds.items()])
    assert result.value("flow").estimate == pytest.approx(mean)


def test_removing_a_label_recomputes_instead_of_filtering():
    frame = trials(budgets=(20, 78))
    frame = frame[~((frame["label"] == "tree") & (frame["seed"] > 1))]
    assert coverage(frame).shared == 4
    without = leaderboard(frame, labels=["path", "gcn", "flow"])
    assert without["settings"].tolist() == [10, 10, 10]
    assert without["rank"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(without, leaderboard(frame[frame["label"] != "tree"]))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda f: f.drop(columns="seed"), "no column 'seed'"),
        (lambda f: f.iloc[:0], "no results"),
        (lambda f: f.assign(protocol=["clean", "gates"] * (len(f) // 2)), "protocols clean, gates"),
        (lambda f: f.assign(recipe=["common", "paper"] * (len(f) // 2)), "recipes common, paper"),
        (lambda f: f.assign(split=f["split"] + f["label"]), "different splits for nasbench201/c10, budget 78, seed 0"),
        (lambda f: f.assign(test=range(len(f))), "different numbers of test architectures"),
        (lambda f: pd.concat([f, f.assign(kendall=f["kendall"] / 2)]), "2 different results for nasbench201/c10"),
        (lambda f: f[(f["seed"] == 0) == (f["label"] == "gcn")], "no setting .* from every one of: flow, gcn"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(spoil, message):
    with pytest.raises(ComparisonError, match=message) as caught:
        bootstrap(spoil(trials()))
    assert "\n" not in str(caught.value)


def test_unknown_labels_and_columns_are_refused():
    with pytest.raises(ComparisonError, match="no results for 'gnc'"):
        bootstrap(trials(), labels=["gnc", "path"])
    with pytest.raises(ComparisonError, match="not a known metric"):
        bootstrap(trials(), "fit_s")
    with pytest.raises(ComparisonError, match="with itself"):
        compare(trials(), "gcn", "gcn")
    with pytest.raises(ComparisonError, match="has no mean over"):
        bootstrap(trials(targets=("c10", "latency")), "regret@1")


def test_a_repeated_row_and_a_failure_beside_a_success_are_harmless():
    frame = trials()
    again = pd.concat([frame, frame.iloc[:3], frame.iloc[3:6].assign(status="failed", kendall=np.nan)])
    pd.testing.assert_frame_equal(leaderboard(again), leaderboard(frame))
