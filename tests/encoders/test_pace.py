"""PACE against values of its code."""

import pytest
import torch

from archrank.encoders.layers.canonical_order import canonical_places
from archrank.encoders.transformers.pace import Pace, sinusoids
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.contract import check_ensemble, check_padding_and_composition, check_relabelling

SMALL = {"dim": 8, "layers": 2, "heads": 2, "hidden": 16}
LAST = [-0.2177356901, -0.6347532439, -1.238222812, -1.057349539, 0.269005827, 1.697211229, 1.506089463, 0.08539976484]
OUTPUT = [
    0.4463064989,
    0.262262537,
    0.9301204831,
    1.178980491,
    0.02233156749,
    -1.721168766,
    -1.723545043,
    0.08397783672,
]
OTHER_ORDER = [
    0.447238667,
    0.2623973884,
    0.929791221,
    1.178391957,
    0.02156021045,
    -1.721763331,
    -1.723334361,
    0.08510504847,
]
PLACE = [
    -0.03848972695,
    -0.00565241264,
    0.02984331965,
    0.0513032724,
    0.0486344945,
    0.0230921539,
    -0.0133107875,
    -0.04345345755,
]


def filled():
    model = Pace(g.space(7), **SMALL, faithful=True).double().eval()
    model.codes = sinusoids(7, 8).double()
    angle = torch.arange(7, dtype=torch.float64)[:, None] * 10000.0 ** (-2 * torch.arange(4, dtype=torch.float64) / 8)
    model.codes = torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)
    g.fill(model.embed.weight, 1)
    g.fill_linear(model.along, 2)
    for number, layer in enumerate(model.blocks.layers):
        at, inside = 100 + 20 * number, layer.attention
        g.fill_norm(layer.norm, at)
        for code, linear in enumerate(
            (inside.query, inside.key, inside.value, inside.out),
            at + 1,
        ):
            g.fill_linear(linear, code)
        g.fill_norm(layer.feed.norm, at + 5)
        g.fill_linear(layer.feed.wide, at + 6)
        g.fill_linear(layer.feed.narrow, at + 7)
    g.fill_norm(model.blocks.norm, at + 8)
    return model


def test_official_values():
    model, batch = filled(), g.graphs(g.C5, nodes=7)
    index = torch.tensor([[0, 1, 2, 3, 4, 6, 6]])
    states = model.passed(batch, index)[0]
    assert states[6].tolist() == pytest.approx(LAST, rel=1e-9)
    assert states[4].tolist() == pytest.approx(OUTPUT, rel=1e-9)
    assert model.place_codes(batch, index)[0, 1].tolist() == pytest.approx(PLACE, rel=1e-8)
    other = model.passed(batch, torch.tensor([[2, 0, 1, 3, 4, 6, 6]]))[0]
    assert other[4].tolist() == pytest.approx(OTHER_ORDER, rel=1e-9)
    assert torch.allclose(sinusoids(7, 8).double(), model.codes, atol=1e-6)


def test_published_size():
    for ops, official in ((5, 80_448), (11, 80_832)):
        with torch.device("meta"):
            model = Pace(g.space(7, ops=tuple(map(str, range(ops)))), **Pace.paper_config(g.space(7)))
        assert sum(p.numel() for p in model.parameters()) + 2 * 2 * 64 == official


def test_places_follow_generations_and_relabelled_graphs_agree():
    graphs = spaces.random_graphs(spaces.nasbench101(), 200, 0)
    places = canonical_places(graphs)
    for row, mask in zip(places, graphs.mask):
        assert sorted(row[mask].tolist()) == list(range(int(mask.sum())))
    depth_at = torch.zeros_like(places).scatter(1, places, graphs.depth * graphs.mask)
    assert (depth_at.diff(dim=1)[:, :-1] >= 0)[graphs.mask[:, 2:]].all()
    # Two chains whose nodes are equal in pairs: breaking one tie decides the other.
    twins = [
        ([0, 1, 1, 2, 2, 4], ((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5))),
        ([0, 1, 1, 2, 2, 4], ((0, 1), (0, 2), (1, 4), (2, 3), (3, 5), (4, 5))),
    ]
    actual = g.graphs(*twins)
    places = canonical_places(actual)
    edges = [{(int(p[u]), int(p[v])) for u, v in twin[1]} for p, twin in zip(places, twins)]
    assert edges[0] == edges[1]


def test_order_of_nodes_padding_and_composition_do_not_matter():
    cell, (two, pairs) = spaces.nasbench101(), spaces.darts(5, 0)[:2]
    check_relabelling(Pace(cell, **SMALL), spaces.random_graphs(cell, 40, 1))
    for space, graphs in ((cell, spaces.random_graphs(cell, 6, 0)), (two, pairs)):
        check_padding_and_composition(Pace(space, **SMALL), graphs)
    assert Pace(two, **SMALL)(pairs).shape == (len(pairs), 16)


@pytest.mark.parametrize("faithful", [False, True])
def test_stacked_members_equal_each_alone(faithful):
    torch.manual_seed(0)
    space = spaces.nasbench201()
    graphs = spaces.nasbench201_graphs([[4, 2, 3, 1, 5, 4], [2, 4, 3, 4, 5, 4]])
    idle = ("layers.1.attention.query", "layers.1.attention.key")  # the output has no descendants to choose among
    check_ensemble(lambda: Pace(space, **SMALL, faithful=faithful), graphs, idle)


def test_what_it_cannot_hold_is_said():
    assert "128 nodes" in Pace.supports(g.space(200)) and "one cell" in Pace.supports(g.space(9, cells=2), True)
    assert Pace.supports(g.space(9, cells=2)) is None
