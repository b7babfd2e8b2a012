import pytest
import torch

from archrank import datasets
from archrank.encoders.features.bag_of_ops import bag_of_ops
from tests.encoders import golden as g


def test_counts_and_size():
    diamond = ([0, 2, 2, 3, 4], ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4)))
    actual = bag_of_ops(g.graphs(g.C5, g.C3, diamond, nodes=7), g.space(7))
    assert actual.dtype == torch.float32
    assert actual.tolist() == [[1, 1, 1, 1, 1, 5], [1, 0, 1, 0, 1, 3], [1, 0, 2, 1, 1, 5]]


def test_cells_are_counted_apart():
    actual = bag_of_ops(g.graphs(g.C5, g.C3, together=True), g.space(8, cells=2))
    assert actual.tolist() == [[1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 8]]


def test_edges_do_not_matter():
    with_edges, without = g.graphs(g.C5), g.graphs((g.C5[0], ()))
    assert torch.equal(bag_of_ops(with_edges, g.space(5)), bag_of_ops(without, g.space(5)))


@pytest.mark.data
@pytest.mark.skipif(datasets.available()["nasbench201"] == "missing", reason="needs the NAS-Bench-201 table")
def test_every_multiset_of_operations_once():
    benchmark = datasets.load("nasbench201")
    actual = bag_of_ops(benchmark.graphs, benchmark.space)
    # six edges, five operations: 10 choose 4 multisets
    assert len(actual.unique(dim=0)) == 210
