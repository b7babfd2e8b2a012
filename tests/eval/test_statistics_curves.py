"""Friedman's test, label efficiency, areas and the noise ceiling."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from archrank.eval.statistics import (
    ComparisonError,
    area_under_curve,
    friedman,
    label_efficiency,
    leaderboard,
    noise_ceiling,
    tiers,
)
from archrank.eval.statistics.ceiling import _influence
from archrank.eval.statistics.efficiency import crossing, isotonic
from archrank.eval.statistics.friedman import _test

BUDGETS = (20, 78, 156, 390)


def trials(curves, seeds=5, noise=0.004, spaces=("nb",), seed=0):
    """``curves``: label -> value at each budget."""
    random = np.random.default_rng(seed)
    rows = []
    for space in spaces:
        for s in range(seeds):
            easy = noise * random.normal()
            for label, heights in curves.items():
                for budget, height in zip(BUDGETS, heights):
                    rows.append(
                        {"label": label, "space": space, "benchmark": space, "target": "acc", "protocol": "clean"}
                        | {"recipe": "common", "budget": budget, "seed": s}
                        | {"kendall": height + easy + noise * random.normal()}
                    )
    return pd.DataFrame(rows)


def straight(level, slope=0.06):
    return [level + slope * math.log(budget / 78) for budget in BUDGETS]


# ---------------------------------------------------------------- Friedman

# Accuracies of four classifiers on fourteen data sets, as ranks (Demšar 2006, table 6).
DEMSAR = """4 3 2 1; 1 2 3 4; 4 1 2 3; 4 1 3 2; 4 2 3 1; 1 2.5 4 2.5; 3 2 4 1; 2.5 2.5 4 1; 4 3 2 1;
2.5 2.5 2.5 2.5; 4 2.5 1 2.5; 3 2 4 1; 4 1 2 3; 3 1 4 2"""


def demsar():
    return np.array([[float(rank) for rank in line.split()] for line in DEMSAR.split(";")])


def test_friedman_equals_the_worked_example_of_demsar():
    names = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
    result = _test(names, tuple(f"set{n}" for n in range(14)), demsar())
    assert list(result.ranks.values()) == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    assert result.critical_difference == pytest.approx(1.25, abs=0.005)
    plain = 12 * 14 / (4 * 5) * (sum(rank**2 for rank in result.ranks.values()) - 4 * 25 / 4)
    assert plain == pytest.approx(9.28, abs=0.01)
    assert result.statistic == pytest.approx(stats.friedmanchisquare(*demsar().T).statistic)
    assert result.statistic > plain  # SciPy corrects for the ties, the paper does not
    assert result.p_f < result.p < 0.05
    assert result.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)  # 1.18 apart at most: one group


def test_nemenyi_equals_scikit_posthocs():
    posthocs = pytest.importorskip("scikit_posthocs")
    result = _test(("a", "b", "c", "d"), tuple(map(str, range(14))), demsar())
    reference = posthocs.posthoc_nemenyi_friedman(-demsar())
    assert result.nemenyi is not None
    assert result.nemenyi.to_numpy() == pytest.approx(reference.to_numpy(), abs=1e-6)


def test_friedman_ranks_within_spaces():
    frame = trials({"a": straight(0.8), "b": straight(0.75), "c": straight(0.7)}, spaces=list("uvwxyz"))
    result = friedman(frame)
    assert result.possible and result.ranks == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert result.statistic == pytest.approx(12.0) and len(result.spaces) == 6
    assert result.groups == (("a", "b"), ("b", "c"))
    assert result.holm is not None and result.holm.loc["a", "c"] < 0.05 < result.holm.loc["a", "b"]


def test_friedman_ranks_the_means_of_the_leaderboard():
    frame = trials({"a": [0.5, 0.5, 0.5, 0.9], "b": [0.6] * 4, "c": [0.4] * 4}, spaces=list("uvwxyz"))
    frame = frame[
        frame["budget"].isin([20, 390]) & ((frame["budget"] == 20) | (frame["seed"] == 0))
    ]  # one split at 390 labels
    assert leaderboard(frame)["label"].tolist() == ["a", "b", "c"] == list(friedman(frame).ranks)


@pytest.mark.parametrize(
    "spaces, curves, reason",
    [
        (["u"], {"a": straight(0.8), "b": straight(0.7), "c": straight(0.6)}, "there is 1 independent"),
        (list("uvwxy"), {"a": straight(0.8), "b": straight(0.7), "c": straight(0.6)}, "there are 5 independent"),
        (list("uvwxyz"), {"a": straight(0.8), "b": straight(0.7)}, "three or more"),
    ],
)
def test_no_friedman_test_where_it_would_mean_nothing(spaces, curves, reason):
    result = friedman(trials(curves, seeds=2, spaces=spaces))
    assert not result.possible and reason in result.reason and result.nemenyi is None
    assert result.reason.endswith(".") and "\n" not in result.reason


# ---------------------------------------------------------------- label efficiency


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_isotonic_equals_scikit_learn(values):
    reference = IsotonicRegression().fit_transform(np.arange(len(values)), np.array(values))
    assert isotonic(np.array([values, values]))[1] == pytest.approx(reference, abs=1e-9)


def test_crossing_interpolates_in_log_budget_and_is_honest_about_its_ends():
    budgets = np.array([10.0, 100.0, 1000.0])
    heights = np.tile([0.2, 0.4, 0.4], (6, 1))
    actual = crossing(heights, np.array([0.1, 0.2, 0.3, 0.4, 0.41, 0.25]), budgets)
    assert actual == pytest.approx([0, 10, math.sqrt(1000), 100, math.inf, 10**1.25])


def test_label_efficiency_of_parallel_curves():
    frame = trials({"a": straight(0.75), "b": straight(0.72)})
    result = label_efficiency(frame, "a", "b")
    assert result.labels == pytest.approx(78 * math.exp(0.03 / 0.06), rel=0.1)
    assert 78 < result.low < result.labels < result.high < 390
    assert (result.units, result.settings) == (5, 20)
    assert result.sentence().startswith("b needs 1") and result.sentence().endswith("to reach what a has at 78 labels.")
    assert label_efficiency(frame.iloc[::-1], "a", "b") == result
    assert label_efficiency(frame, "a", "a").labels == pytest.approx(78)


def test_label_efficiency_beyond_the_budgets():
    frame = trials({"good": straight(0.9), "poor": straight(0.6)})
    never, always = label_efficiency(frame, "good", "poor"), label_efficiency(frame, "poor", "good")
    assert (never.labels, never.low) == (math.inf, math.inf)
    assert never.sentence() == "poor needs more than 390 labels to reach what good has at 78 labels."
    assert always.sentence() == "good needs fewer than 20 labels to reach what poor has at 78 labels."


def test_label_efficiency_from_one_seed_has_no_interval():
    result = label_efficiency(trials({"a": straight(0.75), "b": straight(0.72)}, seeds=1), "a", "b")
    assert math.isnan(result.low) and "no interval" in result.sentence()


def test_label_efficiency_of_splits_that_share_one_test_set_holds_its_sampling_error():
    frame = trials({"a": straight(0.75), "b": straight(0.72)}).assign(test=1000)
    frame["split"] = frame["seed"].astype(str)
    own, shared = label_efficiency(frame, "a", "b"), label_efficiency(frame.assign(test_set="one"), "a", "b")
    assert shared.labels == own.labels and shared.low < own.low < own.high < shared.high


def test_label_efficiency_of_seeds_that_share_one_split_has_no_interval():
    frame = trials({"a": straight(0.75), "b": straight(0.72)}).assign(test=1000, split="one")
    result = label_efficiency(frame, "a", "b")
    assert math.isnan(result.low) and (result.units, result.settings) == (1, len(frame) // 2)


def test_label_efficiency_refuses_what_was_not_run():
    frame = trials({"a": straight(0.75), "b": straight(0.72)})
    with pytest.raises(ComparisonError, match="needs at least two search spaces"):
        label_efficiency(frame, "a", "b", scope="spaces")
    with pytest.raises(ComparisonError, match=r"at 100 labels.*20, 78, 156, 390"):
        label_efficiency(frame, "a", "b", at=100)
    with pytest.raises(ComparisonError, match="two or more common budgets"):
        label_efficiency(frame[frame["budget"] == 78], "a", "b")


def test_area_is_the_mean_over_log_budget():
    frame = trials({"a": straight(0.75), "b": straight(0.72)}, noise=1e-6)
    area = area_under_curve(frame)
    middle = (math.log(20 / 78) + math.log(390 / 78)) / 2  # of a straight line it is the height in the middle
    assert area.value("a").estimate == pytest.approx(0.75 + 0.06 * middle, abs=1e-5)
    assert area.difference("a", "b")[0].estimate == pytest.approx(0.03, abs=1e-5)
    assert tiers(area) == {"a": "a", "b": "b"}
    with pytest.raises(ComparisonError, match="two or more budgets"):
        area_under_curve(frame[frame["budget"] == 78])


# ---------------------------------------------------------------- noise ceiling


def test_noise_ceiling_without_noise_and_of_pure_noise():
    random = np.random.default_rng(0)
    truth = random.normal(size=(400, 1))
    clear = noise_ceiling(np.repeat(truth, 3, axis=1))
    assert (clear.single.estimate, clear.halves.estimate, clear.oracle.estimate) == pytest.approx((1, 1, 1))
    noise = noise_ceiling(random.normal(size=(400, 4)))
    assert noise.single.covers(0) and noise.halves.covers(0)
    assert noise.repeats == 4 and noise.architectures == 400


def test_noise_ceiling_knows_what_a_perfect_predictor_reaches():
    random = np.random.default_rng(1)
    truth = random.normal(size=(3000, 1))
    repeats = truth + 0.4 * random.normal(size=(3000, 3))
    ceiling = noise_ceiling(repeats)
    reached = stats.kendalltau(truth[:, 0], repeats.mean(axis=1)).statistic
    assert ceiling.oracle.estimate == pytest.approx(reached, abs=0.015)
    assert ceiling.single.estimate < reached  # against a single run even a perfect predictor does worse
    pairs = [
        stats.kendalltau(repeats[:, i], repeats[:, [j for j in range(3) if j != i]].mean(axis=1)) for i in range(3)
    ]
    assert ceiling.single.estimate == pytest.approx(np.mean([pair.statistic for pair in pairs]))


def test_noise_ceiling_leaves_out_incomplete_rows_and_refuses_too_little():
    table = np.random.default_rng(2).normal(size=(50, 2))
    table[7, 1] = np.nan
    assert noise_ceiling(table).architectures == 49
    for bad, message in (
        (table[:, :1], "2 or more repeats"),
        (np.full((9, 2), np.nan), "only 0 architecture"),
        (np.ones((9, 2)), "no order"),
    ):
        with pytest.raises(ValueError, match=message):
            noise_ceiling(bad)


def test_influence_counts_concordant_pairs():
    x, y = np.random.default_rng(3).normal(size=(2, 60))
    assert _influence(x, y).mean() == pytest.approx(stats.kendalltau(x, y).statistic)
