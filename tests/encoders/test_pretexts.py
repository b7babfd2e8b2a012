"""Pretexts: published values of their targets and losses, and what pre-training does to an encoder."""

import numpy as np
import pytest
import torch
from tests.encoders import spaces
from tests.encoders.golden import C5, graphs

from archrank.datasets.errors import ArchrankError
from archrank.datasets.space import SearchSpace
from archrank.encoders import catalog
from archrank.encoders.catalog import known
from archrank.encoders.features.base import base
from archrank.encoders.pretexts import PRETEXTS, parse_pretext
from archrank.encoders.pretexts.counts import TARGETS
from archrank.encoders.pretexts.flow_surrogate import flow_surrogate
from archrank.encoders.pretexts.masked_ops import guess_loss
from archrank.eval.engine.pretraining import load_weights, pretrain

SPACE = spaces.nasbench101()
GRAPHS = spaces.random_graphs(SPACE, 24, 1)
UNLABELLED = GRAPHS.plain()  # keeps the counts, which take a second
UNLABELLED.derive(TARGETS, lambda these: base(these, SPACE))
SMALL = "(updates=6,batch=16)"


def make(name, **options):
    encoder = known()[name].load()
    return lambda space: encoder(space, dim=8, **options)


def test_flow_surrogate_is_the_published_one():
    five = graphs(C5)
    found = flow_surrogate(five, SPACE, 4, 1.0)[0].tolist()
    assert found == pytest.approx([1.117480798, 4.565578759, 0.5297724985, 6.027705911], abs=1e-9)
    ops = ("input", "conv1x1", "conv3x3", "avgpool", "skip", "none", "output")
    space = SearchSpace("nb201", ops, 8, {"input": 0, "output": 6})
    cell = spaces.nasbench201_graphs([[2, 4, 1, 5, 3, 2]])
    found = flow_surrogate(cell, space, 7, 0.1)[0].tolist()
    published = [0.1736480227, 0.4784624369, 0.2156759048, 0.3834890604, 0.9332090708, 0.2241681052, 0.1384553286]
    assert found == pytest.approx(published, abs=1e-9)


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


@pytest.mark.parametrize("name", [name for name in PRETEXTS if not PRETEXTS[name].proxy])
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
    assert name == "graphormer" or torch.allclose(mean, embedding, atol=1e-5)  # that reads its token
    weights, _ = pretrain(make(name), parse_pretext("masked_ops(updates=2,batch=8)"), GRAPHS.plain(), SPACE)
    load_weights(make(name)(SPACE), weights)  # cut back to the space's own operations, or this raises


def test_pretexts_learn():
    for name in ("flow_surrogate", "counts", "masked_ops"):
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
    ],
)
def test_a_wrong_pretext_is_one_line(text, said):
    with pytest.raises(ArchrankError, match=said):
        parse_pretext(text)
    assert parse_pretext("masked_ops(rate=0.5, seed=3)").text == "masked_ops(seed=3)"
