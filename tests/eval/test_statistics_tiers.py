"""Holm's correction, letters, leaderboard, ranks."""

from __future__ import annotations

import itertools
import json
import math
import string

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from archrank.eval.statistics import (
    bootstrap,
    compare,
    leaderboard,
    pairs,
    tiers,
)
from archrank.eval.statistics.tiers import holm, letters
from tests.eval.made_trials import trials


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


def test_letters_that_do_not_suffice_mark_the_first_group_alone():
    """Sixty labels that differ without order have thousands of groups."""
    relation = np.triu(np.random.default_rng(0).random((60, 60)) < 0.5, 1)
    relation |= relation.T
    assert letters(relation) == ["" if apart else "a" for apart in relation[0]]
    ordered = np.abs(np.subtract.outer(np.arange(52), np.arange(52))) > 0
    assert letters(ordered) == list(string.ascii_letters)


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
        assert apart == one.significant
        assert one.difference.estimate >= 0 and one.p_adjusted >= one.p
        if one.significant:
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


def test_win_rates_weigh_cells_as_the_means_do():
    better = trials(("s1",), ("x", "y", "z"), means={"a": 0.6, "b": 0.3, "c": 0.2})
    frame = pd.concat([better, trials(("s2",), ("x",), means={"a": 0.3, "b": 0.5, "c": 0.2})])
    assert {(one.a, one.b): one.win_rate for one in pairs(frame)} == pytest.approx(
        {("a", "b"): 0.5, ("a", "c"): 1, ("b", "c"): 1}
    )
    # What a page recomputes for a subset from the pairs is what the leaderboard of the subset says.
    assert leaderboard(frame, labels=["a", "b"])["win_rate"].tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("units", [3, 5, 10])
@pytest.mark.parametrize("p", [0.5, 0.7, 0.84, 0.95, 0.99])
def test_the_interval_of_a_win_rate_covers(units, p):
    covered = 0.0
    for won in range(units + 1):
        frame = trials(seeds=units, means={"a": 0.5, "b": 0.5})
        frame["kendall"] = [
            float(row.seed < won) + 0.01 * row.seed if row.label == "a" else 0.5 for row in frame.itertuples()
        ]
        row = leaderboard(frame, draws=0).set_index("label").loc["a"]
        covered += stats.binom.pmf(won, units, p) * (row["win_low"] <= p <= row["win_high"])
    assert covered >= 0.95


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
