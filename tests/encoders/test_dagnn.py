import pytest
import torch

from archrank.encoders.gnn.dagnn import DAGNN
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import contract, spaces
from tests.encoders import golden as g

NB101 = spaces.nasbench101()


def by_hand(model, ops, edges):
    """Node by node, with `torch.nn.GRUCell` and the attention's query left in: it must cancel."""
    nodes = range(len(ops))
    gathered = []
    for sweeps, backward in ((model.down, False), (model.up, True)):
        x = torch.eye(model.ops, dtype=torch.float64)[torch.tensor(ops)]
        for sweep in sweeps:
            cell = torch.nn.GRUCell(x.shape[1], len(sweep.key)).double()
            cell.load_state_dict(sweep.gru.state_dict())
            query = torch.linspace(-1, 1, x.shape[1], dtype=torch.float64)
            states = {}
            for v in reversed(nodes) if backward else nodes:
                near = [w for u, w in edges if u == v] if backward else [u for u, w in edges if w == v]
                message = torch.zeros(len(sweep.key), dtype=torch.float64)
                if near:
                    logits = torch.stack([query @ x[v] + states[u] @ sweep.key for u in near])
                    message = torch.softmax(logits, 0) @ torch.stack([states[u] for u in near])
                states[v] = cell(x[v], message)
            x = torch.stack([states[v] for v in nodes])
            gathered.append(x[0 if backward else -1])
    return model.out(torch.cat(gathered))


def test_against_a_loop_over_nodes():
    torch.manual_seed(0)
    model = DAGNN(NB101, dim=6).double()
    out = model(g.graphs(g.C5, g.C3, nodes=7))
    assert torch.allclose(out[0], by_hand(model, *g.C5), atol=1e-12)
    assert torch.allclose(out[1], by_hand(model, *g.C3), atol=1e-12)


def test_levels_do_not_change_the_result():
    """NAS-Bench-201 sweeps in 5 groups; a space that knows nothing of its edges sweeps node by node."""
    space = spaces.nasbench201()
    plain = type(space)(space.name, space.ops, 8, space.roles)
    graphs = spaces.nasbench201_graphs([[1, 2, 3, 4, 5, 1], [3, 3, 2, 1, 5, 4]])
    torch.manual_seed(0)
    grouped = DAGNN(space, dim=8).double()
    single = DAGNN(plain, dim=8).double()
    single.load_state_dict(grouped.state_dict())
    assert (len(grouped.groups), len(single.groups)) == (5, 8)
    assert torch.allclose(
        grouped(graphs), single(spaces.nasbench201_graphs([[1, 2, 3, 4, 5, 1], [3, 3, 2, 1, 5, 4]])), atol=1e-12
    )


def test_parameter_count():
    d, ops, layers = 64, 7, 2
    expected = 2 * (3 * ops * d + 3 * d * d + 7 * d) + 2 * (layers - 1) * (6 * d * d + 7 * d) + (2 * layers * d + 1) * d
    assert sum(p.numel() for p in DAGNN(spaces.nasbench201()).parameters()) == expected == 94_656


def test_contract():
    graphs = spaces.random_graphs(NB101, 6, 0)

    def make():
        return DAGNN(NB101, dim=8)

    contract.check_padding_and_composition(make(), graphs)
    contract.check_relabelling(make(), graphs)
    contract.check_ensemble(make, graphs)
    space, pair, _ = spaces.darts(4, 0)
    out = DAGNN(space, dim=8)(pair)
    assert out.shape == (4, 16)
    assert torch.isfinite(out).all()


def test_faithful_sees_the_order_of_nodes():
    graphs = spaces.random_graphs(NB101, 20, 0)
    torch.manual_seed(0)
    model = DAGNN(NB101, dim=8, faithful=True).double()
    assert not torch.allclose(model(graphs), model(spaces.shuffled(graphs, 1)), atol=1e-4)
    contract.check_padding_and_composition(model, graphs)


@pytest.mark.parametrize("space", [NB101, spaces.nasbench201()])
def test_recipe_is_valid(space):
    make_recipe("paper", DAGNN.paper_recipe(space))
