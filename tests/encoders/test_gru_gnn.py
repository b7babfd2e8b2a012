from itertools import pairwise

import torch

from archrank.encoders.gnn.gru_gnn import GRUGNN
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import contract, spaces
from tests.encoders import golden as g

NB101 = spaces.nasbench101()


def test_published_parameter_count():
    model = GRUGNN(NB101, **GRUGNN.paper_config(NB101))
    sizes = [56, *make_recipe("paper", GRUGNN.paper_recipe(NB101)).head.hidden, 1]
    head = sum(a * b + b for a, b in pairwise(sizes))
    assert sum(p.numel() for p in model.parameters()) + head == 2_147_672


def test_against_messages_on_every_edge():
    torch.manual_seed(0)
    model = GRUGNN(NB101, dim=5, hidden=6).double()
    for cell, row in ((g.C5, 0), (g.C3, 1)):
        ops, edges = cell
        x = model.embed(torch.tensor(ops))
        for layer in model.layers:
            update = torch.nn.GRUCell(12, 6).double()
            update.load_state_dict(layer.gru.state_dict())
            total = torch.zeros(len(ops), 12, dtype=torch.float64)
            for u, v in edges:
                total[v] = total[v] + layer.along(torch.cat([x[u], x[v]]))
                total[u] = total[u] + layer.against(torch.cat([x[v], x[u]]))
            x = update(total, x)
        expected = (torch.sigmoid(model.gate(x)) * model.out(x)).sum(0)
        assert torch.allclose(model(g.graphs(g.C5, g.C3, nodes=7))[row], expected, atol=1e-12)


def test_contract():
    graphs = spaces.random_graphs(NB101, 6, 0)

    def make():
        return GRUGNN(NB101, dim=8, hidden=8)

    contract.check_padding_and_composition(make(), graphs)
    contract.check_relabelling(make(), graphs)
    contract.check_ensemble(make, graphs)
    space, pair, _ = spaces.darts(4, 0)
    assert GRUGNN(space, dim=8)(pair).shape == (4, 16)
