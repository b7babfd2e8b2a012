import pytest
import torch

from archrank.encoders.layers import distances
from archrank.encoders.transformers.graphormer import Graphormer
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.contract import check_ensemble, check_padding_and_composition, check_relabelling

SMALL = {"dim": 8, "layers": 2, "heads": 2, "distances": 6, "degrees": 8}


def filled(readout):
    model = Graphormer(g.space(7), **SMALL, readout=readout).double().eval()
    for code, table in enumerate((model.embed, model.spatial, model.incoming, model.outgoing), 1):
        g.fill(table.data, code)
    if readout == "token":
        g.fill(model.token_bias.data, 5)
        g.fill(model.token.data, 6)
    for number, layer in enumerate(model.layers):
        at = 100 + 20 * number
        g.fill_norm(layer.norm_attention, at)
        g.fill_norm(layer.norm_feed, at + 3)
        for code, linear in (
            (1, layer.attention.project),
            (2, layer.attention.out),
            (4, layer.wide),
            (5, layer.narrow),
        ):
            g.fill_linear(linear, at + code)
    g.fill_norm(model.norm, 7)
    return model


@pytest.mark.parametrize("readout, value", [("mean", -0.5038679451400133), ("token", 0.0928652428015557)])
def test_official_values(readout, value):
    for nodes in (5, 9):
        score = filled(readout)(g.graphs(g.C5, nodes=nodes)) @ g.weight(1, 8, 8)[0] + g.bias(1, 8)
        assert score.item() == pytest.approx(value, abs=1e-12)


def test_distances_of_the_official_cell():
    actual = distances.distance_types(g.graphs(g.C5), 6).flatten().tolist()
    assert actual == [0, 1, 1, 2, 1, 6, 0, 1, 2, 1, 6, 6, 0, 1, 2, 6, 6, 6, 0, 1, 6, 6, 6, 6, 0]


def test_distances_are_those_of_the_graphs(monkeypatch):
    monkeypatch.setattr(distances, "PAIRS_AT_ONCE", 200)
    for space, graphs in (
        (spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 40, 0, density=0.3)),
        spaces.darts(5, 0)[:2],
    ):
        plain = graphs.distance
        for types in (2, 3, 20):
            expected = torch.where(plain < 0, types, plain.clamp(max=types - 1))
            assert torch.equal(distances.distance_types(graphs, types).long(), expected), space.name
    with pytest.raises(ValueError, match="between 1 and 255"):
        distances.distance_types(graphs, 256)


@pytest.mark.parametrize(
    "options, count",
    [({"layers": 12, "heads": 8, "dim": 80}, 481_537), ({"layers": 6, "heads": 4, "dim": 80}, 246_249)],
)
def test_published_size(options, count):
    with torch.device("meta"):
        model = Graphormer(spaces.nasbench101(), **options)
    assert sum(p.numel() for p in model.parameters()) + 80 + 1 == count


def test_published_form_can_be_made_and_trained():
    for space in (spaces.nasbench201(), spaces.darts(1, 0)[0]):
        Graphormer(space, **Graphormer.paper_config(space))
        assert make_recipe("paper", Graphormer.paper_recipe(space)).loss == "hinge"


@pytest.mark.parametrize("readout", ["token", "mean"])
def test_padding_batch_and_order_do_not_matter(readout):
    space, graphs = spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 8, 0)
    model = Graphormer(space, **SMALL, readout=readout)
    check_padding_and_composition(model, graphs)
    check_relabelling(model, graphs)


@pytest.mark.parametrize("readout", ["token", "mean"])
def test_cells_have_operations_of_their_own(readout):
    torch.manual_seed(0)
    model = Graphormer(g.space(8, cells=2), **SMALL, readout=readout).double().eval()
    there, back = model(g.graphs(g.C5, g.C3, together=True)), model(g.graphs(g.C3, g.C5, together=True))
    assert there.shape == (1, 8 if readout == "token" else 16) and (there - back).abs().max() > 1e-3


@pytest.mark.parametrize("readout", ["token", "mean"])
@pytest.mark.parametrize(
    "space, graphs",
    [(spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 6, 0)), spaces.darts(3, 0)[:2]],
    ids=["101", "darts"],
)
def test_stacked_members_equal_each_alone(space, graphs, readout):
    check_ensemble(lambda: Graphormer(space, **SMALL, readout=readout), graphs)
