import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrank.datasets import load
from archrank.datasets.errors import DataError
from archrank.datasets.nb201_cells import CLASSES, EDGES, OPS, STRING_ORDER, canonical, parse

CELLS = st.lists(st.sampled_from(OPS[1:-1]), min_size=6, max_size=6)


def text(ops):
    return "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*ops)


@given(CELLS)
def test_the_four_paths_of_any_string(ops):
    assert parse(text(ops)) == ops
    named = dict(zip(STRING_ORDER, ops))
    graph = nx.DiGraph(EDGES)
    actual = sorted(tuple(ops[v - 1] for v in path[1:-1]) for path in nx.all_simple_paths(graph, 0, 7))
    cell = [((0, 3),), ((0, 1), (1, 3)), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3))]
    assert actual == sorted(tuple(named[edge] for edge in path) for path in cell)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "|conv~0|",
        text(["nor_conv_3x3"] * 5 + ["sep_conv"]),
        text(["none"] * 6) + "x",
        "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|",
    ],
)
def test_other_strings_are_refused(wrong):
    with pytest.raises(DataError):
        parse(wrong)


def test_canonical_name_sees_through_order_and_skips():
    a, b = "nor_conv_3x3", "nor_conv_1x1"
    # A skip copies its node, and a sum has no order: a and b meet at the output either way.
    assert canonical([a, "none", "none", b, "skip_connect", "none"]) == canonical(
        [b, "none", "none", a, "skip_connect", "none"]
    )
    assert canonical([a, "none", "none", b, "skip_connect", "none"]) != canonical(
        [a, "none", "none", b, "none", "none"]
    )


def test_names_tell_apart_what_the_cells_compute():
    # Every cell is computed on a random vector, with one random function per operation; `none` gives zeros, and so does
    # anything of zeros.
    cells = list(itertools.product(OPS[1:-1], repeat=6))
    random = np.random.default_rng(0)
    weights = {op: random.normal(size=(8, 8)) for op in OPS[3:-1]}
    node = np.zeros((4, len(cells), 8))
    node[0] = random.normal(size=8)
    for place, (source, target) in sorted(enumerate(STRING_ORDER), key=lambda edge: edge[1][1]):
        chosen = np.array([cell[place] for cell in cells])
        node[target][chosen == "skip_connect"] += node[source][chosen == "skip_connect"]
        for op, weight in weights.items():
            node[target][chosen == op] += np.sin(node[source][chosen == op] @ weight)
    names = np.array([canonical(list(cell)) for cell in cells])
    computed = np.unique(np.round(node[3], 6), axis=0, return_inverse=True)[1].reshape(-1)
    assert len(set(names)) == len(set(computed)) == len(set(zip(names, computed))) == CLASSES
    # The authors' own count is finer: a "#" stands for every `none`, and the order of sums is that of their spelling.
    assert (
        len({spelled(cell) for cell in cells})
        == len({(spelled(cell), name) for cell, name in zip(cells, names)})
        == 6_466
    )


def spelled(ops):
    """The name by which the benchmark's authors count classes."""
    value = {0: "0"}
    for node in (1, 2, 3):
        terms = []
        for op, (source, target) in zip(ops, STRING_ORDER):
            if target == node:
                dead = op == "none" or value[source] == "#"
                terms.append("#" if dead else value[source] if op == "skip_connect" else f"({value[source]})@{op}")
        value[node] = "+".join(sorted(terms))
    return value[3]


@pytest.mark.data("nasbench201")
def test_the_real_table():
    benchmark = load("nasbench201")
    assert len(benchmark) == 15_625 and len(set(benchmark.key)) == CLASSES
    best = benchmark.scores.max()
    assert best["cifar10_test"] == pytest.approx(94.3733, abs=1e-4) and best["cifar10_val"] == pytest.approx(
        91.6067, abs=1e-4
    )
    assert best["cifar100_test"] == pytest.approx(73.5133, abs=1e-4) and best["imagenet16_test"] == pytest.approx(
        47.3111, abs=1e-4
    )
    assert benchmark.space.generations == ((0,), (1, 2, 4), (3, 5), (6,), (7,))
    assert np.unique(benchmark.adj.reshape(len(benchmark), -1), axis=0).shape[0] == 1
