import pytest
import torch

from archrank.encoders.ensembling.fused import fusing
from archrank.encoders.gnn.gated_gcn import GatedGCN
from archrank.encoders.layers.edges import Lists, Slots, slots, slots_at
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import contract, spaces
from tests.encoders import golden as g

NB101 = spaces.nasbench101()


def by_hand(model, ops, edges):
    """The layers written out edge by edge, in evaluation mode with fresh statistics (mean 0, variance 1)."""

    def bn(x, norm):
        return x / (1 + 1e-5) ** 0.5 * norm.weight + norm.bias

    x = model.embed.weight.T[torch.tensor(ops)]
    both = [(u, v, 0) for u, v in edges] + [(v, u, 1) for u, v in edges]
    e = {edge: model.kinds[edge[2]] for edge in both}
    for layer in model.layers:
        raw = {(j, i, k): layer.D(x[i]) + layer.E(x[j]) + layer.C(e[j, i, k]) for j, i, k in both}
        rows = []
        for v in range(len(ops)):
            into = [edge for edge in both if edge[1] == v]
            gates = [torch.sigmoid(raw[edge]) for edge in into]
            message = sum(s * layer.B(x[edge[0]]) for s, edge in zip(gates, into)) / (sum(gates) + 1e-6)
            rows.append(x[v] + torch.relu(bn(layer.A(x[v]) + message, layer.norm_node)))
        e = {edge: e[edge] + torch.relu(bn(raw[edge], layer.norm_edge)) for edge in both}
        x = torch.stack(rows)
    return x.mean(0)


def test_against_a_loop_over_edges():
    torch.manual_seed(0)
    model = GatedGCN(NB101, dim=6, layers=2).double().eval()
    for layer in model.layers:
        g.fill_norm(layer.norm_node, 1)
        g.fill_norm(layer.norm_edge, 2)
    out = model(g.graphs(g.C5, g.C3, nodes=7))
    assert torch.allclose(out[0], by_hand(model, *g.C5), atol=1e-12)
    assert torch.allclose(out[1], by_hand(model, *g.C3), atol=1e-12)


def test_parameter_count():
    model = GatedGCN(spaces.nasbench201())
    assert sum(p.numel() for p in model.layers[0].parameters()) == 5 * 64**2 + 9 * 64
    assert sum(p.numel() for p in model.parameters()) == 63_744


@pytest.mark.parametrize("directed", [False, True])
def test_contract(directed):
    graphs = spaces.random_graphs(NB101, 6, 0)

    def make():
        return GatedGCN(NB101, dim=8, layers=2, directed=directed)

    contract.check_padding_and_composition(make(), graphs)
    contract.check_relabelling(make(), graphs)
    # The last layer's edge states reach no output; its edge norm is never used after them.
    contract.check_ensemble(make, graphs, unused=("layers.1.norm_edge",))
    space, pair, _ = spaces.darts(4, 0)
    assert GatedGCN(space, dim=8, directed=directed)(pair).shape == (4, 16)


def test_edge_list_holds_every_edge_once():
    graphs = spaces.random_graphs(NB101, 20, 1)
    edges = Lists(graphs, both_ways=False)
    for i in range(20):
        there = [(int(u), int(v)) for u, v, real in zip(edges.start[i], edges.end[i], edges.there[i]) if real]
        assert sorted(there) == [tuple(pair) for pair in torch.nonzero(graphs.adj[i]).tolist()]


def test_hundreds_of_nodes():
    space = type(NB101)("large", NB101.ops, 300, {"input": 0, "output": 4})
    graphs = spaces.random_graphs(space, 2, 0, density=0.01)
    model = GatedGCN(space, dim=8)
    assert model.slots is None
    assert torch.isfinite(model(graphs)).all()


@pytest.mark.parametrize("directed", [False, True])
def test_slots_and_lists_are_equal(directed):
    graphs = spaces.random_graphs(NB101, 8, 0)
    torch.manual_seed(0)
    model = GatedGCN(NB101, dim=8, directed=directed).double()
    assert slots(NB101).shape == (2, 21, 7)
    by_slot = model(graphs)
    model.slots = None
    assert torch.allclose(by_slot, model(graphs), atol=1e-12)

    def make():
        listed = GatedGCN(NB101, dim=8, layers=2, directed=directed)
        listed.slots = None
        return listed

    contract.check_padding_and_composition(make(), graphs)
    contract.check_ensemble(make, graphs, unused=("layers.1.norm_edge",))


@pytest.mark.parametrize("both_ways", [False, True])
def test_a_compiled_program_computes_the_same_from_tables(both_ways):
    graphs = spaces.random_graphs(NB101, 8, 0).pad(9)
    ends = slots(NB101)
    at = slots_at(ends, both_ways)
    plain = Slots(graphs, ends.double(), at, both_ways)
    with fusing():
        fused = Slots(graphs, ends.double(), at, both_ways)
    x, y, values = (torch.randn(8, n, 3, dtype=torch.float64, requires_grad=True) for n in (9, 9, plain.there.shape[1]))
    for call in (lambda edges: edges.pair(x, y), lambda edges: edges.senders(x), lambda edges: edges.sum_in(values)):
        expected = call(plain)
        weight = torch.randn_like(expected)
        with fusing():
            actual = call(fused)
        assert torch.allclose(expected, actual, atol=1e-12)
        inputs = (x, y, values)
        for one, other in zip(
            *(torch.autograd.grad((result * weight).sum(), inputs, allow_unused=True) for result in (expected, actual))
        ):
            assert (one is None) == (other is None) and (one is None or torch.allclose(one, other, atol=1e-12))


def test_recipe_is_valid():
    for space in (NB101, spaces.nasbench201()):
        make_recipe("paper", GatedGCN.paper_recipe(space))
