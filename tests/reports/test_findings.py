"""The key findings follow the tests of the leaderboard, and say so when there is one search space; ranks of tied
predictions are means."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from archrank.eval.statistics.multiplier_bootstrap import joint
from archrank.reports.sections.findings import beyond, headline
from archrank.reports.seeds import advice, span
from archrank.reports.study import Group, Study, View, make_group
from archrank.reports.truth import Prediction


def trials(taus: dict[str, tuple[float, ...]], spaces: tuple[str, ...] = ("u",)) -> pd.DataFrame:
    """The taus of the seeds by label, on one benchmark of each space at one budget."""
    return pd.DataFrame(
        {"label": label, "family": "GNN", "status": "done", "space": space, "benchmark": f"b-{space}", "target": "t", "protocol": "clean", "recipe": "common",
         "budget": 78, "seed": seed, "split": f"{space}{seed}", "test": 1000, "kendall": tau}
        for space in spaces for label, values in taus.items() for seed, tau in enumerate(values)
    )  # fmt: skip


def words(parts: tuple[Any, ...]) -> str:
    return "".join(part if isinstance(part, str) else part.text for part in parts)


def grouped(frame: pd.DataFrame) -> Group:
    return make_group("clean", "common", frame)


def test_the_top_group_is_everyone_who_shares_any_letter_with_the_first() -> None:
    # a, b and c have steady steps between them; d is so noisy that nothing separates it from anyone.
    steps = np.array([0.0, 0.002, -0.002, 0.001, -0.001, 0.0015])
    noise = np.array([0.3, -0.35, 0.32, -0.3, 0.28, -0.33])
    group = grouped(
        trials(
            {"a": tuple(0.8 + steps), "b": tuple(0.7 - steps), "d": tuple(0.65 + noise), "c": tuple(0.6 + steps[::-1])}
        )
    )
    view = group.views[0]
    assert view.tier["a"] != view.tier["d"] and set(view.tier["a"]) & set(view.tier["d"])
    assert view.top == ("a", "d")
    said = words(headline(view))
    assert said.startswith(
        "a has the highest mean on this benchmark, no significant difference from d; significantly better than the 2 others"
    )
    for label in view.order[1:]:
        assert (label in view.top) is not view.comparison("a", label).significant


def test_one_that_is_better_than_all_ranks_first_and_equals_do_not() -> None:
    steps = (0.0, 0.002, -0.002, 0.001)
    first = grouped(trials({"a": tuple(0.8 + s for s in steps), "b": tuple(0.6 - s for s in steps)})).views[0]
    assert words(headline(first)).startswith(
        "a ranks first on this benchmark: significantly better than all others, by τ +0.2"
    )
    equal = grouped(trials({"a": (0.8, 0.7, 0.75), "b": (0.7, 0.8, 0.74)})).views[0]
    assert words(headline(equal)).startswith(
        "No significant difference on this benchmark between any two of 2 predictors; "
    )
    single = grouped(trials({"a": (0.8,), "b": (0.7,)})).views[0]
    assert "one split cannot tell any two of 2 predictors apart" in words(
        headline(single)
    ) and "significant" not in words(headline(single))


def test_one_search_space_is_said_to_be_one() -> None:
    taus = {"a": (0.8, 0.81, 0.79), "b": (0.6, 0.62, 0.61)}
    one = grouped(trials(taus))
    assert (
        words(beyond(one.views[0], one.here))
        == "May not generalise to other search spaces: this is one search space, u."
    )
    more = pd.concat([trials(taus), trials(taus).assign(benchmark="another")])
    group = grouped(more)
    assert (
        words(beyond(group.views[0], group.here))
        == "May not generalise to other search spaces: all 2 benchmarks are of one search space, u."
    )
    two = grouped(trials(taus, ("u", "v")))
    assert "2 search spaces as the units" in words(beyond(two.views[0], two.here))


def test_spaces_of_two_names_and_one_shape_are_named(synthetic) -> None:
    frame = trials({"a": (0.8, 0.7)}, ("toy", "copy", "wide"))
    tables = {
        "b-toy": synthetic.make_table("toy", 20),
        "b-copy": synthetic.make_table("copy", 20),
        "b-wide": synthetic.make_table("wide", 20, nodes=9),
    }
    study = SimpleNamespace(frame=frame, table=tables.__getitem__)
    assert Study.look_alikes(study, ("toy", "copy", "wide")) == [("copy", "toy")]
    assert Study.look_alikes(study, ("toy", "wide")) == []


def test_tied_predictions_have_the_mean_place_of_all_that_are_tied() -> None:
    true = np.linspace(0, 1, 5)
    tied = Prediction("a", np.arange(5), np.zeros(5, int), true, np.array([1.0, 0.0, 0.0, 0.0, 1.0]))
    assert tied.first_predicted() == pytest.approx([50.0])
    back = Prediction("a", np.arange(5)[::-1], np.zeros(5, int), true[::-1], tied.predicted[::-1])
    assert back.first_predicted() == pytest.approx(tied.first_predicted())
    two = Prediction(
        "a", np.tile(np.arange(5), 2), np.repeat([0, 1], 5), np.tile(true, 2), np.concatenate([true, true[::-1]])
    )
    assert two.first_predicted() == pytest.approx([0.0, 100.0]) and len(two.trial(1).index) == 5


def test_views_are_found_by_their_pairs() -> None:
    view: View = grouped(trials({"a": (0.8, 0.7), "b": (0.7, 0.6), "c": (0.5, 0.61)})).views[0]
    assert {frozenset((pair.a, pair.b)) for pair in view.pairs} == {frozenset("ab"), frozenset("ac"), frozenset("bc")}


@pytest.mark.parametrize("over_spaces", [True, False])
def test_the_multiplier_bootstrap_is_its_formula_term_by_term(over_spaces: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 5))  # 3 entries, 4 tasks, 5 seeds
    x[:, 1, 3:] = np.nan
    space, weight = np.array([0, 0, 1, 1]), np.array([0.25, 0.75, 0.5, 0.5])
    got = joint(x, space, weight, over_spaces, np.full((3, 4), np.nan), np.zeros(4, bool))
    for e in range(3):
        means = [np.nanmean(x[e, t]) for t in range(4)]
        spaces = [sum(weight[t] * means[t] for t in range(4) if space[t] == k) for k in (0, 1)]
        assert got.estimate[e] == pytest.approx(sum(spaces) / 2)
        if over_spaces:
            expected = [(value - sum(spaces) / 2) / np.sqrt(2) for value in spaces]
        else:
            expected = []
            for k in (0, 1):
                for s in range(5):
                    unit = 0.0
                    for t in range(4):
                        n = np.isfinite(x[e, t]).sum()
                        if space[t] == k and np.isfinite(x[e, t, s]):
                            unit += weight[t] * (x[e, t, s] - means[t]) / np.sqrt(n * (n - 1))
                    expected.append(unit / 2)
        assert got.factors[e] == pytest.approx(expected)


def test_how_many_seeds_would_separate_is_said_with_the_seeds_to_add() -> None:
    steps = np.array([0.0, 0.02, -0.02, 0.015])
    advised = advice(grouped(trials({"a": tuple(0.81 + steps), "b": tuple(0.80 + steps[::-1])})))
    assert advised is not None and "over all settings (a and b)" in advised.sentence
    number = int(advised.sentence.split(": ")[1].split()[0])
    assert 4 < number <= 200 and advised.seeds == f"4-{number - 1}"
    assert advice(grouped(trials({"a": tuple(0.9 + steps / 10), "b": tuple(0.5 - steps / 10)}))) is None
    single = advice(grouped(trials({"a": (0.8,), "b": (0.7,)})))
    assert single is not None and single.seeds == "1-4"
    assert span(5, 6) == "5" and span(5, 20) == "5-19"
