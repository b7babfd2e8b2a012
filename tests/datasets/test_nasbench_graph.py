"""NAS-Bench-Graph: the whole release against known facts, hashes both ways, and tables that are not what they should
be."""

import itertools
import pickle

import pytest

from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers import nasbench_graph as source

ENTRY = {"valid_perf": 0.8, "perf": 0.79, "latency": 0.01, "para": 1.5}


@pytest.mark.data
@pytest.mark.parametrize("variant", ["cora", "proteins"])
def test_release_has_its_counts_best_scores_and_classes(real_data, variant):
    frame, card = source.read(source.locate(real_data, variant), variant)
    benchmark = build(frame, card)
    facts = card["facts"]
    assert (
        len(benchmark) == facts["architectures"] == len(set(benchmark.key))
    )  # the authors kept one cell of each class
    for name, best in facts["best"].items():
        assert benchmark.target(name).max() == pytest.approx(best, abs=1e-6)
    words = {name.split("-", 1)[1] for name in benchmark.arch}
    used = {op for word in words for op in word.split("-")}
    assert used == ({"gcn", "sage", "arma", "fc", "skip"} if variant == "proteins" else set(source.GNN_OPS))


def test_graph_follows_the_links():
    ops, edges = source.graph(30123, "here")  # links 0012, ops gat gcn gin cheb
    assert source.name_of(30123) == "0012-gat-gcn-gin-cheb"
    assert ops == [0, 1, 2, 3, 4, 10]
    assert edges == [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)]


def test_every_hash_has_its_own_name_and_one_way_to_the_output():
    names = set()
    for digits in itertools.product(range(9), (0, 8), (3,), (5,), (0, 7)):
        code = int("".join(map(str, digits)))
        names.add(source.name_of(code))
        _, edges = source.graph(code, "here")
        assert all(u < v for u, v in edges) and {u for u, _ in edges} == {0, 1, 2, 3, 4}
    assert len(names) == 9 * 4


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "dictionary of architectures"),
        ([1, 2], "dictionary of architectures"),
        ({9: ENTRY, 90000: ENTRY}, "not the hash"),
        ({-1: ENTRY}, "not the hash"),
        ({"0": ENTRY}, "not the hash"),
        ({0: {"perf": 0.5}}, "needs valid_perf"),
        ({0: dict(ENTRY, perf=float("inf"))}, "finite"),
        ({0: dict(ENTRY, perf="0.5")}, "not a number"),
        ({0: dict(ENTRY, perf=10**400)}, "finite"),
        ({0: dict(ENTRY, perf=10**5000)}, "finite"),
        ({0: dict(ENTRY, perf=[[[[1]]]])}, "not a number"),
        ({10**5000: ENTRY}, "not the hash"),
    ],
)
def test_wrong_tables_are_refused_by_architecture(tmp_path, table, says):
    path = tmp_path / "cora.bench"
    path.write_bytes(pickle.dumps(table))
    with pytest.raises(DataError, match=says):
        source.read(path, "cora")


def test_code_in_the_table_is_refused_and_nothing_is_written(tmp_path, cache, monkeypatch):
    class Evil:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'owned')!r}, 'w')",)

    from archrank.datasets import catalog

    folder = tmp_path / "data" / "nasbench_graph"
    folder.mkdir(parents=True)
    (folder / "cora.bench").write_bytes(pickle.dumps({0: ENTRY, 10: Evil()}))
    monkeypatch.setenv("ARCHRANK_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match="exec"):
        catalog.load("nasbench_graph_cora")
    assert not (tmp_path / "owned").exists() and not list(cache.rglob("*.*"))
