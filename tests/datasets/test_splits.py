import numpy as np
import pytest

from archrank.datasets import load, make_split
from archrank.datasets.errors import ArchrankError
from archrank.datasets.splits import PROTOCOLS


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_clean_keeps_test_architectures_and_their_twins_apart(cells, seed):
    twins = cells.subset(range(len(cells)))
    twins.key = np.array([f"class {i // 3}" for i in range(len(cells))], object)
    split = make_split(twins, "clean", seed)
    assert not set(twins.key[split.pool]) & set(twins.key[split.test])
    assert sorted([*split.pool, *split.test]) == list(range(len(cells)))
    assert len(split.test) <= len(cells) // 2 and len(split.test) > len(cells) // 2 - 3
    assert len(split.validation) == 0


def test_classes_stay_whole_where_scores_are_missing(cells):
    some = cells.subset(range(len(cells)))
    some.key = np.array([f"class {i % 130}" for i in range(len(cells))], object)
    scored = np.arange(len(cells)) % 5 != 0
    some.scores.loc[~scored, some.default_target] = np.nan
    split = make_split(some, "clean", 0)
    assert not set(some.key[split.pool]) & set(some.key[split.test])
    assert sorted([*split.pool, *split.test]) == np.flatnonzero(scored).tolist()


def test_budgets_are_nested_and_bounded(cells):
    split = make_split(cells, "clean", 0)
    assert np.array_equal(split.train(20), split.train(50)[:20])
    with pytest.raises(ArchrankError, match=r"budget 1000: this protocol leaves 4 to 200"):
        split.train(1000)
    with pytest.raises(ArchrankError, match="budget 4: the table is too small for this protocol, which leaves 2 of it"):
        make_split(cells.subset(range(4)), "clean", 0).train(4)


@pytest.mark.parametrize("protocol", ["clean", "gates"])
def test_a_split_depends_on_its_seed_alone(cells, protocol):
    one, same, other = (make_split(cells, protocol, seed) for seed in (3, 3, 4))
    assert one.digest == same.digest != other.digest
    parts = [*one.pool, *one.validation, *one.test]
    assert len(set(parts)) == len(parts)


def test_splits_never_change():
    """The digests of published splits: a change here changes every result."""
    from archrank.eval.synthetic import synthetic

    small = synthetic(120, seed=5)
    assert {name: make_split(small, name, 0).digest[:16] for name in ("clean", "gates")} == {
        "clean": "a5eb102b2d600461",
        "gates": "fcc539ac73571fc2",
    }


def test_architectures_without_a_score_are_left_out(cells):
    holes = cells.subset(range(len(cells)))
    holes.scores.loc[:99, "quality"] = np.nan
    split = make_split(holes, "clean", 0)
    assert min(*split.pool, *split.test) == 100


def test_unknown_protocol_is_refused(cells):
    with pytest.raises(ArchrankError, match="unknown protocol 'clena': did you mean clean"):
        make_split(cells, "clena", 0)


def test_protocols_that_leak_say_so():
    assert not PROTOCOLS["clean"].leaks
    assert "validation" in PROTOCOLS["gates"].leaks


@pytest.mark.data("nasbench201")
def test_gates_on_nasbench201_has_the_published_sizes():
    split = make_split(load("nasbench201"), "gates", 0)
    assert (len(split.pool), len(split.validation), len(split.test)) == (7813, 40, 7772)
