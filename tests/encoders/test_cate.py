import logging
from itertools import product

import pytest
import torch

from archrank import datasets
from archrank.datasets.errors import ArchrankError
from archrank.datasets.space import SearchSpace
from archrank.encoders.cross_attention.cate import cate, pair_loss, pair_up, pretrain, read_out, sequence
from archrank.encoders.layers.complexity import complexity, operation_cost
from archrank.encoders.layers.masked_operators import GraphEncoder, PairModel, corrupt, guess_loss
from tests.encoders import golden as g
from tests.encoders import spaces

PAD_ROW = [
    -0.1308155791,
    0.0526979623,
    -0.8933883232,
    -1.0042989672,
    0.605135224,
    1.7072318708,
    0.7757564546,
    -1.2426335202,
]
OUTPUT_ROW = [-1.1262587573, -0.7246055461, 0.6778377803]
TINY = {
    "dim": 8,
    "layers": 1,
    "cross_layers": 1,
    "heads": 2,
    "hidden": 16,
    "cross_hidden": 16,
    "updates": 3,
    "batch": 8,
}


def cells(count, seed=0, nodes=7):
    """Random cells in which every node but the output leads on and every node but the input is led to."""
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        n = int(torch.randint(3, nodes + 1, (), generator=draw))
        ops = [0, *torch.randint(1, 4, (n - 2,), generator=draw).tolist(), 4]
        edges = {(v - 1, v) for v in range(1, n)}
        edges |= {(u, v) for v in range(n) for u in range(v) if torch.rand((), generator=draw) < 0.3}
        rows.append((ops, tuple(sorted(edges))))
    return g.graphs(*rows, nodes=nodes)


def filled():
    model = GraphEncoder(5, 8, 2, 2, 16, 0.0).double().eval()
    g.fill(model.embed.weight, 1)
    for number, layer in enumerate(model.blocks.layers):
        at, inside = 20 * number, layer.attention
        g.fill_norm(layer.norm, at + 2)
        for linear, code in ((inside.query, 3), (inside.key, 4), (inside.value, 5), (inside.out, 6)):
            g.fill_linear(linear, at + code)
        g.fill_norm(layer.feed.norm, at + 7)
        g.fill_linear(layer.feed.wide, at + 8)
        g.fill_linear(layer.feed.narrow, at + 9)
    g.fill_norm(model.blocks.norm, 30)
    return model


def test_official_values():
    batch = g.graphs(g.C5, nodes=7)
    states = filled()(batch.ops, batch.reach)[0]
    assert states[6].tolist() == pytest.approx(PAD_ROW, abs=4e-10)
    assert states[4, :3].tolist() == pytest.approx(OUTPUT_ROW, abs=4e-10)
    assert read_out(filled(), batch, g.space(7), faithful=True)[0].tolist() == pytest.approx(PAD_ROW, abs=4e-10)


@pytest.mark.parametrize("ops, total, encoding", [(5, 1_610_821, 403_520), (11, 1_611_595, 403_904)])
def test_published_size(ops, total, encoding):
    with torch.device("meta"):
        model = PairModel(ops, 64, 12, 24, 8, 128, 256, 0.1, extra_tokens=0, unused_norms=True)
    assert sum(p.numel() for p in model.parameters()) == total
    assert sum(p.numel() for p in model.encoder.parameters()) == encoding
    assert sum(p.numel() for part in (model.segment, model.cross) for p in part.parameters()) == 1_202_688 + 2 * 64
    unused = sum(p.numel() for name, p in model.named_parameters() if "unused" in name)
    assert unused == 1_408 + 2_944


def weights_of_first_layer(model, batch, offset=None):
    """Attention weights [B, heads, V, V] of the first block."""
    seen = {}
    inside = model.blocks.layers[0].attention
    inside.drop.register_forward_pre_hook(lambda _, inputs: seen.update(weights=inputs[0]))
    model(batch.ops, batch.reach, offset)
    return seen["weights"]


def test_a_node_sees_its_descendants_and_nobody_sees_itself():
    batch = g.graphs(g.C5, nodes=7)
    weights = weights_of_first_layer(filled(), batch)[0]
    closure = torch.tensor([[0, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]).bool()
    assert torch.equal(weights[0, :4, :5] > 0, closure) and not weights[0, :4, 5:].any()
    # The output node and padding may look at nobody: as published, at all seven rows alike.
    assert torch.allclose(weights[:, 4:], torch.full((2, 3, 7), 1 / 7, dtype=torch.float64))


def test_corrected_attention_never_reaches_padding_or_another_cell():
    two = g.graphs(g.C5, g.C3, together=True).pad(10)
    torch.manual_seed(0)
    model = GraphEncoder(7, 8, 1, 2, 16, 0.0).double().eval()
    tokens, offset = sequence(two, 5, False)
    assert tokens[0, 8:].tolist() == [5, 5]
    weights = weights_of_first_layer(model, two, offset.double())[0, 0]
    assert weights[4].tolist() == pytest.approx([0.2] * 5 + [0.0] * 5)
    assert weights[7].tolist() == pytest.approx([0.0] * 5 + [1 / 3] * 3 + [0.0] * 2)


def test_relabelling_and_padding_do_not_matter_but_do_as_published():
    torch.manual_seed(0)
    model = GraphEncoder(7, 8, 2, 2, 16, 0.0).eval()
    diamond = ((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4))
    batch = g.graphs(([0, 1, 2, 3, 4], diamond), ([0, 3, 1, 2, 4], diamond))
    embeddings = read_out(model, batch, g.space(5))
    assert torch.allclose(embeddings[0], embeddings[1], atol=1e-5)
    assert torch.allclose(read_out(model, batch.pad(9), g.space(9)), embeddings, atol=1e-5)
    published = [read_out(model, batch.pad(n), g.space(n), faithful=True)[0] for n in (5, 6, 9)]
    assert (published[0] - published[1]).abs().max() > 0.01
    assert (published[1] - published[2]).abs().max() > 0.001


def test_cells_with_the_same_closure_collide():
    without_shortcut = (g.C5[0], tuple(edge for edge in g.C5_EDGES if edge != (1, 4)))
    embeddings = read_out(filled(), g.graphs(g.C5, without_shortcut), g.space(5), faithful=True)
    assert torch.allclose(embeddings[0], embeddings[1], atol=1e-13)


def test_pairs_are_distinct_smaller_and_near():
    torch.manual_seed(0)
    cost = torch.randint(0, 50, (300,)).double()
    first, second = pair_up(cost, 0.1, 3)
    gap = cost[first] - cost[second]
    assert gap.min() >= 0 and gap.max() <= 0.1 * (cost.max() - cost.min())
    assert not (first == second).any()
    assert len({*zip(first.tolist(), second.tolist())}) == len(first)
    # Everything that has three candidates gets three; the very first has none.
    counts = first.bincount(minlength=300)
    order = torch.argsort(cost, stable=True)
    candidates = torch.tensor([sum(cost[order[j]] >= cost[i] - 4.9 for j in range(k)) for k, i in enumerate(order)])
    assert torch.equal(counts[order], candidates.clamp(max=3))


def test_pairs_are_drawn_evenly():
    torch.manual_seed(0)
    cost = torch.zeros(4)
    seen = torch.stack([pair_up(cost, 0.0, 2)[1][[2, 4]].sort().values for _ in range(600)])
    # The last of four equals has three candidates, so three unordered pairs, each in a third of the draws.
    _, counts = torch.unique(seen, dim=0, return_counts=True)
    assert len(counts) == 3 and (counts - 200).abs().max() < 60


def test_a_fifth_is_hidden():
    torch.manual_seed(0)
    tokens = torch.randint(0, 5, (4000, 10))
    real = torch.arange(10) < 6
    hidden, chosen = corrupt(tokens, real.expand(4000, 10), 5, 6, 0.2)
    assert not chosen[:, 6:].any() and torch.equal(hidden[~chosen], tokens[~chosen])
    assert chosen[:, :6].float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (hidden[chosen] == 6).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert hidden.max() == 6 and set(hidden[chosen].unique().tolist()) == {0, 1, 2, 3, 4, 6}


def test_loss_by_hand():
    scores = torch.tensor([[0.3, -1.0, 0.7, 0.1], [2.0, 0.0, 0.0, 1.0], [0.0, 0.5, 0.0, 0.0]])
    guesses = torch.log_softmax(scores, -1).double()
    tokens, chosen = torch.tensor([2, 0, 1]), torch.tensor([True, True, False])

    def divergence(target, row):
        return sum(t * (torch.tensor(t).log().item() - q) for t, q in zip(target, guesses[row].tolist()) if t)

    ours = (divergence([1 / 30, 1 / 30, 0.9, 1 / 30], 0) + divergence([0.9, 1 / 30, 1 / 30, 1 / 30], 1)) / 2
    assert guess_loss(guesses, tokens, chosen).item() == pytest.approx(ours, abs=1e-6)
    # As published: a hidden operation 0 counts as padding, and nothing is smoothed onto it.
    published = divergence([0.0, 0.05, 0.9, 0.05], 0)
    assert guess_loss(guesses, tokens, chosen, skip_class_zero=True).item() == pytest.approx(published, abs=1e-6)


@pytest.mark.parametrize("faithful", [False, True])
def test_encoding_is_deterministic_and_leaves_the_random_state_alone(faithful):
    graphs, space = cells(40), g.space(7)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch.no_grad():
        embeddings = cate(graphs, space, faithful=faithful, **TINY)
    assert torch.equal(torch.rand(3), expected)
    assert embeddings.shape == (40, 8) and embeddings.dtype == torch.float32 and embeddings.isfinite().all()
    assert torch.equal(embeddings, cate(cells(40), space, faithful=faithful, **TINY))
    assert not torch.equal(embeddings, cate(graphs, space, faithful=faithful, seed=1, **TINY))


@pytest.mark.parametrize("form, overlap", [("outside", False), ("outside_published", True)])
def test_pretraining_outside_the_space_sees_smaller_architectures_alone(form, overlap):
    graphs, space = cells(80), g.space(7)
    nodes, edges = graphs.mask.sum(-1), graphs.adj.sum((-1, -2))
    shown = (nodes != 7) & (edges <= 7)
    both = (nodes == 6) & (edges == 7)
    assert both.any() and shown.sum() > 20
    seen = (shown if overlap else shown & ~both).nonzero()[:, 0]
    whole = cate(graphs, space, pretrain_on=form, **TINY)
    assert torch.allclose(whole[seen], cate(graphs[seen], space, **TINY), atol=1e-6)
    assert not torch.allclose(whole, cate(graphs, space, **TINY), atol=1e-3)
    with pytest.raises(ArchrankError, match="leave pretrain_on out"):
        cate(graphs[(~shown).nonzero()[:, 0]], space, pretrain_on=form, **TINY)


def test_pretraining_learns_what_can_be_guessed():
    # Every inner operation of a cell is the same, so what is hidden can be read off the rest.
    torch.manual_seed(0)
    graphs = cells(60)
    inner = graphs.mask & (graphs.ops > 0) & (graphs.ops < 4)
    graphs.ops.copy_(torch.where(inner, torch.arange(60)[:, None] % 3 + 1, graphs.ops))
    first, second = pair_up(complexity(graphs, g.space(7)), 0.1, 2)
    model = PairModel(5, 16, 1, 1, 2, 32, 32, 0.0, extra_tokens=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = pretrain(model, graphs, first, second, optimizer, updates=150, batch=32)
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])


def test_embeddings_that_start_at_unit_size_learn_what_others_do_not_yet():
    graphs, space = spaces.nasbench201_graphs(list(product((2, 3, 4), repeat=6))), spaces.nasbench201()
    first, second = pair_up(complexity(graphs, space), 0.04, 2)
    last = []
    for unit in (False, True):
        torch.manual_seed(0)
        model = PairModel(7, 32, 1, 1, 4, 64, 64, 0.0, extra_tokens=2, unit_embeddings=unit)
        assert (model.encoder.embed.weight.std() * model.encoder.scale).item() == pytest.approx(
            1 if unit else 32**0.5, rel=0.2
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        last.append(sum(pretrain(model, graphs, first, second, optimizer, updates=160, batch=32)[-40:]) / 40)
    assert last[1] < last[0] - 0.1, last


def test_gradient_reaches_every_parameter():
    torch.manual_seed(0)
    both = cells(16)[torch.arange(16).view(2, 8)]
    for faithful in (False, True):
        model = PairModel(5, 8, 2, 2, 2, 16, 16, 0.0, extra_tokens=0 if faithful else 2)
        pair_loss(model, both, faithful).backward()
        assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_two_cells_side_by_side():
    graphs = g.graphs(g.C5, g.C3, together=True)[[0] * 12]
    assert cate(graphs, g.space(8, cells=2), **TINY).shape == (12, 16)


def test_progress_goes_to_the_log_and_size_is_limited(caplog, capsys):
    with caplog.at_level(logging.INFO):
        cate(cells(10), g.space(7), **TINY)
    assert "cate: update 3 of 3" in caplog.text and not capsys.readouterr().out
    with pytest.raises(ArchrankError, match="130 nodes"):
        cate(cells(2).pad(130), g.space(130))


@pytest.mark.parametrize(
    "op, weights, adds",
    [
        ("conv3x3", 9, 9),
        ("nor_conv_1x1", 1, 1),
        ("conv3x3-bn-relu", 9, 9),
        ("conv5", 5, 5),
        ("sep_conv_3x3", 2 * (9 / 16 + 1), 2 * (9 / 16 + 1)),
        ("dil_conv_5x5", 25 / 16 + 1, 25 / 16 + 1),
        ("avg_pool_3x3", 0, 9 / 16),
        ("maxpool3x3", 0, 9 / 16),
        ("skip_connect", 0, 0),
        ("none", 0, 0),
        ("input", 0, 0),
        ("linear", 1, 1),
        ("gat", 1, 1),
        ("c_{k-2}", 0, 0),
    ],
)
def test_cost_of_an_operation(op, weights, adds):
    assert operation_cost(op) == pytest.approx((weights, adds))


def test_cost_follows_roles_and_ignores_padding():
    space = SearchSpace("own", ("start", "conv3x3", "linear", "end"), 4, {"input": 0, "output": 3})
    batch = g.graphs(([0, 1, 2, 3], ()), ([0, 1, 3], ()))
    assert complexity(batch, space).tolist() == [10, 9]


@pytest.mark.data
@pytest.mark.skipif(datasets.available()["nasbench201"] == "missing", reason="needs the NAS-Bench-201 table")
def test_cost_is_the_true_parameter_count_up_to_scale():
    benchmark = datasets.load("nasbench201")
    cost = complexity(benchmark.graphs, benchmark.space)
    true = torch.tensor(benchmark.scores["parameters"].tolist(), dtype=torch.float64)
    assert torch.corrcoef(torch.stack([cost, true]))[0, 1] > 0.9999
