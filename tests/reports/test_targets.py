"""Several targets of one benchmark: their fronts, what these are worth, and the sections that compare predictors."""

from itertools import combinations

import numpy as np
import pytest

from archrank.eval.runners.run import run
from archrank.eval.search.objectives import front
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.trial import make_plan
from archrank.reports.sections.pareto import front_found, hypervolume, pareto_section
from archrank.reports.sections.targets import targets_section
from archrank.reports.study import read_study


def test_a_front_is_what_nothing_dominates():
    values = np.random.default_rng(0).integers(0, 6, (60, 2)).astype(float)
    by_hand = [not any((other >= one).all() and (other > one).any() for other in values) for one in values]
    assert front(values).tolist() == np.flatnonzero(by_hand).tolist() and 1 < sum(by_hand) < 60
    assert front(np.array([[1.0, np.nan], [0.0, 2.0]])).tolist() == [1] and not len(front(np.empty((0, 2))))


def test_hypervolume_is_the_area_that_points_dominate():
    assert hypervolume(np.array([[2.0, 1.0], [1.0, 3.0], [1.0, 1.0], [9.0, -1.0]]), np.zeros(2)) == 2 + 1 * 2
    points, reference = np.random.default_rng(1).random((7, 2)), np.array([0.2, 0.3])
    by_hand = 0.0  # inclusion and exclusion over all sets of rectangles
    for size in range(1, 8):
        for chosen in combinations(points, size):
            by_hand -= (-1) ** size * np.prod(np.maximum(np.min(chosen, 0) - reference, 0))
    assert hypervolume(points, reference) == pytest.approx(by_hand)
    assert hypervolume(points, np.ones(2)) == 0


def test_the_true_order_finds_the_whole_front_and_noise_no_more_than_chance():
    rng = np.random.default_rng(2)
    true = rng.normal(size=(500, 2))
    exact, noise = front_found(true, np.exp(true)), [front_found(true, rng.normal(size=true.shape)) for _ in range(40)]
    assert (exact.ratio, exact.hit, exact.size) == (1.0, 1.0, len(front(true))) and exact.random < 0.7
    assert np.mean([one.ratio - one.random for one in noise]) == pytest.approx(0, abs=0.1)
    assert front_found(np.ones((9, 2)), rng.normal(size=(9, 2))) is None


def test_the_section_ranks_predictors_by_the_front_they_find(tmp_path):
    table = synthetic(200, seed=3)
    names = parse_list("base+ridge,bag_of_ops+ridge")
    plan = make_plan(names, benchmarks=[table], budgets=[20], seeds=4, targets=["quality", "cost"])
    run(plan, tmp_path, workers=0)
    section = pareto_section(read_study([tmp_path], load=lambda name: table))
    [actual] = [block for block in section.blocks if hasattr(block, "rows")]
    values = [row["front"].sort for row in actual.rows]
    assert {row["label"].text for row in actual.rows} == {"base+ridge", "bag_of_ops+ridge"}
    assert values == sorted(values, reverse=True) and 0 < values[-1] <= values[0] <= 1
    assert "synthetic3/quality against synthetic3/cost, 20 labels" in actual.caption
    both = targets_section(read_study([tmp_path], load=lambda name: table))
    by_target, alike = [block for block in both.blocks if hasattr(block, "rows")]
    assert [row["target"].text for row in by_target.rows] == ["cost", "quality"]
    frame = read_study([tmp_path], load=lambda name: table).frame.groupby(["label", "target"])
    number = [column.title for column in by_target.columns].index("base+ridge: τ") // 2
    for row in by_target.rows:
        actual = frame.get_group(("base+ridge", row["target"].text))
        assert row[f"tau{number}"].sort == pytest.approx(actual["kendall"].mean())
    assert by_target.rows[0][f"mape{number}"].sort == pytest.approx(
        frame.get_group(("base+ridge", "cost"))["mape"].mean()
    )
    assert by_target.rows[1][f"mape{number}"].sort is None  # of an accuracy the order alone was learned
    assert alike.rows[0]["c0"].sort == 1 and alike.rows[0]["c1"].sort == alike.rows[1]["c0"].sort < 0
    alone = make_plan(names, benchmarks=[table], budgets=[20], seeds=4, targets=["quality"])
    run(alone, tmp_path / "one", workers=0)
    one = read_study([tmp_path / "one"], load=lambda name: table)
    assert pareto_section(one) is None and targets_section(one) is None
