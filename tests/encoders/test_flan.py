"""FLAN against values of its code."""

import pytest
import torch
from torch import nn

from archrank.encoders.gates.flan import FLAN
from archrank.encoders.gates.flow import GatedAttention, MeanOf, NodeFlow
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.contract import check_ensemble, check_padding_and_composition, check_relabelling
from tests.encoders.test_gates import fill_flow, fill_sequence

SIZE = {"op_dim": 3, "node_dim": 4, "hidden": 5, "dim": 6, "layers": 2}
LAYERS = ("dense", "gat", "gat_mh", "ensemble")
C3_PADDED = ([0, 2, 4], g.C3_EDGES)


def fill_layer(layer, at):
    if isinstance(layer, NodeFlow):
        fill_flow(layer, at)
    elif isinstance(layer, GatedAttention):
        g.fill_linear(layer.gate, at + 3)
        g.fill_linear(layer.project, at + 4)
        g.fill_linear(layer.score, at + 5)
        g.fill_norm(layer.norm, at + 6)
    elif isinstance(layer, MeanOf):
        for number, part in enumerate(layer.layers):
            fill_layer(part, at + (100 * number if len(layer.layers) == 4 else 0))


def filled(**options):
    cells = options.pop("cells", 1)
    model = (
        FLAN(
            g.space(options.pop("nodes", 7) * cells, cells), **SIZE, back_dim=5, update_dim=7, faithful=True, **options
        )
        .double()
        .eval()
    )
    g.fill(model.inputs.entry.data, 1)
    g.fill_linear(model.inputs.place, 5)
    with torch.no_grad():
        model.inputs.other.copy_(g.weight(1, 4, 2)[0])
        model.inputs.table.copy_(torch.cat([g.weight(4, 3, 3), g.weight(1, 3, 4)]))
    for number, layer in enumerate(model.rounds.ahead):
        fill_layer(layer, 100 + 10 * number)
    if model.rounds.steps > 1:
        for number, layer in enumerate(model.rounds.back):
            fill_layer(layer, 300 + 10 * number)
        fill_sequence(model.rounds.turn, 10)
        fill_sequence(model.rounds.update, 20)
    if model.combine is not None:
        fill_sequence(model.combine, 70)
    return model


def mlp(x, code, *widths):
    layers = nn.Sequential(
        *(part for a, b in zip((x.shape[-1], *widths), widths) for part in (nn.Linear(a, b), nn.ReLU()))
    ).double()
    fill_sequence(layers, code)
    return layers[:-1](x)


def score(found, size=(0.0,) * 8, beside=()):
    """The code's head: the embedding, side features and what is said about width and depth, through a perceptron."""
    more = torch.tensor([[*beside, *size]], dtype=torch.float64)
    return mlp(torch.cat([found, more], -1), 50, 7, 6, 1).item()


@pytest.mark.parametrize(
    "options, padded, exact",
    [
        ({"layer": "dense", "steps": 1}, 0.018948839987002298, 0.01969836153030789),
        ({"layer": "dense", "steps": 2}, 0.018950205016057525, 0.019700409073890725),
        ({"layer": "gat", "steps": 1}, 0.03469611549387583, 0.042907891403955706),
        ({"layer": "gat_mh", "steps": 1}, 0.053309626129335735, 0.052104889946525484),
        ({"layer": "ensemble", "steps": 2}, 0.02063948425933609, 0.02002748224765635),
        ({"layer": "ensemble", "steps": 2, "back_dense": True}, 0.020638754481880062, 0.02003671708749163),
    ],
)
def test_official_values(options, padded, exact):
    for nodes, value in ((7, padded), (5, exact)):
        assert score(filled(nodes=nodes, **options)(g.graphs(g.C5))) == pytest.approx(value, abs=1e-12)


def test_official_value_with_side_features():
    actual = filled(steps=2, back_dense=True)(g.graphs(g.C5))
    beside = mlp(torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64), 60, 4, 5, 3)
    assert score(actual, beside=beside[0].tolist()) == pytest.approx(0.022599312255242487, abs=1e-12)


def test_official_value_of_two_cells():
    actual = filled(nodes=5, cells=2, steps=2, back_dense=True)(g.graphs(g.C5, C3_PADDED, together=True))
    size = mlp(torch.tensor([[0.5, 0.25]], dtype=torch.float64), 80, 8, 8)
    assert score(actual, size=size[0].tolist()) == pytest.approx(0.015455573001577325, abs=1e-12)


@pytest.mark.parametrize(
    "layer, back_dense, published",
    [
        ("dense", False, 501_185),
        ("gat", False, 503_745),
        ("gat_mh", False, 1_182_657),
        ("ensemble", False, 727_489),
        ("ensemble", True, 612_289),
    ],
)
def test_published_size(layer, back_dense, published):
    space = spaces.nasbench101()
    with torch.device("meta"):
        model = FLAN(space, **{**FLAN.paper_config(space), "layer": layer, "back_dense": back_dense})
    own = sum(p.numel() for p in model.parameters())
    head = sum(a * b + b for a, b in zip((128 + 8, 200, 200, 200), (200, 200, 200, 1)))
    table, entry, side, cells, size = (256 + 1 - 5) * 48, 48, 24_496, 49_408, 96
    assert table + entry + side + cells + size == 86_144 and own + head + 86_144 == published


@pytest.mark.parametrize("layer", LAYERS)
def test_padding_composition_and_order_do_not_matter(layer):
    cell = spaces.nasbench101()
    for space, graphs in ((cell, spaces.random_graphs(cell, 6, 0)), spaces.darts(5, 0)[:2]):
        for faithful in (False, True):
            model = FLAN(space, **SIZE, layer=layer, faithful=faithful)
            check_padding_and_composition(model, graphs)
            check_relabelling(model, graphs)
            assert model(graphs).shape == (len(graphs), 6)


def test_attention_hears_predecessors_alone_but_for_the_published_form():
    near = g.graphs(([0, 1, 2, 3, 4], ((0, 1), (1, 4), (0, 2), (2, 3))))  # node 2 leads nowhere near the output
    far = g.graphs(([0, 1, 3, 3, 4], ((0, 1), (1, 4), (0, 2), (2, 3))))
    for faithful in (False, True):
        model = FLAN(g.space(5), **SIZE, layer="gat", steps=1, faithful=faithful).double().eval()
        states = [model.rounds(read, read.op)[0, 4] for read in map(model.inputs.read, (near, far))]
        assert torch.allclose(*states, atol=1e-12) is not faithful


@pytest.mark.parametrize(
    "space, graphs",
    [
        (spaces.nasbench201(), spaces.nasbench201_graphs([[4, 2, 3, 1, 5, 4], [2, 4, 3, 4, 5, 4]])),
        spaces.darts(3, 0)[:2],
    ],
    ids=["201", "darts"],
)
@pytest.mark.parametrize("options", [{}, {"faithful": True}, {"layer": "gat_mh"}], ids=str)
def test_stacked_members_equal_each_alone(space, graphs, options):
    # Only exits have states in the first backward layer, and an exit has nobody behind it to weigh.
    torch.manual_seed(0)
    check_ensemble(
        lambda: FLAN(space, **{**SIZE, "dim": 16}, **options),
        graphs,
        unused=tuple(f"rounds.back.0.layers.{n}.score" for n in range(4)),
    )
