"""Splits: the draws of old protocols stay as they are, published ones do what their papers' code does, leaks are
said."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from archrank.datasets import published_splits
from archrank.datasets.benchmark import build
from archrank.datasets.errors import ArchrankError, DataError, DataMissing
from archrank.datasets.splits import PROTOCOLS, make_split


def toy(count=100, name="toy", metrics=("cifar10_val", "cifar10_test"), arch=None, graphs=None):
    """A benchmark of chains and of whatever graphs are given; key = row // 2, so that rows come as twins."""
    draw = np.random.default_rng(5)
    graphs = graphs or [([0, 1 + row % 3, 4], [0, 1, 1, 2]) for row in range(count)]
    frame = pd.DataFrame(
        {
            "arch": arch or [f"a{row}" for row in range(count)],
            "ops": [ops for ops, _ in graphs],
            "edges": [edges for _, edges in graphs],
            "key": [str(row // 2) for row in range(count)],
            **{metric: draw.normal(size=count) for metric in metrics},
        }
    )
    card = {
        "name": name,
        "title": name,
        "sha256": "",
        "default_target": metrics[0],
        "metrics": {metric: {"direction": "max"} for metric in metrics},
        "space": {"name": name, "ops": list("abcde"), "max_nodes": max(len(ops) for ops, _ in graphs)},
    }
    return build(frame, card)


def fingerprint(split):
    parts = [split.pool[:9].tolist(), split.validation[:5].tolist(), split.test[:9].tolist()]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12], [
        len(split.pool),
        len(split.validation),
        len(split.test),
    ]


@pytest.mark.parametrize(
    ("protocol", "seed", "expected"),
    [
        ("clean", 0, ("b5ffe8665ebe", [50, 0, 50])),
        ("clean", 3, ("3ac808a066e4", [50, 0, 50])),
        ("gates", 0, ("22b2570c9dd4", [50, 40, 10])),
        ("gates", 21, ("fc0de1c204a1", [50, 40, 10])),
    ],
)
def test_draws_never_change(protocol, seed, expected):
    split = make_split(toy(), protocol, seed)
    assert fingerprint(split) == expected and split.train_target is None and split.test_target is None


def test_clean_keeps_twins_together():
    benchmark = toy()
    split = make_split(benchmark, "clean", 1)
    assert not set(benchmark.key[split.pool]) & set(benchmark.key[split.test])


def test_tnasp_tests_on_everything_with_the_test_score():
    benchmark = toy()
    split = make_split(benchmark, "tnasp", 7)
    assert (split.train_target, split.test_target) == ("cifar10_val", "cifar10_test")
    assert (
        split.test.tolist() == list(range(100)) and sorted(split.pool) == list(range(100)) and not len(split.validation)
    )
    assert split.pool.tolist() == np.random.RandomState(7).permutation(100).tolist()
    assert set(split.train(10)) < set(split.train(20))
    assert PROTOCOLS["tnasp"].leaks and PROTOCOLS["nar"].leaks


def test_nar_takes_the_first_in_file_order_whatever_the_seed():
    one, other = (make_split(toy(), "nar", seed) for seed in (0, 9))
    assert (
        one.pool.tolist() == list(range(50))
        and one.validation.tolist() == list(range(50, 100))
        and one.digest == other.digest
    )
    assert one.test.tolist() == list(range(100)) and one.test_target == "cifar10_test"


def test_two_scores_are_needed_where_two_are_used():
    for metrics in (("cifar10_test",), ("accuracy",), ("cifar10_val", "other")):
        with pytest.raises(ArchrankError, match="no such pair"):
            make_split(toy(metrics=metrics), "tnasp", 0)
    benchmark = toy()
    benchmark.scores.loc[3, "cifar10_test"] = np.nan
    assert 3 not in make_split(benchmark, "tnasp", 0).pool


def test_ppuda_uses_the_official_parts():
    benchmark = toy(arch=[f"{part}/{row}" for part in ("test", "val", "wide", "deep") for row in range(25)])
    split = make_split(benchmark, "ppuda", 4)
    assert split.test.tolist() == list(range(25)) and split.pool.tolist() == list(range(25, 50))
    with pytest.raises(ArchrankError, match="DeepNets-1M"):
        make_split(toy(), "ppuda", 0)


def dense(nodes, edges):
    pairs = [(u, v) for v in range(1, nodes) for u in range(v)][:edges]
    return [0, *[1] * (nodes - 2), 4], [node for pair in pairs for node in pair]


def test_outside_trains_small_and_tests_large_without_the_overlap():
    shapes = [(4, 3), (5, 7), (5, 8), (6, 6), (6, 7), (6, 9), (7, 6), (7, 9)] * 4
    benchmark = toy(len(shapes), graphs=[dense(*shape) for shape in shapes])
    benchmark.key = np.array([str(row) for row in range(len(shapes))], object)
    split = make_split(benchmark, "cate-outside", 2)
    assert {shapes[row] for row in split.pool} == {(4, 3), (5, 7), (6, 6)}
    assert {shapes[row] for row in split.test} == {(6, 7), (6, 9)}
    twin = int(split.pool[0])
    benchmark.key[twin] = benchmark.key[split.test[0]]
    assert twin not in make_split(benchmark, "cate-outside", 2).pool
    with pytest.raises(ArchrankError, match="needs cells of different size"):
        make_split(toy(), "cate-outside", 0)


@pytest.fixture
def lists(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "nasbench101"
    folder.mkdir(parents=True)
    monkeypatch.setenv("ARCHRANK_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    published_splits.gates_hashes.cache_clear()
    yield folder
    published_splits.gates_hashes.cache_clear()


def test_gates_on_nasbench101_stays_within_the_published_list(lists, monkeypatch):
    monkeypatch.setattr(published_splits, "GATES_COUNT", 60)
    hashes = [hashlib.md5(str(number).encode()).hexdigest() for number in range(140)]
    for name, part in zip(published_splits.GATES_FILES, (hashes[100:40:-1], hashes[:60])):
        (lists / name).write_text("\n".join(part) + "\n")
        with pytest.raises(DataError):  # the lists overlap, or the second is missing still
            published_splits.gates_hashes()
        published_splits.gates_hashes.cache_clear()
    (lists / published_splits.GATES_FILES[1]).write_text("\n".join(hashes[101:140] + hashes[:21]))
    benchmark = toy(140, "nasbench101", arch=hashes)
    split = make_split(benchmark, "gates", 3)
    listed = [*range(100, 40, -1), *range(101, 140), *range(21)]
    order = np.array(listed)[np.random.RandomState(3).permutation(120)]
    assert split.pool.tolist() == order[:60].tolist() and split.test.tolist() == order[100:].tolist()
    with pytest.raises(ArchrankError, match="is not in benchmark"):
        make_split(toy(139, "nasbench101", arch=hashes[:139]), "gates", 3)


def test_missing_or_damaged_lists_are_said(lists, monkeypatch):
    monkeypatch.setattr("archrank.datasets.catalog.data_folders", lambda: [lists.parent])
    with pytest.raises(DataMissing, match="flan_nas"):
        published_splits.gates_hashes()
    (lists / published_splits.GATES_FILES[0]).write_text("zz" * 16)
    with pytest.raises(DataError, match="line 1"):
        published_splits.gates_hashes()


@pytest.mark.data
def test_real_lists(real_data, monkeypatch):
    monkeypatch.setattr("archrank.datasets.catalog.data_folders", lambda: [real_data])
    published_splits.gates_hashes.cache_clear()
    actual = published_splits.gates_hashes()
    published_splits.gates_hashes.cache_clear()
    assert len(actual) == len(set(actual)) == 14580
