"""Candidates: neighbours and mutations of generators, encodings that draw and perturb, several objectives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archrank.datasets import load
from archrank.datasets.errors import ArchrankError
from archrank.datasets.importers.nasbench301 import check_cell
from archrank.eval.search.generated import GeneratedPool, Generator
from archrank.eval.search.guided import GuidedPool
from archrank.eval.search.objectives import combined, front
from archrank.eval.search.plan import plan_searches
from archrank.eval.search.pool import Pool
from archrank.eval.search.run import run_searches
from archrank.eval.search.spaces.darts import Darts
from archrank.eval.search.spaces.nasbench101 import NasBench101
from archrank.eval.search.study import Search
from archrank.eval.search.traces import read_searches

seeds = st.integers(0, 2**31)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_darts_has_120_valid_neighbours_and_is_symmetric(seed):
    space, rng = Darts(), np.random.default_rng(seed)
    here = space.sample(rng)
    near = space.neighbours(here)
    assert len({space.name(other) for other in near} - {space.name(here)}) == 120
    other = near[rng.integers(120)]
    for cell in other:
        check_cell(cell, "a mutation")
        assert all(cell[2 * node][0] < cell[2 * node + 1][0] for node in range(4))
    assert here in space.neighbours(other)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_mutations_of_nasbench101_are_cells_and_symmetric(seed):
    space, rng = NasBench101(), np.random.default_rng(seed)
    here = space.sample(rng)
    for _ in range(3):  # `NB101Cell` refuses what is none
        near = space.neighbours(here)
        other = near[rng.integers(len(near))]
        assert other.hash != here.hash and here.hash in {space.name(back) for back in space.neighbours(other)}
        here = other


@pytest.mark.parametrize("space", [Darts(), NasBench101()])
def test_a_generator_is_searched_by_ask_and_tell(space, tmp_path):
    assert isinstance(space, Generator)

    def score(architecture):  # the more convolutions, the better
        return float(str(architecture).count("2"))

    def started():
        return Search(space, "bananas[candidates=20]", "bag_of_ops+gp", seed=3, folder=tmp_path)

    study = started()
    while len(study.history) < 30:
        rows = study.ask(5)
        study.tell(rows, [score(study.architecture(row)) for row in rows])
        if len(study.history) == 20:
            study.save(tmp_path / "study.json")
            study = Search.load(tmp_path / "study.json", space, folder=tmp_path)
    actual = study.history["score"]
    assert actual[10:].mean() > actual[:10].mean()
    with pytest.raises(ArchrankError, match="pre-trained on a whole table"):
        study = Search(space, "bo", "cate+gp", folder=tmp_path)
        for _ in range(2):
            rows = study.ask(10)
            study.tell(rows, [1.0] * len(rows))
            study.ask(1)


def test_a_pool_of_a_generator_numbers_duplicates_once():
    pool = GeneratedPool(NasBench101())
    drawn = pool.draw(np.random.default_rng(0), 20)
    near = pool.neighbours(drawn[0])
    assert len(pool) == len({cell.hash for cell in pool.architectures}) == len(pool.benchmark)
    assert drawn[0] not in near and drawn[0] in pool.neighbours(int(near[0]))


def test_an_encoding_decides_what_is_near_and_what_is_drawn():
    table = load("digits101").subset(np.arange(0, 6032, 30))
    line = np.arange(len(table), dtype=float)[:, None]
    pool = GuidedPool.over(Pool.of(table), {"sample": line, "perturb": line})
    assert set(pool.neighbours(50).tolist()) == {*range(40, 61)} - {50} and pool.neighbours(50)[0] in (49, 51)
    # A coordinate that almost all candidates share is drawn as often as it occurs; the others are hardly ever nearest.
    crowded = np.zeros((len(pool), 1))
    crowded[-1] = 1.0
    pool = GuidedPool.over(Pool.of(table), {"sample": crowded})
    assert pool.draw(np.random.default_rng(0), 5, {0})[:1] != [0]
    assert len(set(pool.draw(np.random.default_rng(0), 60))) == 60


def test_sample_and_perturb_are_options_of_every_strategy(tmp_path):
    table = load("digits101").subset(np.arange(0, 6032, 30))
    strategies = ["random[sample=path]", "evolution[perturb=adjacency]", "evolution"]
    plan = plan_searches([], benchmarks=[table], strategies=strategies, queries=25, repeats=2)
    assert plan.tasks[1].label == "evolution[perturb=adjacency]"
    assert len({task.key for task in plan.tasks}) == 3
    summary = run_searches(plan, tmp_path, workers=0)
    assert summary.done == 3, summary.failed
    rows = {record.label: record.rows for record in read_searches([tmp_path])[0]}
    assert rows["evolution"] != rows["evolution[perturb=adjacency]"]
    with pytest.raises(ArchrankError, match="takes a fixed encoding"):
        plan_searches([], benchmarks=[table], strategies=["random[sample=gin]"])


def test_the_front_and_its_order():
    values = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0], [0.5, 0.5], [np.nan, 3.0], [1.0, 1.0]])
    assert front(values).tolist() == [0, 1, 2, 5]
    scores = combined(values)
    assert (
        np.isnan(scores[4]) and scores[3] < scores[[0, 1, 2, 5]].min() and scores[[1, 2]].min() > scores[[0, 5]].max()
    )


def test_a_search_for_several_objectives_finds_a_better_front(tmp_path):
    table = load("digits101").subset(np.arange(0, 6032, 10))
    goals = np.stack([table.target("val_accuracy"), table.target("latency_ms")], 1)
    study = Search(table, "evolution", seed=0, direction=("max", "min"), folder=tmp_path)
    for number in range(60):
        rows = study.ask(1)
        study.tell(rows, [None if number == 3 else goals[row].tolist() for row in rows])
    answer = study.history.dropna()
    assert len(study.history) == 60 and list(answer.columns) == ["row", "score_1", "score_2"]
    best_rows = study.front()
    assert study.best() in best_rows and len(best_rows) > 1
    assert sorted(best_rows) == sorted(answer["row"].iloc[front(answer[["score_1", "score_2"]].to_numpy() * [1, -1])])
    study.save(tmp_path / "two.json")
    (row,) = study.ask(1)
    assert Search.load(tmp_path / "two.json", table, folder=tmp_path).ask(1) == [row]
    with pytest.raises(ArchrankError, match="2 objectives"):
        study.tell([row], [1.0])
