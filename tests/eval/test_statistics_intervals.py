"""The bootstrap's intervals: against SciPy where it has an answer, and against their own promises."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from archrank.eval.metrics import tau_standard_error
from archrank.eval.statistics import (
    ComparisonError,
    bootstrap,
    compare,
    leaderboard,
    rounded,
    sentence,
    tiers,
)
from tests.eval.made_trials import of, trials


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
    assert not comparison.significant and math.isnan(comparison.p)
    assert not comparison.difference.covers(0)
    assert set(tiers(result).values()) == {"a"}
    assert "cannot tell what another would give" in sentence(comparison)
    board = leaderboard(frame)
    assert (board["rank_low"] == 1).all() and (board["rank_high"] == 4).all()
    assert board["first"].isna().all() and board["win_low"].isna().all()


@pytest.mark.parametrize("metric", ["kendall", "fit_s"])  # one with and one without a known sampling error
def test_one_space_with_one_split_is_named_and_nothing_contradicts_it(metric):
    frame = pd.concat([trials(("s1",)), trials(("s2",), seeds=1)])
    comparison = compare(frame, "flow", "path", metric, scope="splits", better="higher")
    assert any(
        "Only one split of s2: " in note for note in bootstrap(frame, metric, scope="splits", better="higher").notes
    )
    said = sentence(comparison)
    assert "over 6 paired splits" in said and "search space has one split" in said and not comparison.significant


def test_one_seed_of_a_metric_without_known_error_has_no_interval():
    frame = trials(seeds=1)
    result = bootstrap(frame, "regret@1")
    assert result.kind == "none" and np.isnan(result.draws).all()
    assert math.isnan(result.value("gcn").low)
    assert rounded(result.value("gcn")).endswith("[no interval]")


def test_seeds_of_one_split_say_nothing_about_another():
    frame = trials(seeds=6).assign(split="one", test_set="one", test=200)
    together = bootstrap(frame)
    error = tau_standard_error(together.value("gcn").estimate, 200)
    assert (together.kind, together.units, together.settings) == ("test size", 1, 6)
    assert together.value("gcn").half_width == pytest.approx(1.96 * error, rel=1e-4)
    assert not any("share one test set" in note for note in together.notes)
    comparison = compare(
        frame.assign(kendall=frame["label"].map({"path": 0.1, "gcn": 0.6, "tree": 0.3, "flow": 0.7})), "gcn", "path"
    )
    assert not comparison.significant and "over 1 paired split (one split cannot tell" in sentence(comparison)


def test_splits_that_share_one_test_set_do_not_hold_its_sampling_error():
    # Protocols such as cate-outside: every seed trains on another split and is tested on the same architectures.
    frame = trials()
    own = bootstrap(frame.assign(test=200))
    shared = bootstrap(frame.assign(split=frame["seed"].map("split {}".format), test=200, test_set="one"))
    error = tau_standard_error(own.value("gcn").estimate, 200)
    assert shared.value("gcn").half_width > max(own.value("gcn").half_width, 1.96 * error)
    assert any("share one test set" in note for note in shared.notes)
    apart = bootstrap(frame.assign(test=200, test_set=frame["seed"].map("set {}".format)))
    assert apart.value("gcn").half_width == pytest.approx(own.value("gcn").half_width)


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
    assert comparison.difference.kind == "none" and not comparison.significant
    assert "every split gives the same difference" in sentence(comparison)
    assert not compare(frame, "tree", "flow").significant
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
