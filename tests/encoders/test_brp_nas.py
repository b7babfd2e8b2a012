import numpy as np
import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from archrank.datasets import canonical
from archrank.datasets.space import SearchSpace
from archrank.encoders.gnn.brp_nas import BRPNAS, BRPNASRelation
from archrank.encoders.layers.dataflow import dataflow
from archrank.eval.engine.recipes import make_recipe
from tests.encoders import contract, spaces
from tests.encoders import golden as g

NB101, NB201 = spaces.nasbench101(), spaces.nasbench201()
# Features of the golden values: none, conv3x3, conv1x1, max pool, input, output, global. Ours: the space's order, none,
# global.
SPACE = SearchSpace(
    "nasbench101", ("conv3x3", "conv1x1", "maxpool3x3", "input", "output"), 7, {"input": 3, "output": 4}
)
FIRST = torch.tensor([1, 2, 3, 4, 5, 0, 6])
C5, C3 = ([3, 1, 0, 2, 4], g.C5_EDGES), ([3, 0, 4], g.C3_EDGES)


def filled(kind):
    model = kind(SPACE, dim=6, layers=2, faithful=True).double().eval()
    for number, layer in enumerate(model.body.layers):
        at = 10 * number
        with torch.no_grad():
            layer.weight.copy_(g.weight(7, 6, at + 1)[FIRST] if number == 0 else g.weight(6, 6, at + 1))
        g.fill(layer.bias, at + 1)
        g.fill_norm(layer.norm, at + 2)
    return model


@pytest.mark.parametrize("nodes", [7, 9])
def test_official_values(nodes):
    model = filled(BRPNASRelation)
    g.fill_linear(model.better, 30)
    a, b = model(g.graphs(C5, C3, nodes=nodes))
    both = torch.log_softmax(model.better(torch.cat([a, b])), -1)
    assert both.tolist() == pytest.approx([-0.9593010478554584, -0.4831465860892692], abs=1e-9)
    assert model.compare(a, b).item() == pytest.approx((both[0] - both[1]).item(), abs=1e-12)
    assert torch.equal(filled(BRPNAS)(g.graphs(C5, nodes=nodes))[0], a)


def test_pairs_broadcast():
    torch.manual_seed(0)
    model = BRPNASRelation(NB101, dim=8).double().eval()
    x = model(spaces.random_graphs(NB101, 5, 0))
    table = model.compare(x[:, None], x[None])
    for i in range(5):
        for j in range(5):
            logits = model.better(torch.cat([x[i], x[j]]))
            assert table[i, j].item() == pytest.approx((logits[0] - logits[1]).item(), abs=1e-12)


@pytest.mark.parametrize(
    "space, features, pairs", [(NB101, 7, 1_093_802), (NB201, 6, 1_093_202), (spaces.darts(1, 0)[0], 10, 1_095_602)]
)
def test_published_parameter_counts(space, features, pairs):
    config = BRPNAS.paper_config(space)
    alone = sum(p.numel() for p in BRPNAS(space, **config, faithful=True).parameters())
    assert alone == features * 600 + 600 + 1200 + 3 * (600 * 600 + 600 + 1200)
    # The published counts have one embedding per architecture.
    assert alone + 1200 * 2 + 2 == pairs
    if space is NB201:
        assert alone + 601 == 1_091_401
    if space.cells == 1:
        assert sum(p.numel() for p in BRPNASRelation(space, **config, faithful=True).parameters()) == pairs


def test_identities_are_contracted_and_dead_operations_unseen():
    none, skip, conv = 1, 2, 4
    cells = [
        [conv, none, none, none, skip, none],
        [none, none, none, conv, none, none],
        [conv, none, conv, conv, none, none],
    ]
    torch.manual_seed(0)
    graphs = spaces.nasbench201_graphs(cells)
    one, two, three = BRPNAS(NB201, dim=8).double().eval()(graphs)
    assert torch.allclose(one, two)
    assert torch.allclose(two, three)


def test_faithful_counts_what_was_taken_out():
    none, conv = 1, 4
    graphs = spaces.nasbench201_graphs([[none, none, none, conv, none, none]])
    torch.manual_seed(0)
    plain, faithful = BRPNAS(NB201, dim=8).double().eval(), BRPNAS(NB201, dim=8, faithful=True).double().eval()
    for layer in plain.body.layers:
        g.fill(layer.bias, 1)
    faithful.load_state_dict(plain.state_dict())
    assert not torch.allclose(plain(graphs), faithful(graphs))


@pytest.mark.parametrize("kind", [BRPNAS, BRPNASRelation])
def test_contract(kind):
    graphs = spaces.random_graphs(NB101, 6, 0)

    def make(**options):
        return kind(NB101, dim=8, layers=2, **options)

    contract.check_padding_and_composition(make(), graphs)
    contract.check_padding_and_composition(make(faithful=True), graphs)
    contract.check_relabelling(make(), graphs)
    # `better` is reached through `compare`, not through the embedding.
    contract.check_ensemble(make, graphs, unused=("better",))
    space, pair, _ = spaces.darts(4, 0)
    assert kind(space, dim=8)(pair).shape == (4, 16)


@pytest.mark.parametrize("kind", [BRPNAS, BRPNASRelation])
def test_recipes_are_valid(kind):
    make_recipe("paper", kind.paper_recipe(NB201))


@pytest.mark.parametrize("which", ["nasbench101", "nasbench201", "darts", "roleless"])
def test_dataflow_is_the_canonical_form(which):
    space, graphs = NB101, spaces.random_graphs(NB101, 60, 0, density=0.3)
    if which == "nasbench201":
        space, graphs = NB201, spaces.nasbench201_graphs(np.random.default_rng(0).integers(1, 6, (200, 6)).tolist())
    elif which == "darts":
        space, graphs, _ = spaces.darts(60, 0)
    elif which == "roleless":
        space = SearchSpace("bare", NB101.ops, 7, {"skip": 1, "none": 2})
    edges, left = dataflow(graphs, space)
    form = canonical.canonicalize(
        space, *(t.numpy() for t in (graphs.ops, graphs.adj, graphs.mask, graphs.cell)), keep_strided=False
    )
    sums = np.isin(form.ops, canonical.roles_of(space).sums) & form.mask
    assert np.array_equal(edges.numpy(), canonical.contract(form.links, sums) > 0)
    assert np.array_equal(left.numpy(), form.mask & ~sums)


def test_structure_may_be_derived_inside_an_ensemble():
    """Graphs that nobody prepared still run as one program."""
    torch.manual_seed(0)
    models = [BRPNAS(NB201, dim=8).eval() for _ in range(2)]
    parameters, buffers = stack_module_state(models)
    fresh = spaces.nasbench201_graphs([[1, 2, 3, 4, 5, 1], [2, 2, 2, 2, 2, 2]])
    batch = {name: torch.stack([tensor, tensor]) for name, tensor in fresh.tensors().items()}
    out = vmap(lambda p, b, t: functional_call(models[0], (p, b), (fresh.with_tensors(t),)))(parameters, buffers, batch)
    again = spaces.nasbench201_graphs([[1, 2, 3, 4, 5, 1], [2, 2, 2, 2, 2, 2]])
    for i, model in enumerate(models):
        assert torch.allclose(out[i], model(again), atol=1e-6)


def test_relation_learns_an_order():
    torch.manual_seed(0)
    graphs = spaces.random_graphs(NB101, 40, 0, density=0.8)
    arrays = (t.numpy() for t in (graphs.ops, graphs.adj, graphs.mask))
    _, distinct = np.unique(canonical.canonicalize(NB101, *arrays).key.astype(str), return_index=True)
    graphs = graphs[torch.from_numpy(distinct[:12])]
    score = torch.arange(12.0)
    model = BRPNASRelation(NB101, dim=16, dropout=0.0)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    expected = (score[:, None] > score[None]).float()
    off = ~torch.eye(12, dtype=torch.bool)
    for _ in range(150):
        x = model(graphs)
        odds = model.compare(x[:, None], x[None])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(odds[off], expected[off])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = model(graphs)
    borda = model.compare(x[:, None], x[None]).mean(1)
    assert torch.equal(borda.argsort(), torch.arange(12))
