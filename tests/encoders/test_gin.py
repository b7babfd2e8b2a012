from dataclasses import replace

import pytest
import torch

from archrank.encoders.gnn.gin import GIN
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import contract, spaces
from tests.encoders import golden as g

NB101 = spaces.nasbench101()


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("faithful", [False, True])
def test_one_layer_by_hand(directed, faithful):
    torch.manual_seed(0)
    model = GIN(NB101, dim=4, layers=1, directed=directed, faithful=faithful).double().eval()
    layer = model.layers[0]
    if not faithful:
        torch.nn.init.constant_(layer.eps, 0.25)
        layer.norm = None
    ops, edges = g.C5
    x = model.embed.weight.T[torch.tensor(ops)]
    rows = []
    for v in range(5):
        near = [u for u, w in edges if w == v] + ([] if directed else [w for u, w in edges if u == v])
        total = (1 if faithful else 1.25) * x[v] + sum((x[u] for u in near), torch.zeros(4, dtype=x.dtype))
        rows.append(torch.relu(layer.narrow(torch.relu(layer.wide(total)))))
    assert torch.allclose(model(g.graphs(g.C5, nodes=7))[0], torch.stack(rows).mean(0), atol=1e-12)


def test_parameter_count():
    assert (
        sum(p.numel() for p in GIN(spaces.nasbench201()).parameters())
        == 7 * 64 + 3 * (2 * 64**2 + 3 * 64 + 1)
        == 25_603
    )


@pytest.mark.parametrize("options", [{}, {"directed": True}, {"faithful": True}])
def test_contract(options):
    graphs = spaces.random_graphs(NB101, 6, 0)

    def make():
        return GIN(NB101, dim=8, layers=2, **options)

    contract.check_padding_and_composition(make(), graphs)
    contract.check_relabelling(make(), graphs)
    contract.check_ensemble(make, graphs)
    space, pair, _ = spaces.darts(4, 0)
    assert GIN(space, dim=8, layers=2)(pair).shape == (4, 2 * 2 * 8)


def test_direction_is_seen_only_when_directed():
    # a -> b and b -> a between the same ends, read from a sum over neighbours without their order.
    one = g.graphs(([0, 1, 2, 4], ((0, 1), (0, 2), (1, 3), (2, 3))), nodes=7)
    for directed in (False, True):
        torch.manual_seed(0)
        model = GIN(NB101, dim=8, directed=directed).double().eval()
        turned = type(one)(one.ops, one.adj.transpose(1, 2), one.mask, one.cell)
        assert torch.allclose(model(one), model(turned)) != directed


def test_published_form():
    for space, margin in ((NB101, 0.5), (spaces.nasbench201(), 0.5), (replace(NB101, name="nasbench301"), 0.1)):
        recipe = make_recipe("paper", GIN.paper_recipe(space))
        assert (recipe.margin, recipe.clip) == (margin, 1.0)
    model = GIN(NB101, **GIN.paper_config(NB101))
    assert (
        "layers.0.eps" not in dict(model.named_parameters())
        and model.layers[0].eps.item() == 0
        and model.layers[0].norm is None
    )
