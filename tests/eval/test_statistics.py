"""Bootstrap, coverage, tiers and verdicts: against SciPy where it has an answer, and against their own promises."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from archrank.eval.metrics import tau_standard_error
from archrank.eval.statistics import (
    Comparison,
    ComparisonError,
    Interval,
    bootstrap,
    compare,
    compare_each,
    coverage,
    leaderboard,
    pairs,
    rounded,
    sentence,
    tiers,
    values,
)
from archrank.eval.statistics.tiers import holm, letters

MEANS = {"path": 0.55, "gcn": 0.70, "tree": 0.705, "flow": 0.75}


def trials(spaces=("nasbench201",), targets=("c10",), budgets=(78,), seeds=5, means=MEANS, between=0.0, seed=0):
    random = np.random.default_rng(seed)
    rows = []
    for space, target in itertools.product(spaces, targets):
        offset = {label: between * random.normal() for label in means}
        for s in range(seeds):
            easy = 0.02 * random.normal()
            for budget, (label, mean) in itertools.product(budgets, means.items()):
                tau = mean + offset[label] + easy + 0.01 * random.normal() + 0.05 * math.log(budget / 78)
                rows.append(
                    {"label": label, "status": "done", "space": space, "benchmark": space, "target": target}
                    | {"protocol": "clean", "recipe": "common", "budget": budget, "seed": s, "test": 5000}
                    | {"split": f"{space}-{target}-{budget}-{s}", "kendall": tau, "regret@1": 1 - tau, "fit_s": tau}
                )
    return pd.DataFrame(rows)


def of(frame, label, column="kendall"):
    return frame[frame["label"] == label].sort_values("seed")[column].to_numpy()


# ---------------------------------------------------------------- one space: Student's t on paired splits


def test_one_space_equals_the_paired_t_test():
    frame = trials()
    result = bootstrap(frame)
    for a, b in itertools.combinations(result.labels, 2):
        reference = stats.ttest_rel(of(frame, a), of(frame, b))
        interval, p = result.difference(a, b)
        low, high = reference.confidence_interval(0.95)
        assert (interval.low, interval.high, p) == pytest.approx((low, high, reference.pvalue), rel=1e-9)
        assert (interval.kind, interval.units) == ("splits", 5)
    low, high = stats.ttest_1samp(of(frame, "gcn"), 0).confidence_interval(0.95)
    assert (result.value("gcn").low, result.value("gcn").high) == pytest.approx((low, high), rel=1e-9)
    assert "conditional on nasbench201" in result.notes[0]


def test_pairing_removes_what_an_easy_split_gives_to_both():
    frame = trials()
    result = bootstrap(frame)
    unpaired = math.hypot(result.value("gcn").half_width, result.value("path").half_width)
    assert result.difference("gcn", "path")[0].half_width < 0.7 * unpaired


def test_draws_carry_the_same_intervals_and_the_pairing():
    result = bootstrap(trials(), draws=200_000)
    i, j = result.labels.index("gcn"), result.labels.index("flow")
    exact = result.difference("gcn", "flow")[0]
    low, high = np.quantile(result.draws[:, i] - result.draws[:, j], [0.025, 0.975])
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.02 * exact.half_width)
    assert result.draws.mean(axis=0) == pytest.approx(result.estimate, abs=1e-12)  # mirrored pairs


def test_draws_are_repeatable_and_follow_the_seed():
    frame = trials()
    assert (bootstrap(frame, draws=50).draws == bootstrap(frame, draws=50).draws).all()
    assert not (bootstrap(frame, draws=50).draws == bootstrap(frame, draws=50, seed=1).draws).any()
    assert bootstrap(frame, draws=7).draws.shape == (7, 4)


@settings(max_examples=4, deadline=None)
@given(st.randoms())
def test_order_of_rows_and_names_of_others_do_not_matter(random):
    frame = trials(budgets=(20, 78), seeds=3)
    shuffled = list(range(len(frame)))
    random.shuffle(shuffled)
    pd.testing.assert_frame_equal(leaderboard(frame), leaderboard(frame.iloc[shuffled]))


def test_budgets_and_targets_of_one_space_are_not_more_data():
    frame = trials()
    copies = [frame, frame.assign(target="c100"), frame.assign(budget=390), frame.assign(target="c100", budget=390)]
    same = bootstrap(pd.concat(copies).assign(split=None))
    once = bootstrap(frame)
    assert same.units == once.units == 5
    assert same.difference("flow", "gcn")[1] == pytest.approx(once.difference("flow", "gcn")[1], rel=1e-9)


# ---------------------------------------------------------------- several spaces


def test_spaces_are_the_units_when_there_are_several():
    frame = trials(spaces=("s1", "s2", "s3", "s4"), targets=("x", "y"), budgets=(20, 78), between=0.02)
    result = bootstrap(frame)
    table = frame.groupby(["label", "space"])["kendall"].mean().unstack()
    reference = stats.ttest_rel(table.loc["flow"], table.loc["gcn"])
    interval, p = result.difference("flow", "gcn")
    assert (interval.kind, interval.units) == ("spaces", 4)
    assert p == pytest.approx(reference.pvalue, rel=1e-9)
    assert interval.estimate == pytest.approx(table.loc["flow"].mean() - table.loc["gcn"].mean())


def test_every_space_counts_the_same_however_many_benchmarks_it_has():
    frame = pd.concat([trials(("s1",), ("a", "b", "c")), trials(("s2",), ("a",), seed=1)])
    table = frame.groupby(["label", "space"])["kendall"].mean().unstack()
    assert bootstrap(frame, labels=["gcn"]).estimate[0] == pytest.approx(table.loc["gcn"].mean())


def test_taking_the_spaces_as_given_is_narrower_and_says_so():
    frame = trials(spaces=("s1", "s2", "s3"), between=0.05)
    over, given_ = bootstrap(frame), bootstrap(frame, scope="splits")
    assert given_.difference("flow", "gcn")[0].half_width < over.difference("flow", "gcn")[0].half_width
    assert "conditional on s1, s2, s3" in given_.notes[0]
    assert "3 search spaces" in over.notes[0]
    with pytest.raises(ComparisonError, match="two search spaces"):
        bootstrap(trials(), scope="spaces")


# ---------------------------------------------------------------- few or degenerate data


def test_one_seed_has_taus_own_error_and_no_real_difference():
    frame = trials(seeds=1)
    result = bootstrap(frame)
    value = result.value("flow")
    assert (value.kind, value.units) == ("test size", 1)
    assert value.half_width == pytest.approx(1.96 * tau_standard_error(value.estimate, 5000), rel=1e-3)
    comparison = compare(frame, "flow", "path")  # 0.2 apart: still not real
    assert not comparison.real and math.isnan(comparison.p)
    assert not comparison.difference.covers(0)
    assert set(tiers(result).values()) == {"a"}
    assert "cannot tell what another would give" in sentence(comparison)
    board = leaderboard(frame)
    assert (board["rank_low"] == 1).all() and (board["rank_high"] == 4).all()
    assert board["first"].isna().all() and board["win_low"].isna().all()


def test_one_seed_of_a_metric_without_known_error_has_no_interval():
    frame = trials(seeds=1)
    result = bootstrap(frame, "regret@1")
    assert result.kind == "none" and np.isnan(result.draws).all()
    assert math.isnan(result.value("gcn").low)
    assert rounded(result.value("gcn")).endswith("[no interval]")


def test_seeds_that_share_one_split_do_not_hold_its_sampling_error():
    frame = trials()
    shared = bootstrap(frame.assign(split="one", test=200))
    own = bootstrap(frame.assign(test=200))
    error = tau_standard_error(own.value("gcn").estimate, 200)
    assert shared.value("gcn").half_width > max(own.value("gcn").half_width, 1.96 * error)
    assert any("share one split" in note for note in shared.notes)


def test_several_seeds_on_each_split_are_one_unit_per_split():
    frame = trials(seeds=6)
    grouped = frame.assign(split="split" + (frame["seed"] // 2).astype(str))
    reference = [of(frame, label).reshape(3, 2).mean(axis=1) for label in ("flow", "gcn")]
    assert bootstrap(grouped).difference("flow", "gcn")[1] == pytest.approx(stats.ttest_rel(*reference).pvalue)
    assert bootstrap(grouped).units == 3


def test_a_spread_of_exactly_nothing_is_no_certainty():
    frame = trials(seeds=3)
    frame["kendall"] = frame["label"].map({"path": 0.1, "gcn": 0.2, "tree": 0.3, "flow": 0.3})
    comparison = compare(frame, "gcn", "path")
    assert comparison.difference.kind == "none" and not comparison.real
    assert "every split gives the same difference" in sentence(comparison)
    assert not compare(frame, "tree", "flow").real
    assert set(tiers(bootstrap(frame)).values()) == {"a"}


def test_a_single_seed_in_one_budget_does_not_spoil_the_others():
    frame = trials(budgets=(78, 390))
    partly = frame[(frame["budget"] == 78) | (frame["seed"] == 0)]
    result = bootstrap(partly)
    assert result.budgets == (78,)
    assert any("single common split: nasbench201/c10 at 390" in note for note in result.notes)
    assert result.difference("flow", "gcn") == bootstrap(frame[frame["budget"] == 78]).difference("flow", "gcn")


def test_an_interval_stays_within_the_metrics_bounds():
    frame = trials(seeds=2, means={"a": 0.97, "b": 0.96})
    frame.loc[frame["label"] == "a", "kendall"] = [0.90, 0.99]
    assert bootstrap(frame).value("a").high == 1.0


# ---------------------------------------------------------------- coverage


def test_holes_are_named_and_aggregates_taken_over_what_all_have():
    frame = trials(budgets=(20, 78))
    frame.loc[(frame["label"] == "gcn") & (frame["seed"] == 1) & (frame["budget"] == 78), "status"] = "failed"
    frame.loc[(frame["label"] == "path") & (frame["seed"] == 2) & (frame["budget"] == 20), "kendall"] = np.nan
    frame = frame[~((frame["label"] == "tree") & (frame["seed"] == 3))]
    covered = coverage(frame)
    assert (covered.expected, covered.shared) == (10, 6)
    holes = covered.holes.set_index("label")["state"].groupby("label").apply(sorted).to_dict()
    assert holes == {"gcn": ["failed"], "path": ["undefined"], "tree": ["missing", "missing"]}
    assert covered.sentence() == (
        "Taken over the 6 of 10 cells that all 4 encoders have; holes: gcn 1 failed, path 1 undefined, tree 2 missing."
    )
    assert covered.matrix.loc["tree"].tolist() == [4, 4]
    result = bootstrap(frame)
    assert result.cells == 6 and covered.sentence() in result.notes
    seeds = {20: [0, 1, 4], 78: [0, 2, 4]}
    own = frame[frame["label"] == "flow"]
    mean = np.mean([own[(own["budget"] == b) & own["seed"].isin(s)]["kendall"].mean() for b, s in seeds.items()])
    assert result.value("flow").estimate == pytest.approx(mean)


def test_removing_a_label_recomputes_instead_of_filtering():
    frame = trials(budgets=(20, 78))
    frame = frame[~((frame["label"] == "tree") & (frame["seed"] > 1))]
    assert coverage(frame).shared == 4
    without = leaderboard(frame, labels=["path", "gcn", "flow"])
    assert without["cells"].tolist() == [10, 10, 10]
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
        (lambda f: f[(f["seed"] == 0) == (f["label"] == "gcn")], "no cell .* from every one of: flow, gcn"),
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


# ---------------------------------------------------------------- tiers, ranks, wins


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.data())
def test_labels_share_a_letter_if_and_only_if_they_are_not_separable(n, data):
    relation = np.zeros((n, n), dtype=bool)
    for i, j in itertools.combinations(range(n), 2):
        relation[i, j] = relation[j, i] = data.draw(st.booleans())
    marks = letters(relation)
    assert all(marks) and marks[0][0] == "a"
    for i, j in itertools.combinations(range(n), 2):
        assert bool(set(marks[i]) & set(marks[j])) == (not relation[i, j])


def test_holm():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm(np.array([0.02, np.nan]))
    assert adjusted[0] == pytest.approx(0.04) and math.isnan(adjusted[1])
    assert holm(np.array([])).size == 0


def test_leaderboard_tiers_and_pairs_tell_one_story():
    frame = trials(budgets=(20, 78), seeds=8)
    board = leaderboard(frame).set_index("label")
    assert board.index.tolist()[0] == "flow" and board.index.tolist()[-1] == "path"
    for one in pairs(frame):
        apart = not set(board.loc[one.a, "tier"]) & set(board.loc[one.b, "tier"])
        assert apart == one.real
        assert one.difference.estimate >= 0 and one.p_adjusted >= one.p
        if one.real:
            assert one.winner == one.a and not one.difference.covers(0)
            assert board.loc[one.a, "rank_high"] < 4 and board.loc[one.b, "rank_low"] > 1
    assert (board["rank_low"] <= board["rank"]).all() and (board["rank"] <= board["rank_high"]).all()
    assert board["win_rate"].mean() == pytest.approx(0.5)
    assert board["first"].sum() == pytest.approx(1.0)
    assert board.loc["flow", "win_high"] == 1.0 and board.loc["flow", "win_low"] < 0.7  # eight splits are not certainty


def test_lower_is_better_turns_everything_round():
    frame = trials(seeds=8)
    up, down = leaderboard(frame, draws=200), leaderboard(frame, "regret@1", draws=200)
    assert up["label"].tolist() == down["label"].tolist()
    for column in ("rank", "rank_low", "rank_high", "first", "win_rate", "tier"):
        assert up[column].tolist() == down[column].tolist()
    assert compare(frame, "path", "flow", "regret@1").winner == "flow"
    assert compare(frame, "path", "flow", "fit_s", better="lower").winner == "path"


def test_equal_labels_share_a_rank():
    frame = trials(means={"a": 0.5, "b": 0.6})
    twin = frame[frame["label"] == "b"].assign(label="c")
    board = leaderboard(pd.concat([frame, twin])).set_index("label")
    assert board["rank"].to_dict() == {"b": 1, "c": 1, "a": 3}
    assert board.loc["b", "first"] == board.loc["c", "first"]


def test_exported_numbers_are_enough_to_recompute_any_subset():
    frame = trials(seeds=6)
    result = bootstrap(frame)
    page = json.loads(json.dumps(result.export(draws=100), allow_nan=False))
    assert len(page["draws"]) == 100 and len(page["draws"][0]) == 4
    subset = ["flow", "gcn", "tree"]
    order = sorted(subset, key=lambda label: -page["estimate"][page["labels"].index(label)])
    at = [page["labels"].index(label) for label in order]
    both = list(itertools.combinations(range(3), 2))
    adjusted = holm(np.array([page["p"][at[i]][at[j]] for i, j in both]))
    relation = np.zeros((3, 3), dtype=bool)
    for (i, j), p in zip(both, adjusted):
        relation[i, j] = relation[j, i] = p < 0.05
    assert dict(zip(order, letters(relation))) == tiers(bootstrap(frame, labels=subset)) == tiers(result, subset)


# ---------------------------------------------------------------- rows and words


def test_values_uses_all_seeds_a_label_has_or_only_the_common_ones():
    frame = trials(budgets=(20, 78))
    frame = frame[~((frame["label"] == "gcn") & (frame["seed"] > 2))]
    alone, common = values(frame), values(frame, common=True)
    assert len(alone) == len(common) == 8
    assert alone.set_index(["label", "budget"])["units"].loc[("flow", 20)] == 5
    assert set(common["units"]) == {3}
    row = alone[(alone["label"] == "flow") & (alone["budget"] == 20)].iloc[0]
    seen = of(frame[frame["budget"] == 20], "flow")
    assert (row["mean"], row["sd"]) == pytest.approx((seen.mean(), seen.std(ddof=1)))
    assert row["low"] < row["mean"] < row["high"] and row["test"] == 5000


def test_compare_each_adjusts_over_its_rows():
    frame = trials(budgets=(20, 78, 390))
    rows = compare_each(frame, "flow", "gcn")
    assert [row.budgets for row in rows] == [(20,), (78,), (390,)]
    assert all(row.family == 3 for row in rows)
    assert [row.p_adjusted for row in rows] == pytest.approx(holm(np.array([row.p for row in rows])))
    assert compare(frame, "flow", "gcn").family == 1


def made(difference, **changed):
    fields = {"a": "flow", "b": "gcn", "metric": "kendall", "better": "higher", "difference": difference, "p": 0.01}
    fields |= {"p_adjusted": 0.01, "family": 1, "win_rate": 1.0, "cells": 5, "units": 5, "spaces": ("nb",)}
    return Comparison(**(fields | {"benchmarks": ("nb/c10",), "budgets": (78,)} | changed))


def test_sentences():
    real = Interval(0.031, 0.012, 0.050, "splits", 5)
    text = "flow ranks better than gcn on nb/c10 at 78 labels: tau +0.031 [+0.012, +0.050] over 5 paired splits."
    assert sentence(made(real)) == text
    back = Interval(-0.031, -0.050, -0.012, "splits", 5)
    assert sentence(made(back, a="gcn", b="flow")) == text
    open_ = Interval(0.004, -0.010, 0.018, "splits", 5)
    assert sentence(made(open_, p=0.5, p_adjusted=0.5)) == (
        "flow and gcn are not separable on nb/c10 at 78 labels: tau +0.004 [-0.010, +0.018] over 5 paired splits."
    )
    assert "Holm's correction for 6 comparisons" in sentence(made(real, p_adjusted=0.06, family=6))
    spaces = Interval(0.031, 0.012, 0.050, "spaces", 3)
    many = made(spaces, spaces=("x", "y", "z"), benchmarks=("x/a", "y/a", "z/a", "z/b"), budgets=(20, 78), units=3)
    assert sentence(many) == (
        "flow ranks better than gcn on 4 benchmarks of 3 search spaces over 20 and 78 labels: "
        "tau +0.031 [+0.012, +0.050] over 3 search spaces."
    )
    regret = made(Interval(-0.4, -0.6, -0.2, "splits", 5), metric="regret@1", better="lower")
    assert sentence(regret).startswith("flow loses less than gcn on nb/c10 at 78 labels: regret@1 -0.40 [-0.60, -0.20]")


def test_a_difference_whose_interval_covers_zero_is_never_real():
    assert not made(Interval(0.01, -0.001, 0.02, "splits", 5)).real
    assert not made(Interval(0.01, 0.005, 0.02, "test size", 1)).real
    assert not made(Interval(0.01, math.nan, math.nan, "none", 5)).real
    assert made(Interval(0.01, 0.005, 0.02, "spaces", 5)).real


def test_rounding_follows_the_interval():
    assert rounded(Interval(0.8713, 0.8523, 0.8903, "splits", 5)) == "0.871 [0.852, 0.890]"
    assert rounded(Interval(0.8713, 0.8523, 0.8903, "splits", 5), bare=True) == "0.871"
    assert rounded(Interval(0.8713, 0.80, 0.94, "splits", 5)) == "0.87 [0.80, 0.94]"
    assert rounded(Interval(-0.0001, -0.05, 0.05, "splits", 5), signed=True) == "+0.00 [-0.05, +0.05]"
    assert rounded(Interval(math.nan, math.nan, math.nan, "none", 0)) == "n/a"
