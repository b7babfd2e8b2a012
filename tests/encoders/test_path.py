import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archrank.datasets import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.importers import nasbench301
from archrank.datasets.space import SearchSpace
from archrank.encoders.paths import path as p
from archrank.encoders.paths.canonical_path import canonical_path
from tests.encoders import golden as g
from tests.encoders import spaces

NB101, NB201 = spaces.nasbench101(), spaces.nasbench201()
WAYS = ((3,), (0, 4), (1, 5), (0, 2, 5))
CELLS = st.lists(st.integers(1, 5), min_size=6, max_size=6)


def number(ops, base):
    """Place of a sequence in the code: shorter sequences first, then sum of op * base^t."""
    return sum(base**length for length in range(len(ops))) + sum(op * base**t for t, op in enumerate(ops))


def walks(graphs, i):
    """Operations on every path from input to output, by walking."""
    actual = []

    def go(v, ops):
        for w in torch.nonzero(graphs.adj[i, v])[:, 0].tolist():
            if w == int(graphs.mask[i].sum()) - 1:
                actual.append(ops)
            else:
                go(w, (*ops, int(graphs.ops[i, w]) - 1))

    go(0, ())
    return actual


@settings(max_examples=50, deadline=None)
@given(CELLS)
def test_nasbench201_has_exactly_its_four_paths(cell):
    code = p.path(spaces.nasbench201_graphs([cell]), NB201)[0]
    expected = {number([cell[e] - 1 for e in way], 5) - 1 for way in WAYS}
    assert set(torch.nonzero(code)[:, 0].tolist()) == expected


def test_naslib_reads_two_wrong_paths():
    cell = [1, 2, 3, 4, 5, 1]
    code = p.path(spaces.nasbench201_graphs([cell]), NB201, faithful=True)[0]
    # By source the same cell is 0>1 1, 0>2 2, 0>3 4, 1>2 3, 1>3 5, 2>3 1; blueprints [3], [0, 4], [1, 5], [0, 2, 5].
    by_source = [1, 2, 4, 3, 5, 1]
    expected = {number([by_source[e] - 1 for e in way], 5) - 1 for way in WAYS}
    assert set(torch.nonzero(code)[:, 0].tolist()) == expected


def test_nasbench101_against_walking_every_path():
    graphs = spaces.random_graphs(NB101, 40, 0)
    counts = p.path_counts(graphs, NB101)[0]
    for i in range(len(graphs)):
        expected = torch.zeros(364)
        for ops in walks(graphs, i):
            expected[number(ops, 3)] += 1
        assert torch.equal(counts[i], expected)


@pytest.mark.parametrize(
    "encode, nb101, nb201, darts",
    [
        (p.path, 364, 155, 11_204),
        (p.path_truncated, 40, 30, 228),
        (p.path_categorical, 20, 4, 80),
        (p.path_truncated_categorical, 20, 4, 80),
        (p.path_continuous, 365, 156, 11_205),
    ],
)
def test_lengths(encode, nb101, nb201, darts):
    assert encode(spaces.random_graphs(NB101, 3, 0), NB101).shape == (3, nb101)
    assert encode(spaces.nasbench201_graphs([[1, 2, 3, 4, 5, 1]]), NB201).shape == (1, nb201)
    space, graphs, _ = spaces.darts(3, 0)
    assert encode(graphs, space).shape == (3, darts)
    assert p.path_truncated(graphs, space, faithful=True).shape == (3, 100)


def test_lengths_where_none_is_among_the_operations():
    cell = tuple((node + turn, 0) for node in range(4) for turn in (0, 1))
    ops, edges, cells = nasbench301.graph(cell, cell)
    space = SearchSpace("nasbench301", nasbench301.OPS, 30, nasbench301.ROLES, 2)
    adj = torch.zeros(1, 30, 30, dtype=torch.bool)
    adj[0, [u for u, _ in edges], [v for _, v in edges]] = True
    graphs = Graphs(torch.tensor([ops]), adj, torch.ones(1, 30, dtype=torch.bool), torch.tensor([cells]))
    for encode, width in ((p.path, 18_724), (p.path_truncated, 292), (canonical_path, 11_204)):
        assert encode(graphs, replace(space, support=adj[0].numpy())).shape == (1, width)


def darts_paths(pairs, source):
    """Operation sequences from one input of a cell to each intermediate node."""
    reached = {source: [()]}
    for node in range(4):
        mine = pairs[2 * node : 2 * node + 2]
        reached[node + 2] = [(*ops, op - 2) for u, op in mine for ops in reached.get(u, [])]
    return [ops for node in range(2, 6) for ops in reached[node]]


@pytest.mark.parametrize("faithful", [False, True])
def test_darts_against_its_genotypes(faithful):
    space, graphs, genotypes = spaces.darts(20, 1)
    code = p.path(graphs, space, faithful=faithful)
    for i, cells in enumerate(genotypes):
        for (which, pairs), source in itertools.product(enumerate(cells), (0, 1)):
            pairs = [*pairs[:7], (9, 2)] if faithful else pairs
            block = 2 * which + source
            seen = torch.nonzero(code[i, 2801 * block : 2801 * (block + 1)])[:, 0].tolist()
            assert set(seen) == {number(ops, 7) for ops in darts_paths(pairs, source)}


def test_truncation_keeps_short_paths_of_every_block():
    space, graphs, _ = spaces.darts(5, 2)
    whole, short = p.path(graphs, space).unflatten(1, (4, -1)), p.path_truncated(graphs, space).unflatten(1, (4, -1))
    assert torch.equal(whole[:, :, :57], short)
    assert short.any(2).all()


def test_categorical_keeps_multiplicity():
    # Two paths "conv1x1" beside the direct one.
    graphs = g.graphs(([0, 1, 1, 4], ((0, 1), (0, 2), (0, 3), (1, 3), (2, 3))), nodes=7)
    assert p.path_categorical(graphs, NB101)[0].tolist() == [1, 2, 2] + [0] * 17
    assert p.path_categorical(graphs, NB101, faithful=True)[0].tolist() == [0, 1, 1] + [0] * 17
    assert p.path(graphs, NB101)[0].sum() == 2
    assert p.path_continuous(graphs, NB101)[0, -1] == 2


def test_truncated_categorical_drops_long_paths():
    chain = ([0, 1, 1, 1, 1, 4], ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)))
    graphs = g.graphs(chain, nodes=7)
    assert (p.path_categorical(graphs, NB101)[0] > 0).sum() == 2
    assert p.path_truncated_categorical(graphs, NB101)[0].tolist() == [1] + [0] * 19


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_invariant_to_order_and_dangling_nodes(seed):
    graphs = spaces.random_graphs(NB101, 8, seed)
    code = p.path(graphs, NB101)
    assert torch.equal(code, p.path(spaces.shuffled(graphs, seed), NB101))
    onto = torch.ones(8, 7, dtype=torch.bool)
    for v in range(1, 6):
        # A node nothing reaches, or that reaches nothing, may come and go.
        dangling = ~graphs.reach[:, 0, v] & graphs.mask[:, v]
        onto[:, v] &= ~dangling
    pruned = type(graphs)(graphs.ops, graphs.adj & onto[:, :, None] & onto[:, None, :], graphs.mask, graphs.cell)
    assert torch.equal(code, p.path(pruned, NB101))


def test_not_injective():
    # The operations in series share a node in one cell and not in the other.
    shared = ([0, 1, 2, 3, 4], ((0, 1), (1, 2), (1, 3), (2, 4), (3, 4)))
    apart = ([0, 1, 1, 2, 3, 4], ((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)))
    codes = p.path(g.graphs(shared, apart, nodes=7), NB101)
    assert torch.equal(codes[0], codes[1])


def test_a_space_whose_cells_are_all_small_keeps_the_direct_edge():
    # The table is padded to 7 nodes, but no cell has more than 4, so none has its output in the last place.
    graphs = g.graphs(([0, 4], ((0, 1),)), ([0, 1, 2, 4], ((0, 1), (1, 2), (2, 3), (0, 3))), nodes=7)
    support, constant = graphs.adj.any(0).numpy(), graphs.adj.all(0).numpy()
    small = SearchSpace("nasbench101", NB101.ops, 7, {"input": 0, "output": 4}, 1, support, constant)
    assert p.path(graphs, small)[:, 0].tolist() == [1, 1]
    assert p.path_categorical(graphs, small).shape == (2, 20)


def chains(length, letters):
    ops = ("input", *map(str, range(letters)), "output")
    edges = tuple((v, v + 1) for v in range(length + 1))
    cells = [([0, *[1 + (i + j) % letters for j in range(length)], letters + 1], edges) for i in range(3)]
    graphs = g.graphs(*cells)
    fixed = graphs.adj[0].numpy()
    return SearchSpace("chains", ops, length + 2, {"input": 0, "output": letters + 1}, 1, fixed, fixed), graphs


def test_truncation_leaves_chains_their_one_path():
    space, graphs = chains(5, 3)
    assert (p.path_truncated(graphs, space).sum(1) == 1).all()
    assert p.path_categorical(graphs, space).shape == (3, 1)


def test_a_code_that_would_see_nothing_is_refused():
    space, graphs = chains(5, 9)
    many = graphs[torch.arange(60) % 3]
    with pytest.raises(ArchrankError, match=r"no path .* has 4 operations or fewer; raise `longest`"):
        p.path(many, space)
    # All chains have the same edges, so even a few are known to have no shorter path; elsewhere a few may have none.
    with pytest.raises(ArchrankError, match="no path from input to output"):
        p.path_categorical(graphs, space)
    assert not p.path(graphs, SearchSpace("chains", space.ops, space.max_nodes, space.roles)).any()


def test_wide_spaces_are_cut_by_default_and_refused_when_asked_for():
    space = SearchSpace("wide", ("input", *"abcdefghijklm", "output"), 600, {"input": 0, "output": 14})
    graphs = spaces.random_graphs(space, 4, 0, density=0.05)
    assert p.path(graphs, space).shape[1] == 1 + 13 + 13**2 + 13**3
    assert p.path(graphs, space).any()
    with pytest.raises(ArchrankError, match="choose a smaller `longest`"):
        p.path(graphs, space, longest=5)
