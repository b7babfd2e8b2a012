import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from archrank import datasets
from archrank.encoders.sequence.nar_former import NarFormer, period, scalar_code
from archrank.eval.engine.batching import Batch, GraphView
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.network import Network
from archrank.eval.engine.recipes import make_recipe
from archrank.eval.engine.update import Update
from tests.encoders import golden as g

DIAMOND = ([0, 1, 2, 3, 4], ((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)))
FORWARD = {"dim": 24, "heads": 3, "hidden": 24, "layers": 2}


def small(space=None, seed=0, **options):
    torch.manual_seed(seed)
    return NarFormer(space or g.space(7), **FORWARD | options).double().eval()


def fill_attention(attention, codes):
    for layer, code in zip((attention.query, attention.key, attention.value, attention.out), codes, strict=True):
        if layer is not None:
            g.fill_linear(layer, code)


def fill_feed(feed, code):
    g.fill_norm(feed.norm, code)
    g.fill_linear(feed.wide, code + 1)
    g.fill_linear(feed.narrow, code + 2)


def test_official_value_of_the_network():
    model = small(datasets.SearchSpace("two", ("input", "output"), 7), dim=12)
    for number, layer in enumerate(model.layers):
        at = 20 * number
        g.fill_norm(layer.norm, at + 1)
        fill_attention(layer.attention, range(at + 2, at + 6))
        fill_feed(layer.feed, at + 6)
    for number, stage in enumerate(model.stages):
        at = 200 + 20 * number
        g.fill_norm(stage.norm, at + 1)
        fill_attention(stage.attention, (None, at + 2, at + 3, at + 4))
        fill_feed(stage.feed, at + 6)
        g.fill(model.queries[number].data, 600 + number)
    for number, fusion in enumerate(model.fusions):
        at = 400 + 20 * number
        g.fill_norm(fusion.norm_query, at + 1)
        g.fill_norm(fusion.norm_memory, at + 2)
        fill_attention(fusion.attention, range(at + 3, at + 7))
        fill_feed(fusion.feed, at + 7)
    g.fill_norm(model.norm, 700)
    t, c = torch.arange(1, 8, dtype=torch.float64)[:, None], torch.arange(1, 13, dtype=torch.float64)
    inputs = torch.sin(0.1 * t * c)[None]
    padded = torch.cat([inputs, torch.full((1, 3, 12), 7.0)], 1)
    present = torch.arange(10)[None] < 7
    for actual in (model.fuse(inputs), model.fuse(padded.double(), present)):
        logit = actual @ g.weight(1, 12, 701)[0] + g.bias(1, 701)
        assert logit.item() == pytest.approx(0.14478083501104988, abs=1e-9)
        assert torch.sigmoid(logit).item() == pytest.approx(0.5361321155428107, abs=1e-9)


def test_official_losses_of_a_training():
    """Six updates of the official network and losses (dropout 0, decay on biases too, PyTorch's AdamW), in float64."""
    space, cells = g.space(7), g.graphs(g.C5, DIAMOND, ([0, 2, 1, 3, 4], DIAMOND[1]))
    recipe = make_recipe("paper", NarFormer.paper_recipe(space) | {"consistency": 0.0, "lr": 1e-3})
    network = Network(small(dropout=0.0), recipe.head, cells).double()
    for code, (name, weight) in enumerate(network.named_parameters()):
        g.fill(weight.data, code)
        if "norm" in name and name.endswith("weight"):
            weight.data.copy_(1 + 0.1 * torch.sin(torch.arange(len(weight), dtype=torch.float64) + code))
    update = Update(Ensemble([network]).train(), recipe, "score")
    partners = torch.tensor([[2.0, 0.0, 1.0]], dtype=torch.float64).unsqueeze(-1)  # ordered: 1, 2, 0
    labels = torch.tensor([[0.9, 0.93, 0.7]], dtype=torch.float64)
    batch = Batch(labels, (GraphView(cells[torch.arange(3)[None]], None, partners),))
    losses = [update(batch, 1e-3 * rate).item() for rate in (0.0, 0.5, 1.0, 0.75, 0.5, 0.25)]
    assert losses == pytest.approx(
        [0.14751736101, 0.14751736101, 0.09978413434, 0.05957710268, 0.02745628856, 0.02188175176], abs=1e-6
    )
    ensemble = update.ensemble.train(False)
    for weights, expected in (
        (None, [0.78172975876, 0.78175577852, 0.58018554454]),
        (update.average, [0.50766673577, 0.51840460667, 0.53331354352]),
    ):
        assert ensemble.call(batch.views[0].graphs, "score", None, weights)[0][0].tolist() == pytest.approx(
            expected, abs=1e-5
        )


def test_published_codes():
    codes = scalar_code(torch.arange(9), 32)
    assert codes.dtype == torch.float32 and codes.shape == (9, 64)
    assert codes[1, :6].tolist() == pytest.approx([0, -1, -0.9431, -0.3324, 0.6270, -0.7790], abs=5e-5)
    assert codes[2, 2:6].tolist() == pytest.approx([0.6270, -0.7790, -0.9769, 0.2137], abs=5e-5)
    # One after the other, as the official tokenizer computes them, gives the same bits as all at once.
    bands = torch.linspace(1.0, 2.0**31, 32)
    for number in range(9):
        for i, band in enumerate(bands):
            angle = torch.tensor([float(number)]) * torch.pi * band
            assert codes[number, 2 * i].item() == pytest.approx(torch.sin(angle).item(), abs=1e-6)
            assert codes[number, 2 * i + 1].item() == pytest.approx(torch.cos(angle).item(), abs=1e-6)
    near = torch.nn.functional.cosine_similarity(codes[:, None], codes[None], -1) - torch.eye(9)
    assert near.abs().max() < 0.5


def test_a_dim_at_which_operations_share_a_code_is_refused():
    for frequencies in range(1, 25):
        codes = scalar_code(torch.arange(20), frequencies)
        alike = torch.nonzero(codes @ codes[0] > 0.95 * frequencies)[:, 0].tolist()[1:2]
        assert alike == [period(frequencies)] * (period(frequencies) < 20)
    assert [period(dim // 6) for dim in (12, 24, 48, 96, 192)] == [2, 6, 14, 30, float("inf")]
    with pytest.raises(
        datasets.ArchrankError, match="at dim 12 the code of a number repeats every 2, and space '.*' has 5 operations"
    ):
        small(dim=12)
    with pytest.raises(datasets.ArchrankError, match="every 30"):
        NarFormer(datasets.SearchSpace("many", tuple(map(str, range(31))), 7))


def test_tokens_of_a_cell():
    model = NarFormer(g.space(7), dim=192)
    tokens = model.tokens(g.graphs(g.C5, g.C3, nodes=7))
    code = scalar_code(torch.tensor([0.0, 1, 2, 3, 4, 1e5, -1]), 32)
    end, nowhere = code[5], code[6]
    assert tokens.shape == (2, 8, 192)
    assert torch.equal(tokens[0, 0], torch.cat([code[0], code[0], nowhere]))
    assert torch.equal(tokens[0, 3], torch.cat([code[3], code[3], code[2]]))
    assert torch.allclose(tokens[0, 4], torch.cat([code[4], code[4], code[0] + code[1] + code[3]]), atol=1e-6)
    assert torch.equal(tokens[0, 5], end.repeat(3)) and torch.equal(tokens[1, 3], end.repeat(3))
    assert not tokens[0, 6:].any() and not tokens[1, 4:].any()
    assert torch.equal(model.size_codes[5], scalar_code(torch.tensor(5.0), 96))
    # The same codes in a network of higher precision, down to the rounding of the sums.
    double = NarFormer(g.space(7), dim=192).double().tokens(g.graphs(g.C5, g.C3, nodes=7))
    assert torch.allclose(double.float(), tokens, atol=1e-6)


def test_published_size_and_recipe():
    for space, epochs in ((g.space(7), 6000), (datasets.SearchSpace("nasbench201", g.OPS, 8), 4000)):
        with torch.device("meta"):
            model = NarFormer(space, **NarFormer.paper_config(space))
        assert sum(p.numel() for p in model.parameters()) + 192 + 1 == 4_822_081
        recipe = make_recipe("paper", NarFormer.paper_recipe(space))
        assert (recipe.epochs, recipe.warmup, recipe.head.output) == (epochs, 0.1 * epochs, "sigmoid")


def test_published_projections_start_alike():
    model = small(faithful=True)
    block, gather = model.layers[0].attention, model.stages[0].attention
    assert torch.equal(block.query.weight, block.value.weight) and torch.equal(block.query.bias, block.out.bias)
    assert gather.query is None and torch.equal(gather.key.weight, gather.out.weight)
    assert not torch.equal(block.key.weight, gather.key.weight)


def test_padding_and_batch_do_not_matter():
    model = small()
    alone = torch.cat([model(g.graphs(cell)) for cell in (g.C5, g.C3)])
    for nodes in (5, 7, 9):
        assert torch.allclose(model(g.graphs(g.C5, g.C3, nodes=nodes)), alone, atol=1e-12)


def test_the_order_of_nodes_matters():
    swapped = ([0, 2, 1, 3, 4], DIAMOND[1])
    actual = small()(g.graphs(DIAMOND, swapped))
    assert (actual[0] - actual[1]).abs().max() > 1e-3


def test_twins():
    # Last two inner nodes: linked in C5, only one in C3, free in the diamond, missing in a pair of input and output.
    twin = NarFormer.twins(g.graphs(g.C5, g.C3, DIAMOND, ([0, 4], ((0, 1),)), nodes=7))
    same = g.graphs(g.C5, g.C3, ([0, 1, 3, 2, 4], DIAMOND[1]), ([0, 4], ((0, 1),)), nodes=7)
    for name in ("ops", "adj", "mask", "cell"):
        assert torch.equal(getattr(twin, name), getattr(same, name)), name
    assert torch.equal(NarFormer.twins(twin).ops[2], torch.tensor([0, 1, 2, 3, 4, 0, 0]))


def test_twins_move_edges_with_their_nodes():
    cell = ([0, 1, 2, 3, 4], ((0, 1), (1, 2), (0, 3), (2, 4), (3, 4)))
    twin = NarFormer.twins(g.graphs(cell))
    expected = g.graphs(([0, 1, 3, 2, 4], ((0, 1), (1, 3), (0, 2), (3, 4), (2, 4))))
    assert torch.equal(twin.adj, expected.adj) and torch.equal(twin.ops, expected.ops)
    assert not torch.tril(twin.adj).any()


def test_twins_of_two_cells():
    twin = NarFormer.twins(g.graphs(g.C3, DIAMOND, together=True))
    assert torch.equal(twin.ops, g.graphs(g.C3, ([0, 1, 3, 2, 4], DIAMOND[1]), together=True).ops)


@pytest.mark.data
@pytest.mark.skipif(datasets.available()["nasbench201"] == "missing", reason="needs the NAS-Bench-201 table")
def test_twins_of_a_whole_space():
    graphs = datasets.load("nasbench201").graphs[:1000]
    twin = NarFormer.twins(graphs)
    assert not torch.tril(twin.adj).any()
    assert torch.equal(twin.adj.sum((1, 2)), graphs.adj.sum((1, 2)))
    assert torch.equal(twin.ops[:, 5], graphs.ops[:, 6]) and torch.equal(twin.ops[:, 6], graphs.ops[:, 5])


def test_two_cells_in_one_sequence():
    model = small(g.space(8, cells=2))
    actual = model(g.graphs(g.C5, g.C3, together=True)), model(g.graphs(g.C3, g.C5, together=True))
    assert actual[0].shape == (1, 24) and (actual[0] - actual[1]).abs().max() > 1e-3


def test_stacked_members_equal_each_alone():
    members = [small(seed=seed) for seed in range(3)]
    parameters, buffers = stack_module_state(members)
    batch = g.graphs(g.C5, g.C3)
    together = vmap(lambda p, b: functional_call(members[0], (p, b), (batch,)))(parameters, buffers)
    for actual, member in zip(together, members, strict=True):
        assert torch.allclose(actual, member(batch), atol=1e-12)
    together.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in parameters.values())
