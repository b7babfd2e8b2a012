"""Which trials train together: the same whatever is stored and on however many cores, and shards that share nothing."""

import pytest

from archrank.datasets.errors import ArchrankError
from archrank.eval.runners.run import run
from archrank.eval.trials.groups import compose, ensemble_id, in_shard, make_groups
from archrank.eval.trials.store import Store
from tests.eval.runs import content, plan_of

pytestmark = pytest.mark.usefixtures("short_training")


def keys(members):
    return [item.trial.key for item in members]


def seeds(members):
    return [(item.trial.seed, item.trial.budget) for item in members]


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (5, [5]), (7, [7]), (9, [4, 5]), (10, [5, 5]), (20, [10, 10]), (30, [10, 10, 10])]
)
def test_many_seeds_are_several_ensembles_whatever_the_number_of_cores(cells, count, sizes):
    assert list(map(len, compose(plan_of(cells, "gcn", [20], count).trials))) == sizes
    assert list(map(len, compose(plan_of(cells, "gcn", [20], count).trials, "cuda:0"))) == [count]


def test_ensembles_are_whole_where_there_are_enough_of_them_for_several_cores(cells):
    assert list(map(len, compose(plan_of(cells, "gcn,gin,tart,path+ridge", [20], 9).trials))) == [4, 5] * 4
    assert list(map(len, compose(plan_of(cells, "gcn,gin,tart,dagnn", [20], 9).trials))) == [9] * 4


def test_an_ensemble_of_which_nothing_is_stored_is_the_same_whatever_else_is(cells, tmp_path):
    trials = plan_of(cells, "gcn,path+ridge", [20, 40], 9).trials
    empty = {ensemble_id(group.members) for group in make_groups(trials, set(), Store(tmp_path / "empty"))}
    first, *others = compose(trials)
    partly = make_groups(trials, set(keys(first)[:3]), Store(tmp_path / "partly"))
    assert {ensemble_id(members) for members in others} <= {ensemble_id(group.members) for group in partly} and len(
        empty
    ) == 1 + len(others)
    assert sorted(key for group in partly for key in group.pending_keys) == sorted(
        set(keys(item for members in compose(trials) for item in members)) - set(keys(first)[:3])
    )


def test_what_was_lost_of_an_ensemble_comes_back_to_the_last_bit(cells, tmp_path, mine):
    """Without a journal: the records of the others say which ensemble they trained in."""
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    for store in (whole, damaged):
        run(plan_of(cells, mine), store, workers=0)
    for item in plan_of(cells, mine).trials[:2]:
        (damaged / "trials" / f"{item.trial.key}.json").unlink()
    assert run(plan_of(cells, mine), damaged, workers=0).trained == 2 and content(damaged) == content(whole)


def test_seeds_that_are_added_train_without_those_that_are_stored(cells, tmp_path, mine):
    run(plan_of(cells, mine, [20], 2), tmp_path, workers=0)
    trials = plan_of(cells, mine, [20], 4).trials
    (group,) = make_groups(trials, set(Store(tmp_path).keys()), Store(tmp_path))
    assert seeds(group.members) == [(2, 20), (3, 20)]


def test_shards_are_the_plan_and_one_pretraining_is_in_one_of_them(cells):
    ensembles = compose(plan_of(cells, "gcn,gin,cate+ridge,cate+mlp,path+ridge", [20, 40], 9).trials)
    for count in (1, 3, 50):
        shards = [in_shard(ensembles, number, count) for number in range(1, count + 1)]
        assert sorted(keys(item for shard in shards for members in shard for item in members)) == sorted(
            keys(i for e in ensembles for i in e)
        )
        assert sum(any(members[0].spec.info.name == "cate" for members in shard) for shard in shards) == 1
    assert max(map(len, (in_shard(ensembles, number, 3) for number in (1, 2, 3)))) <= 1 + len(ensembles) // 2


def test_a_shard_does_not_depend_on_what_is_stored_and_together_they_are_the_plan(cells, tmp_path):
    plan = plan_of(cells, "path+ridge,bag_of_ops+ridge,adjacency+ridge", [12, 20], 2)
    run(plan, tmp_path / "whole", workers=0)
    first = run(plan, tmp_path / "a", workers=0, shard=(1, 2))
    again = run(plan, tmp_path / "a", workers=0, shard=(1, 2))
    second = run(plan, tmp_path / "b", workers=0, shard=(2, 2))
    assert (
        first.planned == first.trained == again.kept
        and first.planned + second.planned == 12
        and second.trained == second.planned
    )
    together = content(tmp_path / "a") | content(tmp_path / "b")
    assert together == content(tmp_path / "whole")


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0)])
def test_a_shard_that_is_none_is_refused(cells, tmp_path, shard):
    with pytest.raises(ArchrankError, match=r"shard .*: give the number of a part"):
        run(plan_of(cells, "path+ridge"), tmp_path, workers=0, shard=shard)
