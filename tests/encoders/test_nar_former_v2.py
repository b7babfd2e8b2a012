"""NAR-Former V2 against values of its code."""

import math
from dataclasses import replace

import pytest
import torch

from archrank.datasets.space import SearchSpace
from archrank.encoders.transformers.nar_former_v2 import NarFormerV2, attribute_code
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import golden as g
from tests.encoders import spaces
from tests.encoders.contract import check_ensemble, check_padding_and_composition


def fill_flat(tensor, code):
    """By the rule of tensors of rank above two."""
    with torch.no_grad():
        tensor.copy_(
            0.25 * torch.sin(0.7 * torch.arange(tensor.numel(), dtype=torch.float64) + code).reshape(tensor.shape)
        )


def filled(dim, features=6):
    model = NarFormerV2(g.space(5), dim=dim, layers=2, groups=8, ratio=2).double().eval()
    first = model.layers[0]
    first.degree, first.look = torch.nn.Linear(1, features).double(), torch.nn.Linear(features, features).double()
    first.around, first.itself = (
        torch.nn.Linear(features, dim).double(),
        torch.nn.Linear(features, dim, bias=False).double(),
    )
    for number, layer in enumerate(model.layers):
        o = 100 * number
        for code, part in enumerate((layer.around, layer.itself, layer.degree, layer.look), o + 1):
            g.fill_linear(part, code)
        g.fill_norm(layer.norm, o + 5)
        for part, code in ((layer.wide, o + 6), (layer.narrow, o + 9)):
            fill_flat(part.weight, code)
            fill_flat(part.bias, code + 1)
            g.fill_norm(part.norm, code + 2)
        with torch.no_grad():
            layer.gamma.copy_(1 + 0.1 * torch.sin(torch.arange(dim, dtype=torch.float64) + o + 12))
    g.fill_linear(model.weigh[0], 201)
    g.fill_linear(model.weigh[2], 202)
    return model


@pytest.mark.parametrize("dim, value, count", [(16, 0.7509473526229316, 2409), (8, 0.721232106683309, 785)])
def test_official_values(dim, value, count):
    graphs, model = g.graphs(g.C5), filled(dim)
    t, c = torch.arange(1, 6, dtype=torch.float64)[:, None], torch.arange(1, 7, dtype=torch.float64)
    x = model.passed(torch.sin(0.1 * t * c)[None], graphs.adj | graphs.adj.mT, graphs.mask)
    for code in (203, 204):
        x = torch.relu(x @ g.weight(dim, dim, code).T + g.bias(dim, code))
    z = x @ g.weight(1, dim, 205).T + g.bias(1, 205)
    assert torch.nn.functional.softplus(-z).item() == pytest.approx(value, abs=1e-12)
    assert sum(p.numel() for p in model.parameters()) + 2 * (dim * dim + dim) + dim + 1 == count


def test_published_size():
    for space in (spaces.nasbench101(), spaces.nasbench201()):
        with torch.device("meta"):
            model = NarFormerV2(space, **NarFormerV2.paper_config(space))
        assert sum(p.numel() for p in model.parameters()) + 2 * (512 * 512 + 512) + 513 == 8_582_535


def test_whole_networks():
    space = SearchSpace("networks", tuple(map(str, range(32))), 80, attrs=tuple("abcdefghijkl"))
    with torch.device("meta"):
        model = NarFormerV2(space, **NarFormerV2.paper_config(space))
    fed_head = 40 * 512 + 512 + (1024 * 512 + 512) + (512 * 512 + 512) + 513
    assert sum(p.numel() for p in model.parameters()) + fed_head == 2_310_921
    make_recipe("paper", NarFormerV2.paper_recipe(space))

    actual = attribute_code(torch.tensor([[[0.0, 3.0]]], dtype=torch.float64))[0, 0].tolist()
    waves = [f(3 / 10000 ** (k / 5)) for k in range(5) for f in (math.sin, math.cos)]
    assert actual == pytest.approx([0.0, 1.0] * 5 + waves)

    cell, graphs = spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 6, 0)
    space = replace(cell, attrs=("a", "b"))
    attrs = torch.arange(graphs.ops.numel() * 2).reshape(*graphs.ops.shape, 2).float() * graphs.mask.unsqueeze(-1)
    graphs = replace(graphs, attrs=attrs, _derived={})
    small = {"dim": 16, "layers": 2, "form": "network"}
    check_padding_and_composition(NarFormerV2(space, **small), graphs)
    check_ensemble(lambda: NarFormerV2(space, **small), graphs)
    model = NarFormerV2(space, **small)
    assert not torch.allclose(model(graphs), model(replace(graphs, attrs=attrs + 1, _derived={})))


def test_padding_and_composition_do_not_matter_and_edges_count():
    cell = spaces.nasbench101()
    for space, graphs in ((cell, spaces.random_graphs(cell, 6, 0)), spaces.darts(5, 0)[:2]):
        check_padding_and_composition(NarFormerV2(space, dim=16, layers=2), graphs)
    model = NarFormerV2(g.space(5), dim=16, layers=2).double().eval()
    actual = [model(g.graphs((g.C5[0], edges))) for edges in (g.C5_EDGES, g.C5_EDGES[:-1])]
    assert not torch.allclose(*actual, atol=1e-4)


@pytest.mark.parametrize(
    "space, graphs",
    [
        (spaces.nasbench201(), spaces.nasbench201_graphs([[4, 2, 3, 1, 5, 4], [2, 4, 3, 4, 5, 4]])),
        spaces.darts(3, 0)[:2],
    ],
    ids=["201", "darts"],
)
def test_stacked_members_equal_each_alone(space, graphs):
    torch.manual_seed(0)
    check_ensemble(lambda: NarFormerV2(space, dim=32, layers=2), graphs)
