import numpy as np
import pytest
import torch

from archrank.datasets.canonical import roles_of
from archrank.encoders.features.base import base, blocks
from archrank.encoders.features.graf import graf, operation_sets, set_features
from archrank.eval.engine.regressors import block_scales
from tests.encoders import golden as g
from tests.encoders import spaces

NB201 = spaces.nasbench201()
NONE, SKIP, C1, C3, AVG = 1, 2, 3, 4, 5
# |nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|
N4 = [C3, SKIP, C1, NONE, AVG, C3]
# Values of the official code, for sets over skip, none, conv3x3, conv1x1, avgpool.
OFFICIAL = {
    "counts": [1, 1, 2, 1, 1],
    "shortest": [6, 1, 6, 6, 6, 1, 2, 6, 6, 1, 1, 1, 3, 2, 6, 1, 1, 1, 2, 2, 6, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1],
    "longest": [0, 1, 0, 0, 0, 1, 2, 0, 0, 1, 1, 1, 3, 2, 0, 2, 1, 1, 3, 2, 0, 3, 2, 1, 3, 3, 2, 1, 3, 3, 3],
    "input": [1, 1, 1, 0, 0, 2, 2, 1, 1, 2, 1, 1, 1, 1, 0, 3, 2, 2, 2, 2, 1, 2, 2, 1, 1, 3, 3, 2, 2, 2, 3],
    "output": [0, 1, 1, 0, 1, 1, 1, 0, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 3, 2, 2, 2, 3, 2, 2, 3, 3],
}


# The same for sets over maxpool, conv1x1, conv3x3: C5, and C5 without its edge from input to output.
NB101_OFFICIAL = {
    "min_path": [[1, 1, 1, 1, 1, 1, 1], [5, 2, 5, 2, 3, 2, 2]],
    "max_on_path": [[-2, -1, -2, -1, 0, -1, 1], [-4, -1, -4, -1, 0, -1, 1]],
    "in_degree": [1, 1, 0, 2, 1, 1, 2],
    "out_degree": [0, 1, 1, 1, 1, 2, 2],
    "avg_in": [0.2, 0.4, 0.2, 0.6, 0.4, 0.6, 0.8],
    "avg_out": [0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.8],
}


def features_of(cell):
    graphs = spaces.nasbench201_graphs([cell])
    ops, adj, mask, cells = (tensor.numpy() for tensor in (graphs.ops, graphs.adj, graphs.mask, graphs.cell))
    return set_features(NB201, ops, adj, mask, cells, (SKIP, NONE, C3, C1, AVG), redundant=True)[0]


def test_official_values_of_nasbench201():
    got = features_of(N4)
    expected = np.concatenate([np.array(values, float) for values in OFFICIAL.values()])
    assert np.array_equal(got[: len(expected)], expected)
    sets = operation_sets(NB201, (SKIP, NONE, C3, C1, AVG))
    mean = [sum(N4.count(op) for op in members) / 4 for members in sets]
    assert np.array_equal(got[len(expected) :], np.array(mean + mean, np.float32))


def test_official_values_of_nasbench101():
    # The official code on C5 and on C5 without its edge from input to output; it counts the input and the output (1, 1)
    # in front, path lengths in edges (a missing one is as long as there are nodes), and all but 2 nodes of a longest
    # path's inner ones (-4: there is none).
    cells = [g.C5, (g.C5[0], tuple(edge for edge in g.C5_EDGES if edge != (0, 4)))]
    graphs, sets = g.graphs(*cells), 7
    ops, adj, mask, cell = (tensor.numpy() for tensor in (graphs.ops, graphs.adj, graphs.mask, graphs.cell))
    got = set_features(g.space(5), ops, adj, mask, cell, (3, 1, 2), redundant=True)
    assert got.shape[1] + 2 == 47
    counts, few, many, reads, feeds, leave, enter = np.split(got, [3, *(3 + sets * k for k in range(1, 6))], axis=1)
    inner = mask.sum(1, keepdims=True) - 2
    assert np.array_equal(counts, [[1, 1, 1]] * 2)
    missing = few == inner
    assert np.array_equal(np.where(missing, 5, few + 1), NB101_OFFICIAL["min_path"])
    assert np.array_equal(np.where(missing, -4, many - 2), NB101_OFFICIAL["max_on_path"])
    for actual, name in ((feeds, "in_degree"), (reads, "out_degree"), (leave, "avg_in"), (enter, "avg_out")):
        assert np.allclose(actual, [NB101_OFFICIAL[name]] * 2), name


def test_lengths_by_walking():
    rng = np.random.default_rng(0)
    graphs = spaces.random_graphs(spaces.nasbench101(), 30, 1)
    space = spaces.nasbench101()
    op_choices = roles_of(space).op_choices
    sets = operation_sets(space, op_choices)
    got = graf(graphs, space)
    for number in rng.choice(30, 10, replace=False):
        ops, adj, mask = graphs.ops[number].tolist(), graphs.adj[number], graphs.mask[number]
        last = int(mask.sum()) - 1
        for place, members in enumerate(sets):
            lengths = [*walks(ops, adj, 0, last, members)]
            inner = last - 1
            assert got[number, len(op_choices) + place] == (min(lengths) if lengths else inner)
            assert got[number, len(op_choices) + len(sets) + place] == (max(lengths) if lengths else 0)


def walks(ops, adj, here, last, members):
    if here == last:
        yield 0
        return
    for after in adj[here].nonzero()[:, 0].tolist():
        if after == last or ops[after] in members:
            for rest in walks(ops, adj, after, last, members):
                yield rest + (after != last)


@pytest.mark.parametrize("encode", [graf, base])
def test_order_of_nodes_and_batch_change_nothing(encode):
    for space in (spaces.nasbench101(), NB201):
        graphs = (
            spaces.random_graphs(space, 20, 3)
            if space is not NB201
            else spaces.nasbench201_graphs(np.random.default_rng(0).integers(1, 6, (20, 6)).tolist())
        )
        code = encode(graphs, space)
        assert torch.equal(code[4:5], encode(graphs[4:5], space))
        if space is not NB201:
            assert torch.allclose(code, encode(spaces.shuffled(graphs, 3), space))


def test_base_does_not_see_what_changes_nothing():
    # conv then skip, skip then conv, and conv on the direct edge are one cell but for where the identity stands.
    cells = [[C3, NONE, NONE, NONE, SKIP, NONE], [C3, AVG, C1, NONE, SKIP, NONE]]  # dangling operations on node 2
    graphs = spaces.nasbench201_graphs(cells)
    code = base(graphs, NB201)
    assert torch.equal(code[0, :-2], code[1, :-2])  # costs count what is drawn


def test_blocks_are_scaled_over_training_rows():
    graphs = spaces.nasbench201_graphs(np.random.default_rng(0).integers(1, 6, (60, 6)).tolist())
    code = base(graphs, NB201).double().numpy()
    parts = blocks(torch.from_numpy(code), NB201)
    assert sum(width for width, _ in parts) == code.shape[1] == 137
    scaled = code[:30] * block_scales(code[:30], parts)
    ends = np.cumsum([width for width, _ in parts])
    totals = [float(part.var(0).sum()) for part in np.split(scaled, ends[:-1], axis=1)]
    assert totals == pytest.approx([weight**2 for _, weight in parts])
    constant = np.ones((5, code.shape[1]))
    assert (block_scales(constant, parts) == 0).all()
