import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archrank.datasets import ArchrankError
from archrank.datasets.space import SearchSpace
from archrank.encoders.features import adjacency as a
from tests.encoders import golden as g
from tests.encoders import spaces

NB101, NB201 = spaces.nasbench101(), spaces.nasbench201()
# Edges of C5 among the 21 slots, its output moved from node 4 to node 6.
SLOTS = {pair: i for i, pair in enumerate((u, v) for u in range(7) for v in range(u + 1, 7))}
C5 = sorted(SLOTS[u, 6 if v == 4 else v] for u, v in g.C5_EDGES)


def c5():
    return g.graphs(g.C5, nodes=7)


def test_lengths():
    graphs = spaces.random_graphs(NB101, 3, 0)
    assert a.adjacency(graphs, NB101).shape == (3, 36)
    assert a.adjacency(graphs, NB101, ops="scalar").shape == (3, 26)
    assert a.adjacency_categorical(graphs, NB101).shape == (3, 26)
    assert a.adjacency_continuous(graphs, NB101).shape == (3, 27)
    cell = spaces.nasbench201_graphs([[1, 2, 3, 4, 5, 1]])
    assert a.adjacency(cell, NB201).shape == (1, 30)
    assert a.adjacency(cell, NB201, ops="scalar")[0].tolist() == [0, 0.25, 0.5, 0.75, 1, 0]
    space, graphs, _ = spaces.darts(3, 0)
    assert a.adjacency(graphs, space, ops="scalar").shape == (3, 114)


def test_slots_of_a_known_cell():
    code = a.adjacency(c5(), NB101)[0]
    assert torch.nonzero(code[:21])[:, 0].tolist() == C5
    assert code[21:].view(5, 3).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
    scalar = a.adjacency(c5(), NB101, ops="scalar")[0, 21:].tolist()
    assert scalar == [0, 0.5, 1, -0.5, -0.5]
    assert a.adjacency(c5(), NB101, ops="scalar", faithful=True)[0, 21:].tolist() == [0, 0.5, 1, 0.5, 0.5]


def test_categorical_numbers_edges():
    assert a.adjacency_categorical(c5(), NB101)[0, :21].tolist() == [i + 1 for i in C5] + [0] * 14
    assert a.adjacency_categorical(c5(), NB101, faithful=True)[0, :21].tolist() == [*C5, *[0] * 14]


def test_categorical_as_published_cannot_tell_the_first_edge_from_none():
    lone = g.graphs(([0, 1, 4], ((0, 1),)), ([0, 1, 4], ()), nodes=7)
    for faithful, same in ((True, True), (False, False)):
        first, second = a.adjacency_categorical(lone, NB101, faithful=faithful)
        assert torch.equal(first, second) == same


def test_continuous_counts_edges():
    code = a.adjacency_continuous(c5(), NB101)[0]
    assert code[21] == 7
    assert code[22:].tolist() == [0, 0.5, 1, -0.5, -0.5]


def test_continuous_as_published_loses_the_first_operation():
    code = a.adjacency_continuous(c5(), NB101, faithful=True)[0]
    assert code[21:].tolist() == [0, 0.5, 0.5, 1, 0.5, 7]


def test_darts_matrix_and_operations():
    space, graphs, genotypes = spaces.darts(10, 3)
    code = a.adjacency(graphs, space, ops="scalar")
    for i, cells in enumerate(genotypes):
        expected = torch.zeros(2, 7, 7)
        for which, pairs in enumerate(cells):
            for n, (source, _) in enumerate(pairs):
                expected[which, source, 2 + n // 2] = 1
            expected[which, 2:6, 6] = 1
        ops = torch.tensor([[(op - 2) / 6 for _, op in pairs] for pairs in cells])
        assert torch.equal(code[i, :98], expected.flatten())
        assert torch.allclose(code[i, 98:], ops.flatten())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_injective_on_labelled_graphs(seed):
    graphs = spaces.random_graphs(NB101, 30, seed)
    code = a.adjacency(graphs, NB101)
    for i in range(30):
        for j in range(i):
            same = all(torch.equal(x[i], x[j]) for x in (graphs.ops, graphs.adj, graphs.mask))
            assert torch.equal(code[i], code[j]) == same


def test_depends_on_the_order_of_nodes():
    graphs = spaces.random_graphs(NB101, 50, 0)
    other = a.adjacency(spaces.shuffled(graphs, 1), NB101)
    assert (a.adjacency(graphs, NB101) != other).any(1).any()


def test_large_graphs_are_refused_with_a_reason():
    space = SearchSpace("wide", ("input", "a", "output"), 600, {"input": 0, "output": 2})
    with pytest.raises(ArchrankError, match=r"600 nodes need 180,298 features"):
        a.adjacency(spaces.random_graphs(space, 1, 0, 0.01), space)
