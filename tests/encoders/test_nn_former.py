import pytest
import torch

from archrank.encoders.transformers.nn_former import NNFormer
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.contract import check_ensemble, check_padding_and_composition, check_relabelling

SMALL = {"dim": 8, "layers": 2, "hidden": 16, "columns": 6}


def filled(**options):
    model = NNFormer(g.space(5), **SMALL, **options).double().eval()
    g.fill(model.embed.weight, 1)
    if model.size is not None:
        g.fill(model.size.weight, 2)
    g.fill(model.token.data, 4)
    g.fill_norm(model.norm_in, 3)
    for number, layer in enumerate(model.layers):
        at = 100 + 20 * number
        g.fill_norm(layer.norm_attention, at)
        g.fill_linear(layer.attention.project, at + 1)
        g.fill_linear(layer.attention.out, at + 2)
        g.fill_norm(layer.norm_feed, at + 3)
        for code, linear in enumerate((layer.wide, layer.around, layer.narrow), at + 4):
            g.fill_linear(linear, code)
    g.fill_norm(model.norm_out, 5)
    return model


def scored(model, graphs):
    return (model(graphs) @ g.weight(1, 8, 6)[0] + g.bias(1, 6) + 0.5).item()


@pytest.mark.parametrize(
    "options, value",
    [
        ({"sibling_mask": "released"}, 0.2637593749321539),
        ({"sibling_mask": "released", "depth_token": False}, 0.278355086547028),
        ({"sibling_mask": "released", "readout": "mean"}, 0.6940936706027717),
        ({}, 0.2647234975068463),
        ({"depth_token": False}, 0.2798244213483155),
        ({"readout": "mean"}, 0.6724383147326811),
    ],
    ids=str,
)
def test_official_values(options, value):
    model = filled(**options)
    assert scored(model, g.graphs(g.C5)) == pytest.approx(value, abs=1e-12)
    assert sum(p.numel() for p in model.parameters()) + 9 == (1489 if options.get("depth_token", True) else 1441)


def test_what_heads_may_look_at():
    graphs = g.graphs(g.C5)
    counts = {
        (mask, depth): NNFormer(g.space(5), **SMALL, sibling_mask=mask)
        ._allowed(graphs, depth)
        .sum((-1, -2))[0]
        .tolist()
        for mask in ("released", "intended")
        for depth in (0, 1)
    }
    assert counts["released", 1] == [36, 36, 49, 49] and counts["released", 0][2:] == [36, 36]
    assert counts["intended", 1] == [36, 36, 35, 35] and counts["intended", 0][2:] == [22, 22]


def test_published_size_and_recipe():
    for space in (spaces.nasbench101(), spaces.nasbench201()):
        with torch.device("meta"):
            model = NNFormer(space, **NNFormer.paper_config(space))
        assert sum(p.numel() for p in model.parameters()) + 160 + 1 == 4_934_081
        assert make_recipe("paper", NNFormer.paper_recipe(space)).consistency == 1.0


def test_padding_batch_and_order_do_not_matter():
    space, graphs = spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 8, 0)
    for options in ({}, {"sibling_mask": "released", "readout": "mean"}):
        model = NNFormer(space, **SMALL, **options)
        check_padding_and_composition(model, graphs)
        check_relabelling(model, graphs)


def test_cells_have_operations_of_their_own():
    torch.manual_seed(0)
    model = NNFormer(g.space(8, cells=2), **SMALL).double().eval()
    there, back = model(g.graphs(g.C5, g.C3, together=True)), model(g.graphs(g.C3, g.C5, together=True))
    assert there.shape == (1, 8) and (there - back).abs().max() > 1e-3


@pytest.mark.parametrize("options", [{}, {"sibling_mask": "released", "readout": "mean"}], ids=str)
@pytest.mark.parametrize(
    "space, graphs",
    [(spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 6, 0)), spaces.darts(3, 0)[:2]],
    ids=["101", "darts"],
)
def test_stacked_members_equal_each_alone(space, graphs, options):
    # What the last layer tells nodes reaches no class token.
    check_ensemble(lambda: NNFormer(space, **SMALL, **options), graphs, () if options else ("layers.1.around",))
