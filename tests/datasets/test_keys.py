"""Isomorphism keys from edge lists: equal to those of padded arrays, and to what a cell computes where operations have
roles."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archrank.datasets import available, load, nb201_cells
from archrank.datasets.canonical import isomorphism_key
from archrank.datasets.custom.options import TableOptions
from archrank.datasets.custom.table import from_graphs
from archrank.datasets.keys import FlatGraphs, OpRoles, computation_keys, graph_keys, labelled_keys
from archrank.datasets.splits import make_split

pytestmark = pytest.mark.filterwarnings("ignore::archrank.datasets.errors.ArchrankWarning")


def drawn(seed, count):
    """Random graphs of 2 to 9 nodes, three operations and two cells: ops, edges and cells of each."""
    draw = np.random.default_rng(seed)
    ops, edges, cells = [], [], []
    for _ in range(count):
        nodes = int(draw.integers(2, 10))
        ops.append(draw.integers(3, size=nodes).tolist())
        cells.append(draw.integers(2, size=nodes).tolist())
        edges.append([(u, v) for u in range(nodes) for v in range(u + 1, nodes) if draw.random() < 0.4])
    return ops, edges, cells


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_labelled_keys_are_those_of_padded_arrays(seed):
    ops, edges, cells = drawn(seed, 12)
    ids, cell, mask, links = (
        np.zeros((12, 9), int),
        np.zeros((12, 9), int),
        np.zeros((12, 9), bool),
        np.zeros((12, 9, 9), np.int32),
    )
    for row, (these, pairs, numbers) in enumerate(zip(ops, edges, cells)):
        ids[row, : len(these)], cell[row, : len(these)], mask[row, : len(these)] = these, numbers, True
        for u, v in pairs:
            links[row, u, v] = 1
    assert labelled_keys(FlatGraphs(ops, edges, cells)) == isomorphism_key(ids, links, mask, cell).tolist()
    assert graph_keys(ops, edges) == isomorphism_key(ids, links, mask).tolist()


def cell_of(word):
    """Six operations of NAS-Bench-201 in string order from their first letters."""
    names = {"n": "none", "s": "skip_connect", "1": "nor_conv_1x1", "3": "nor_conv_3x3", "p": "avg_pool_3x3"}
    return [names[letter] for letter in word]


def own_nasbench201(cells, scores, **options):
    graphs = [(["input", *cell, "output"], list(nb201_cells.EDGES)) for cell in cells]
    return from_graphs(graphs, scores, name="mine", **options)


def test_a_custom_nasbench201_has_the_classes_of_the_built_in():
    draw = np.random.default_rng(0)
    cells = [cell_of(draw.choice(list("ns13p"), 6, p=[0.3, 0.3, 0.1, 0.2, 0.1])) for _ in range(400)]
    actual = own_nasbench201(
        cells,
        draw.normal(size=400),
        roles={"input": "input", "output": "output", "none": "none", "skip": "skip_connect"},
    )
    expected = np.unique([nb201_cells.canonical(cell) for cell in cells], return_inverse=True)[1]
    assert len(set(zip(actual.isomorphism_class, expected))) == len(set(expected)) == len(set(actual.key)) < 300
    assert (
        actual.card.facts.key_rule == "equal computation (input, output, none, skip)"
        and actual.card.facts.classes == len(set(expected))
    )
    split = make_split(actual, "clean", 0)
    assert not set(expected[split.test]) & set(expected[split.pool])


@pytest.mark.skipif(
    "nasbench201" not in available() or available()["nasbench201"] == "missing",
    reason="the NAS-Bench-201 table is not here",
)
def test_the_whole_of_nasbench201_has_4930_classes_either_way():
    built_in = load("nasbench201")
    cells = [nb201_cells.parse(arch) for arch in built_in.arch]
    flat = FlatGraphs([[0, *map(nb201_cells.OPS.index, cell), 6] for cell in cells], [nb201_cells.EDGES] * len(cells))
    keys = computation_keys(flat, OpRoles([0], [6], [1], [2]))
    assert len(set(keys)) == 4930 == len(set(zip(keys, built_in.isomorphism_class)))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("nnn3nn", "nnnsnn", False),
        ("3nnnsn", "nnn3nn", True),
        ("3n3nnn", "nnnnnn", True),
        ("ssssss", "ssssss", True),
        ("3nsnnp", "3nnnpn", True),
        ("33nnns", "3nnsnn", False),
    ],
)
def test_dead_operations_and_identities_do_not_tell_cells_apart(one, other, same):
    actual = own_nasbench201([cell_of(one), cell_of(other)], [1.0, 2.0])
    assert (
        (actual.key[0] == actual.key[1])
        == same
        == (nb201_cells.canonical(cell_of(one)) == nb201_cells.canonical(cell_of(other)))
    )


def test_attributes_tell_nodes_apart_and_large_graphs_take_no_time():
    draw = np.random.default_rng(0)
    graphs = []
    for _ in range(12):
        nodes = 2000
        edges = sorted({(int(draw.integers(v)), v) for v in range(1, nodes) for _ in range(2)})
        graphs.append((draw.choice(["a", "b", "skip"], nodes).tolist(), edges))
    start = time.process_time()
    actual = from_graphs(graphs, draw.normal(size=12))
    assert time.process_time() - start < 10 and len(set(actual.key)) == 12 and actual.graphs.nodes == 2000
    flat = [
        FlatGraphs([[0, 1]] * 2, [[(0, 1)]] * 2, attrs=np.array(rows, np.float32))
        for rows in ([[1], [2], [1], [3]], [[1], [2], [1], [2]])
    ]
    for keys in (labelled_keys, lambda graphs: computation_keys(graphs, OpRoles([0]))):
        assert [len(set(keys(graphs))) for graphs in flat] == [2, 1]


def test_a_table_without_roles_is_warned_of_and_one_with_them_is_not():
    chains = [(["go", "a", "halt"], [(0, 1), (1, 2)]), (["go", "b", "halt"], [(0, 1), (1, 2)])]
    with pytest.warns(
        UserWarning, match=r"no operation is taken for input .* \(among a, b, go, halt\), name it with roles"
    ):
        actual = from_graphs(chains, [1.0, 2.0])
    assert actual.card.facts.key_rule == "equal graphs"
    actual = from_graphs(chains, [1.0, 2.0], roles={"input": "go", "output": "halt"}, space="chains")
    assert (
        not actual.card.facts.notes
        and actual.card.facts.key_rule == "equal computation (input, output)"
        and actual.space.name == "chains"
    )
    assert "search space chains, 2 isomorphism classes by equal computation" in actual.about
    assert TableOptions().space is None
