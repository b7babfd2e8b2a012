"""Values, comparisons by cell, sentences and rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archrank.eval.statistics import (
    Comparison,
    Interval,
    compare,
    compare_each,
    rounded,
    sentence,
    values,
)
from archrank.eval.statistics.tiers import holm
from tests.eval.made_trials import of, trials


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
    fields |= {"p_adjusted": 0.01, "family": 1, "win_rate": 1.0, "settings": 5, "units": 5, "spaces": ("nb",)}
    return Comparison(**(fields | {"benchmarks": ("nb/c10",), "budgets": (78,)} | changed))


def test_sentences():
    real = Interval(0.031, 0.012, 0.050, "splits", 5)
    text = "flow ranks significantly better than gcn on nb/c10 at 78 labels: tau +0.031 [+0.012, +0.050] over 5 paired splits."
    assert sentence(made(real)) == text
    back = Interval(-0.031, -0.050, -0.012, "splits", 5)
    assert sentence(made(back, a="gcn", b="flow")) == text
    open_ = Interval(0.004, -0.010, 0.018, "splits", 5)
    assert sentence(made(open_, p=0.5, p_adjusted=0.5)) == (
        "No significant difference between flow and gcn on nb/c10 at 78 labels: tau +0.004 [-0.010, +0.018] over 5 paired splits."
    )
    assert "Holm's correction for 6 comparisons" in sentence(made(real, p_adjusted=0.06, family=6))
    spaces = Interval(0.031, 0.012, 0.050, "spaces", 3)
    many = made(spaces, spaces=("x", "y", "z"), benchmarks=("x/a", "y/a", "z/a", "z/b"), budgets=(20, 78), units=3)
    assert sentence(many) == (
        "flow ranks significantly better than gcn on 4 benchmarks of 3 search spaces over 20 and 78 labels: "
        "tau +0.031 [+0.012, +0.050] over 3 search spaces."
    )
    regret = made(Interval(-0.4, -0.6, -0.2, "splits", 5), metric="regret@1", better="lower")
    assert sentence(regret).startswith(
        "flow loses significantly less than gcn on nb/c10 at 78 labels: regret@1 -0.40 [-0.60, -0.20]"
    )


def test_a_difference_whose_interval_covers_zero_is_never_significant():
    assert not made(Interval(0.01, -0.001, 0.02, "splits", 5)).significant
    assert not made(Interval(0.01, 0.005, 0.02, "test size", 1)).significant
    assert not made(Interval(0.01, math.nan, math.nan, "none", 5)).significant
    assert made(Interval(0.01, 0.005, 0.02, "spaces", 5)).significant


def test_rounding_follows_the_interval():
    assert rounded(Interval(0.8713, 0.8523, 0.8903, "splits", 5)) == "0.871 [0.852, 0.890]"
    assert rounded(Interval(0.8713, 0.8523, 0.8903, "splits", 5), bare=True) == "0.871"
    assert rounded(Interval(0.8713, 0.80, 0.94, "splits", 5)) == "0.87 [0.80, 0.94]"
    assert rounded(Interval(-0.0001, -0.05, 0.05, "splits", 5), signed=True) == "0.00 [-0.05, +0.05]"
    assert rounded(Interval(0.053, -0.003, 0.109, "spaces", 4), signed=True) == "+0.05 [-0.003, +0.109]"
    assert rounded(Interval(0.053, 0.0004, 0.1056, "spaces", 4), signed=True) == "+0.05 [+0.0004, +0.1056]"
    assert rounded(Interval(0.053, 0.0, 0.106, "spaces", 4), signed=True) == "+0.05 [0.00, +0.11]"
    assert rounded(Interval(math.nan, math.nan, math.nan, "none", 0)) == "n/a"
