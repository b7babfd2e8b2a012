"""Metrics against SciPy, against brute force over every way of breaking ties, and against simulation."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from archrank.eval.metrics import (
    METRICS,
    acc_within,
    coverage,
    digits,
    interval_score,
    kendall,
    mape,
    precision_at,
    regret_at,
    score,
    spearman,
    tau_standard_error,
)

few = st.integers(0, 3).map(float)


def columns(least: int, most: int):
    def both(n: int):
        return st.tuples(st.lists(few, min_size=n, max_size=n), st.lists(few, min_size=n, max_size=n))

    return st.integers(least, most).flatmap(both).filter(lambda c: len(set(c[0])) > 1 and len(set(c[1])) > 1)


def orders(values):
    """Every order (best first) that breaks the ties of ``values`` one way or another, each equally often."""
    for tiebreak in itertools.permutations(range(len(values))):
        yield sorted(range(len(values)), key=lambda i: (-values[i], tiebreak[i]))


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_equal_scipy(ties):
    random = np.random.default_rng(0)
    true = random.normal(size=500).round(1 if ties else 12)
    guess = (true + random.normal(size=500)).round(1 if ties else 12)
    assert kendall(true, guess) == stats.kendalltau(true, guess).statistic
    assert spearman(true, guess) == stats.spearmanr(true, guess).statistic
    assert kendall(true, guess, "min") == pytest.approx(-kendall(true, guess), abs=1e-15)
    assert spearman(true, guess, "min") == pytest.approx(-spearman(true, guess), abs=1e-15)


@settings(max_examples=25, deadline=None)
@given(columns(2, 4), st.sampled_from([0.25, 0.5, 0.75]))
def test_precision_is_the_expectation_over_all_ways_of_breaking_ties(both, fraction):
    true, guess = both
    k = max(1, int(fraction * len(true)))
    overlaps = [len(set(a[:k]) & set(b[:k])) / k for a in orders(true) for b in orders(guess)]
    assert precision_at(fraction, true, guess) == pytest.approx(np.mean(overlaps), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(columns(2, 6), st.integers(1, 7))
def test_regret_is_the_expectation_over_all_ways_of_breaking_ties(both, k):
    true, guess = both
    for direction, better in (("max", max), ("min", min)):
        losses = [abs(better(true) - better(true[i] for i in order[:k])) for order in orders(guess)]
        assert regret_at(k, true, guess, direction) == pytest.approx(np.mean(losses), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(columns(2, 12), st.randoms())
def test_order_of_rows_and_monotone_changes_of_the_prediction_do_not_matter(both, random):
    true, guess = np.array(both[0]), np.array(both[1])
    shuffled = list(range(len(true)))
    random.shuffle(shuffled)
    first = score(true, guess)
    assert score(true[shuffled], np.exp(3 * guess[shuffled])) == pytest.approx(first, abs=1e-12)
    # turning the target and its direction round leaves every metric as it was
    assert score(-true, guess, "min") == pytest.approx(first, abs=1e-12)


def test_a_perfect_and_a_reversed_ranking():
    true = np.random.default_rng(1).normal(size=1000)
    perfect, reversed_ = score(true, true), score(true, -true)
    assert perfect == pytest.approx(
        dict.fromkeys(("kendall", "spearman", "p@1%", "p@5%", "p@10%", "p@50%"), 1.0)
        | dict.fromkeys(("regret@1", "regret@10", "regret@50"), 0.0)
    )
    assert reversed_["kendall"] == -1
    assert reversed_["p@50%"] == 0
    assert reversed_["regret@1"] == true.max() - true.min()


@pytest.mark.parametrize("size, percent, k", [(100, 29, 29), (5000, 1, 50), (30, 1, 1), (7, 50, 3), (2900, 1, 29)])
def test_k_is_the_floor_of_the_share_and_at_least_one(size, percent, k):
    true = np.arange(size, dtype=float)
    guess = np.where(true == size - 1, size, -true)  # finds the very best, and otherwise the worst
    assert precision_at(percent / 100, true, guess) == pytest.approx(1 / k)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_not_finite_is_undefined_not_zero(bad):
    true = np.arange(20.0)
    guess = true.copy()
    guess[3] = bad
    assert all(math.isnan(value) for value in score(true, guess, metrics=METRICS.keys()).values())


def test_intervals_are_judged_by_what_they_hold_and_how_wide_they_are():
    true = np.arange(10.0)
    ends = np.column_stack([true - 1, true + 1])
    assert coverage(true, ends) == 1 and interval_score(0.9, true, ends) == pytest.approx(2)
    ends[0] += 3
    assert coverage(true, ends) == 0.9 and interval_score(0.9, true, ends) == pytest.approx(2 + 20 * 2 / 10)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(20000)
    widths = {z: interval_score(0.9, noise, np.full((20000, 2), [-z, z])) for z in (1.2, 1.645, 2.2)}
    assert min(widths, key=widths.__getitem__) == 1.645
    assert math.isnan(coverage(true, true)) and math.isnan(interval_score(0.9, true, true))


def test_a_constant_prediction_or_target_is_undefined_not_zero():
    true = np.arange(20.0)
    assert all(math.isnan(value) for value in score(true, np.ones(20), metrics=METRICS.keys()).values())
    assert all(math.isnan(value) for value in score(np.ones(20), true).values())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: kendall([1, 2, 3], [1, 2]), "one length"),
        (lambda: kendall([1, np.nan, 3], [1, 2, 3]), "true score of row 1"),
        (lambda: kendall([1], [1]), "at least 2"),
        (lambda: kendall([1, 2], [1, 2], "up"), "direction"),
        (lambda: precision_at(0, [1, 2], [1, 2]), "fraction"),
        (lambda: regret_at(0, [1, 2], [1, 2]), "regret@0"),
        (lambda: mape([0, 2], [1, 2]), "true score of 0"),
        (lambda: score([1, 2], [1, 2], metrics=["kendal"]), "no metric is called 'kendal'"),
    ],
)
def test_bad_input_gets_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_value_metrics_know_that_a_minimised_target_is_predicted_with_its_sign_turned():
    latency, guess = np.array([10.0, 20.0, 40.0]), np.array([11.0, 20.0, 30.0])
    assert mape(latency, -guess, "min") == pytest.approx((0.1 + 0 + 0.25) / 3)
    assert acc_within(0.1, latency, -guess, "min") == pytest.approx(2 / 3)
    assert mape(latency, guess, "max") == pytest.approx((0.1 + 0 + 0.25) / 3)


def test_a_whole_large_space_is_scored_quickly():
    random = np.random.default_rng(2)
    true = random.normal(size=423_624).round(3)
    guess = true + random.normal(size=true.size)
    start = time.process_time()
    values = score(true, guess)
    assert time.process_time() - start < 5  # 0.3 s on a free core; anything quadratic takes minutes
    assert values["kendall"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("n, stated", [(50, 0.035), (200, 0.017), (1000, 0.0066), (5000, 0.0029)])
def test_standard_error_of_tau_agrees_with_the_stated_sizes(n, stated):
    assert tau_standard_error(0.8, n) == pytest.approx(stated, rel=0.1)


@pytest.mark.parametrize("tau, n", [(0.8, 50), (0.8, 400), (0.3, 50), (0.0, 30)])
def test_standard_error_of_tau_agrees_with_simulation(tau, n):
    random = np.random.default_rng(3)
    rho = math.sin(math.pi * tau / 2)
    x = random.normal(size=(1500, n))
    y = rho * x + math.sqrt(1 - rho**2) * random.normal(size=(1500, n))
    seen = np.array([kendall(a, b) for a, b in zip(x, y)])
    assert seen.mean() == pytest.approx(tau, abs=0.005)
    assert seen.std() == pytest.approx(tau_standard_error(tau, n), rel=0.06)


def test_standard_error_of_tau_at_its_ends():
    assert tau_standard_error(1.0, 100) == pytest.approx(0, abs=1e-9)
    assert math.isnan(tau_standard_error(0.5, 1))
    assert math.isnan(tau_standard_error(math.nan, 100))


@pytest.mark.parametrize(
    "half_width, decimals", [(0.019, 3), (0.004, 3), (0.06, 2), (0.0097, 3), (0.35, 2), (0.36, 1), (12, 0), (0, 4)]
)
def test_digits(half_width, decimals):
    assert digits(half_width) == decimals


def test_the_registry_tells_a_report_all_it_needs():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.description and metric.arrow in "↑↓"
        assert metric.bounds[0] < metric.bounds[1]
    stored = {name for name, metric in METRICS.items() if metric.default}
    assert set(score([1, 2, 3], [1, 3, 2])) == stored


def test_metrics_and_statistics_do_not_import_torch():
    code = "import sys, archrank.eval.metrics, archrank.eval.statistics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
