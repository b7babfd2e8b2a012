"""Pretexts: published values of their targets and losses, and what pre-training does to an encoder."""

import numpy as np
import pytest
import torch

from archrank.datasets.errors import ArchrankError
from archrank.datasets.space import SearchSpace
from archrank.encoders import catalog
from archrank.encoders.catalog import known
from archrank.encoders.features.base import base
from archrank.encoders.pretexts import PRETEXTS, parse_pretext
from archrank.encoders.pretexts.context import Isomorphism, context_loss
from archrank.encoders.pretexts.contrastive import contrast, edited
from archrank.encoders.pretexts.counts import TARGETS
from archrank.encoders.pretexts.flow_surrogate import flow_surrogate
from archrank.encoders.pretexts.masked_ops import guess_loss
from archrank.encoders.pretexts.zero_cost import ranking_loss
from archrank.eval.engine.pretraining import load_weights, pretrain
from tests.encoders import spaces
from tests.encoders.golden import C5, fill, fill_linear, fill_norm, graphs

SPACE = spaces.nasbench101()
GRAPHS = spaces.random_graphs(SPACE, 24, 1)
UNLABELLED = GRAPHS.with_columns({"proxy": GRAPHS.adj.sum((1, 2)).double()})
UNLABELLED.derive(TARGETS, lambda these: base(these, SPACE))  # keeps the counts, which take a second
SMALL = "(updates=6,batch=16)"


def make(name, **options):
    encoder = known()[name].load()
    return lambda space: encoder(space, dim=8, **options)


def test_flow_surrogate_is_the_published_one():
    five = graphs(C5)
    actual = flow_surrogate(five, SPACE, 4, 1.0)[0].tolist()
    assert actual == pytest.approx([1.117480798, 4.565578759, 0.5297724985, 6.027705911], abs=1e-9)
    ops = ("input", "conv1x1", "conv3x3", "avgpool", "skip", "none", "output")
    space = SearchSpace("nb201", ops, 8, {"input": 0, "output": 6})
    cell = spaces.nasbench201_graphs([[2, 4, 1, 5, 3, 2]])
    actual = flow_surrogate(cell, space, 7, 0.1)[0].tolist()
    published = [0.1736480227, 0.4784624369, 0.2156759048, 0.3834890604, 0.9332090708, 0.2241681052, 0.1384553286]
    assert actual == pytest.approx(published, abs=1e-9)


def test_flow_surrogate_does_not_see_padding_or_the_order_of_nodes():
    alone = flow_surrogate(GRAPHS, SPACE, 5, 0.3)
    assert torch.allclose(alone, flow_surrogate(GRAPHS.pad(9), SPACE, 5, 0.3))
    assert torch.allclose(alone, flow_surrogate(spaces.shuffled(GRAPHS, 2), SPACE, 5, 0.3))


@pytest.mark.filterwarnings("ignore:reduction")
def test_guess_loss_is_torchs_divergence():
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    ops = torch.tensor([[0, 1, 2, 3], [4, 4, 1, 0], [2, 2, 2, 2]])
    target = torch.nn.functional.one_hot(ops, 5).float()
    published = torch.nn.KLDivLoss()(torch.log_softmax(logits, -1), target)
    assert guess_loss(logits, ops, torch.ones_like(ops, dtype=torch.bool)).item() == pytest.approx(published.item())


@pytest.mark.parametrize("name", list(PRETEXTS))
def test_every_pretext_trains_every_kind_of_encoder_and_repeats_to_the_bit(name):
    task = parse_pretext(name + SMALL)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first, losses = pretrain(make("gin"), task, UNLABELLED, SPACE)
        torch.manual_seed(6)
        again, _ = pretrain(make("gin"), task, UNLABELLED, SPACE)
    assert len(losses) == 6 and np.isfinite(losses).all()
    assert first.keys() == again.keys() and all(torch.equal(first[part], again[part]) for part in first)
    built = load_weights(make("gin")(SPACE), first)
    fresh = make("gin")(SPACE)
    assert any(not torch.equal(a, b) for a, b in zip(built.parameters(), fresh.parameters()))


@pytest.mark.parametrize("name", [info.name for info in catalog.builtin().values() if "states" in info.hooks])
def test_states_are_of_the_nodes_that_are_pooled_and_hidden_operations_leave_no_trace(name):
    torch.manual_seed(0)
    encoder = make(name)(SPACE).eval()
    with torch.no_grad():
        states, embedding = encoder.states(GRAPHS.plain()), encoder(GRAPHS.plain())
    mean = (states * GRAPHS.mask.unsqueeze(-1)).sum(1) / GRAPHS.mask.sum(1, keepdim=True)
    if name not in ("graphormer", "dclp", "pace"):  # a token, dense layers after the mean, the output node
        assert torch.allclose(mean, embedding, atol=1e-5)
    weights, _ = pretrain(make(name), parse_pretext("masked_ops(updates=2,batch=8)"), GRAPHS.plain(), SPACE)
    load_weights(make(name)(SPACE), weights)  # cut back to the space's own operations, or this raises


def test_context_network_is_the_published_one():
    model = Isomorphism(5, 6, 2, 0.5).double().eval()
    fill(model.embed.weight, 1)
    for number, (layer, norm) in enumerate(zip(model.layers, model.norms)):
        fill_linear(layer[0], 10 + 10 * number)
        fill_linear(layer[2], 11 + 10 * number)
        fill_norm(norm, 15 + 10 * number)
    head = torch.nn.Sequential(
        torch.nn.Linear(6, 6), torch.nn.LayerNorm(6), torch.nn.PReLU(), torch.nn.Linear(6, 6), torch.nn.LayerNorm(6)
    )
    head = torch.nn.Sequential(*head, torch.nn.PReLU(), torch.nn.Linear(6, 1)).double()
    for place, code in ((0, 50), (3, 52), (6, 54)):
        fill_linear(head[place], code)
    for place, code in ((1, 51), (4, 53)):
        fill_norm(head[place], code)
    five = graphs(C5)
    ahead = five.adj.transpose(-1, -2)
    with torch.no_grad():
        for linked, published in ((ahead, -0.48573948525821026), (ahead | five.adj, -0.3653978849222968)):
            actual = head(model(five.ops, linked, five.mask).mean(1)).item()
            assert actual == pytest.approx(published, abs=1e-9)


def test_contrast_and_context_losses_are_their_definitions():
    random = torch.Generator().manual_seed(0)
    query, key = (torch.nn.functional.normalize(torch.randn(3, 4, generator=random), dim=-1) for _ in range(2))
    others = torch.nn.functional.normalize(torch.randn(5, 4, generator=random), dim=-1)
    by_hand = [-np.log(np.exp(q @ k / 0.07) / (np.exp(q @ k / 0.07) + np.exp(others.numpy() @ q / 0.07).sum()))
               for q, k in zip(query.numpy(), key.numpy())]  # fmt: skip
    assert contrast(query, key, others, 0.07).item() == pytest.approx(np.mean(by_hand), rel=1e-5)
    own, wide = torch.randn(2, 4, generator=random), torch.randn(2, 3, 4, generator=random)
    near = torch.tensor([[True, False, True], [False, True, False]])
    answer = torch.nn.functional.binary_cross_entropy_with_logits
    right = torch.stack([wide[0, 0] @ own[0], wide[0, 2] @ own[0], wide[1, 1] @ own[1]])
    wrong = torch.stack([wide[0, 0] @ own[1], wide[0, 2] @ own[1], wide[1, 1] @ own[0]])
    expected = answer(right, torch.ones(3)) + answer(wrong, torch.zeros(3))
    assert context_loss(own, wide, near).item() == pytest.approx(expected.item(), rel=1e-5)


def test_an_edit_changes_one_operation_that_has_a_choice():
    actual = edited(GRAPHS, [1, 2, 3])
    inner = (GRAPHS.ops > 0) & (GRAPHS.ops < 4) & GRAPHS.mask
    assert ((actual.ops != GRAPHS.ops).sum(-1) == inner.any(-1).long()).all()
    assert (
        not ((actual.ops != GRAPHS.ops) & ~inner).any()
        and actual.ops[inner].min() >= 1
        and actual.ops[inner].max() <= 3
    )


def test_a_proxy_is_ranked_and_its_holes_are_in_no_pair():
    guessed, proxy = torch.tensor([0.0, 1.0, 0.5, 9.0]), torch.tensor([1.0, 2.0, 3.0, float("nan")])
    assert ranking_loss(guessed, proxy, 0.1).item() == pytest.approx((0 + 0 + 0.6) / 3)


def test_pretexts_learn():
    for name in ("flow_surrogate", "counts", "masked_ops", "autoencode", "context"):
        _, losses = pretrain(make("gin"), parse_pretext(f"{name}(updates=60,batch=24,lr=0.01)"), UNLABELLED, SPACE)
        assert np.mean(losses[-5:]) < 0.8 * losses[0], name


@pytest.mark.parametrize(
    "text, said",
    [
        ("flow_surogate", "flow_surrogate"),
        ("masked_ops(rat=1)", "rate"),
        ("masked_ops(rate=much)", "rate"),
        ("masked_ops(rate)", "has no value"),
        ("masked_ops(", "not of the form"),
        ("masked_ops(rate=!!float x)", r"tags \(!\) are not read"),
        ("masked_ops(rate=&a 1)", "anchors and aliases"),
        ("masked_ops(rate=2001-99-99)", "option rate='2001-99-99'"),
        ("masked_ops(rate='a)", "not valid YAML"),
    ],
)
def test_a_wrong_pretext_is_one_line(text, said):
    with pytest.raises(ArchrankError, match=said):
        parse_pretext(text)
    assert parse_pretext("masked_ops(rate=0.5, seed=3)").text == "masked_ops(seed=3)"
