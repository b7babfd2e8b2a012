import pytest
import torch

from archrank.encoders.transformers.graph_gps import GraphGPS
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.contract import check_ensemble, check_padding_and_composition, check_relabelling

SMALL = {"dim": 8, "layers": 2, "heads": 2}


def filled(residual):
    model = GraphGPS(g.space(7), **SMALL, directed=True, residual=residual).double().eval()
    g.fill(model.kinds.data, 90)
    g.fill(model.embed.weight, 91)
    for number, layer in enumerate(model.layers):
        at = 100 * number
        for code, linear in enumerate(
            (layer.local.A, layer.local.B, layer.local.C, layer.local.D, layer.local.E), at + 1
        ):
            g.fill_linear(linear, code)
        for code, norm in (
            (6, layer.local.norm_node),
            (7, layer.local.norm_edge),
            (15, layer.norm_local),
            (16, layer.norm_attention),
            (19, layer.norm_out),
        ):
            g.fill_norm(norm, at + code)
        for code, linear in (
            (11, layer.attention.project),
            (12, layer.attention.out),
            (17, layer.wide),
            (18, layer.narrow),
        ):
            g.fill_linear(linear, at + code)
    return model


@pytest.mark.parametrize("residual, value", [("original", 0.2833775235301209), ("flowerformer", 0.3333908813709321)])
def test_official_values(residual, value):
    model = filled(residual)
    for nodes in (7, 9):
        score = model(g.graphs(g.C5, nodes=nodes)) @ g.weight(1, 8, 93)[0] + g.bias(1, 93)
        assert score.item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("dim, count", [(64, 54_656), (256, 857_600)])
def test_published_size(dim, count):
    model = GraphGPS(g.space(7), dim=dim, heads=8, layers=1)
    assert sum(p.numel() for p in model.layers.parameters()) == count


def test_published_form_can_be_made_and_trained():
    for space in (spaces.nasbench201(), spaces.darts(1, 0)[0]):
        model = GraphGPS(space, **GraphGPS.paper_config(space))
        assert (
            model.directed
            and model.layers[0].twice
            and make_recipe("paper", GraphGPS.paper_recipe(space)).loss == "hinge"
        )


def test_padding_batch_and_order_do_not_matter():
    space, graphs = spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 8, 0)
    for directed in (False, True):
        torch.manual_seed(1)
        model = GraphGPS(space, **SMALL, directed=directed)
        check_padding_and_composition(model, graphs)
        check_relabelling(model, graphs)


def test_cells_do_not_look_at_each_other():
    space, graphs, _ = spaces.darts(2, 0)
    other = graphs.relabel(torch.arange(30).expand(2, -1))
    other.ops[:, 20] = 3
    model = GraphGPS(space, **SMALL).double().eval()
    apart = (model(graphs) - model(other)).abs()
    assert apart[:, :8].max() < 1e-12 and apart[:, 8:].max() > 1e-4


@pytest.mark.parametrize(
    "space, graphs",
    [(spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 6, 0)), spaces.darts(3, 0)[:2]],
    ids=["101", "darts"],
)
def test_stacked_members_equal_each_alone(space, graphs):
    # Edge states end before the last layer's norm of them; a norm takes a bias before it out again.
    check_ensemble(lambda: GraphGPS(space, **SMALL), graphs, unused=("layers.1.local.norm_edge", "attention.out.bias"))
