"""DCLP's network: the values of its code."""

import pytest
import torch

from archrank.encoders.gnn.dclp import DCLP
from tests.encoders import spaces
from tests.encoders.golden import C5, fill_linear, fill_norm, graphs

SPACE = spaces.nasbench101()


@pytest.mark.parametrize("directed, published", [(True, 0.5040996397788463), (False, 0.5041013678294739)])
def test_dclp_gives_the_published_values(directed, published):
    model = DCLP(SPACE, dim=6, directed=directed).double().eval()
    for number, (layer, norm) in enumerate(zip(model.layers, model.norms)):
        fill_linear(layer[0], 10 * number + 1)
        fill_linear(layer[2], 10 * number + 2)
        fill_norm(norm, 10 * number + 5)
    score = torch.nn.Linear(6, 1).double()
    for dense, code in ((model.wide, 50), (model.narrow, 51), (score, 52)):
        fill_linear(dense, code)
    with torch.no_grad():
        assert torch.sigmoid(score(model(graphs(C5)))).item() == pytest.approx(published, abs=1e-9)
