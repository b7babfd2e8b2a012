import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archrank.datasets import available, load
from archrank.datasets.canonical import canonicalize, contract, isomorphism_key, roles_of
from archrank.datasets.nb101_cells import enumerate_cells, module_hash, sample_cells
from archrank.datasets.space import SearchSpace
from tests.encoders import spaces

NB201 = spaces.nasbench201()
NONE, SKIP, C1, C3, POOL = 1, 2, 3, 4, 5


def canonical(cells):
    graphs = spaces.nasbench201_graphs(cells)
    return canonicalize(NB201, *(t.numpy() for t in (graphs.ops, graphs.adj, graphs.mask)))


def oracle_key(cell):
    """The words of operations data goes through in a NAS-Bench-201 cell, written from its four paths."""
    words = []
    for way in ((3,), (0, 4), (1, 5), (0, 2, 5)):
        ops = [cell[i] for i in way]
        if NONE not in ops:
            words.append(tuple(op for op in ops if op != SKIP))
    return sorted(words)


def words_of(form, i):
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(8))
    for u, v in np.argwhere(form.links[i]):
        graph.add_edges_from([(u, v)] * int(form.links[i, u, v]))
    return sorted(
        tuple(int(form.ops[i, v]) for _, v in walk[:-1])
        for walk in ([edge[:2] for edge in path] for path in nx.all_simple_edge_paths(graph, 0, 7))
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 5), min_size=6, max_size=6), min_size=1, max_size=5))
def test_every_path_that_carries_data_survives_and_no_other(cells):
    form = canonical(cells)
    for i, cell in enumerate(cells):
        assert words_of(form, i) == oracle_key(cell)


def test_dead_operations_go_and_inputs_and_outputs_stay():
    form = canonical([[NONE] * 6, [C3, C1, POOL, NONE, NONE, C1]])
    assert form.mask[0].tolist() == [True] + [False] * 6 + [True]
    assert not form.links[0].any()
    assert form.mask[1].tolist() == [True, True, True, True, False, False, True, True]


def test_parallel_identities_are_counted():
    form = canonical([[SKIP] * 6])
    assert form.links[0, 0, 7] == 4
    assert form.links[0].sum() == 4


def test_contract_multiplies_the_ways():
    links = np.zeros((1, 4, 4), np.int32)
    links[0, 0, 1], links[0, 1, 2], links[0, 1, 3], links[0, 0, 3] = 2, 3, 1, 1
    out = contract(links, np.array([[False, True, False, False]]))
    assert out[0].tolist() == [[0, 0, 6, 3], [0] * 4, [0] * 4, [0] * 4]
    assert links[0, 0, 1] == 2


def test_contract_saturates_instead_of_overflowing():
    nodes = 60
    links = np.triu(np.ones((1, nodes, nodes), np.int32), 1)
    inner = np.ones((1, nodes), bool)
    inner[0, [0, -1]] = False
    assert contract(links, inner)[0, 0, -1] == 1_000_000


def test_strided_skips_of_a_reduction_cell_stay():
    space, graphs, genotypes = spaces.darts(20, 0)
    form = canonicalize(space, *(t.numpy() for t in (graphs.ops, graphs.adj, graphs.mask, graphs.cell)))
    skip = graphs.ops.numpy() == 4
    assert not (form.mask & skip)[:, :15].any()
    for i, (_, reduction) in enumerate(genotypes):
        strided = [n for n, (source, op) in enumerate(reduction) if op == 4 and source < 2]
        kept = np.flatnonzero((form.mask & skip)[i, 15:])
        assert kept.tolist() == [2 + 3 * (n // 2) + n % 2 for n in strided]


def test_key_ignores_order_padding_and_composition():
    space = spaces.nasbench101()
    graphs = spaces.random_graphs(space, 60, 0)
    again = spaces.shuffled(graphs, 1).pad(9)
    first, second = (isomorphism_key(*(t.numpy() for t in (g.ops, g.adj, g.mask))) for g in (graphs, again))
    alone = isomorphism_key(*(t.numpy() for t in (graphs.ops[3:4], graphs.adj[3:4], graphs.mask[3:4])))
    assert first.tolist() == second.tolist()
    assert alone[0] == first[3]


def test_key_separates_what_the_official_hash_separates():
    keys, hashes = [], []
    cells = (
        [cell for nodes in (2, 3, 4) for cell in enumerate_cells(nodes)]
        + sample_cells(6, 150, 0)
        + sample_cells(7, 350, 0)
    )
    for cell in cells:
        ops, adj = np.array([cell.ops]), cell.matrix.astype(bool)[None]
        keys.append(isomorphism_key(ops, adj, np.ones_like(ops, bool))[0])
        hashes.append(module_hash(cell.matrix.tolist(), cell.ops))
    assert len(set(keys)) == len(set(hashes)) == len(cells) == 1 + 6 + 84 + 500


def test_key_agrees_with_an_exact_isomorphism_test():
    space = SearchSpace("small", ("input", "a", "output"), 6, {"input": 0, "output": 2})
    graphs = spaces.random_graphs(space, 80, 3)
    keys = isomorphism_key(*(t.numpy() for t in (graphs.ops, graphs.adj, graphs.mask)))
    drawn = graphs.to_networkx()
    same = nx.algorithms.isomorphism.categorical_node_match("op", None)
    met = 0
    for i in range(len(drawn)):
        for j in range(i):
            assert nx.is_isomorphic(drawn[i], drawn[j], node_match=same) == (keys[i] == keys[j])
            met += keys[i] == keys[j]
    assert met > 0


def test_cells_of_an_architecture_are_not_interchangeable():
    _, graphs, _ = spaces.darts(1, 0)
    a = isomorphism_key(graphs.ops.numpy(), graphs.adj.numpy(), graphs.mask.numpy(), graphs.cell.numpy())
    order = np.r_[15:30, 0:15]
    b = isomorphism_key(
        graphs.ops.numpy()[:, order],
        graphs.adj.numpy()[:, order][:, :, order],
        graphs.mask.numpy(),
        graphs.cell.numpy(),
    )
    assert a[0] != b[0]


def test_vocabulary_by_role_and_by_name():
    roles = roles_of(spaces.darts(1, 0)[0])
    assert (roles.inputs, roles.outputs, roles.skips, roles.sums) == ((0, 1), (10,), (4,), (9,))
    assert roles.op_choices == tuple(range(2, 9))
    named = SearchSpace("x", ("x", "h", "a", "+", "y"), 5, {"input_1": 0, "input_2": 1, "sum": 3, "output": 4})
    assert roles_of(named).inputs == (0, 1)
    assert roles_of(named).op_choices == (2,)


@pytest.mark.data
@pytest.mark.skipif(available()["nasbench201"] == "missing", reason="needs NAS-Bench-201")
def test_classes_of_nasbench201():
    bench = load("nasbench201")
    form = canonicalize(bench.space, bench.ops, bench.adj, bench.mask, bench.cell)
    keys = form.key
    # The benchmark's names forget which operations are shared.
    assert len(set(keys)) == 5425 == len(set(zip(keys, bench.key)))
