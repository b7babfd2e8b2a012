"""GMAE-NAS's network: the values of its code."""

import pytest
import torch

from archrank.encoders.gnn.gmae_nas import GMAENAS
from tests.encoders import spaces
from tests.encoders.golden import C5, bias, fill, fill_linear, fill_norm, graphs, weight

SPACE = spaces.nasbench101()


def test_gmae_nas_gives_the_published_values():
    model = GMAENAS(SPACE, dim=8, layers=3, heads=2).double().eval()
    with torch.no_grad():
        fill(model.embed, 1)
        fill_linear(model.skip, 2)
        for number, (layer, norm) in enumerate(zip(model.layers, model.norms)):
            code = 10 * number
            layer.map.weight.copy_(weight(8, 8, code + 11))
            layer.source.copy_(weight(2, 4, code + 12))
            layer.target.copy_(weight(2, 4, code + 13))
            layer.bias.copy_(bias(8, code + 14))
            fill_norm(norm, code + 15)
        actual = model(graphs(C5))[0].tolist()
    published = [0.1210586594, 0.7084893578, 1.15831379, 1.106779752, 0.4146953724, -0.169684606, -0.3429806507]
    assert actual == pytest.approx([*published, -0.3400286024], abs=1e-9)
    assert sum(part.numel() for part in GMAENAS(SPACE).parameters()) == 20161


def test_gmae_nas_size_on_nasbench201():
    model = GMAENAS(spaces.nasbench201(), **GMAENAS.paper_config(spaces.nasbench201()))
    assert sum(part.numel() for part in model.parameters()) == 57601
