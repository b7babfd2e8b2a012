"""EmProx against values of its code (NASLib's SemiNAS networks)."""

import pytest
import torch

from archrank.encoders.autoencoders.emprox import Autoencoder, emprox, pretrain, written
from archrank.encoders.autoencoders.limits import supports_sequence
from archrank.eval.trials.specs import parse
from tests.encoders import golden as g
from tests.encoders import spaces

# Computed by the official encoder and decoder: operation k is token k + 3.
TOKENS = [2, 4, 2, 2, 5, 1, 1, 2, 6, 2, 2, 1, 2, 7] + [0] * 13
EMBEDDING = [
    0.4484953984290851,
    -0.021072473136699327,
    -0.5372136406360831,
    -0.47514815985192743,
    0.08224063707369024,
    0.4214901462913367,
    0.15424105648132666,
    -0.27538298723094196,
]
LOSS = 2.139314176848317
LAST = [
    -2.179455714407772,
    -2.1843198163785797,
    -2.1766983497079764,
    -2.1383538169436056,
    -2.0643285560101656,
    -1.9826760625382251,
    -1.9463841435033369,
    -1.9974160113781996,
]
RECURRENT = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def filled():
    model = Autoencoder(8, 8, 0.0).double().eval()
    for code, layer in ((1, model.embed), (3, model.embed_again), (4, model.ask), (5, model.mix)):
        g.fill(layer.weight, code)
    for code, layer in ((2, model.project), (6, model.guess)):
        g.fill_linear(layer, code)
    for code, name in enumerate([*RECURRENT, *(f"{name}_reverse" for name in RECURRENT)], 10):
        g.fill(getattr(model.reader, name), code)
    for code, name in enumerate(RECURRENT, 20):
        g.fill(getattr(model.writer, name), code)
    return model


def test_official_values():
    tokens = written(g.graphs(g.C5, nodes=7))
    assert tokens[0].tolist() == TOKENS
    model = filled()
    states, embedding = model.read(tokens)
    assert embedding[0].tolist() == pytest.approx(EMBEDDING, abs=1e-12)
    logits = model.write(tokens, states, embedding)
    assert torch.log_softmax(logits, -1)[0, -1].tolist() == pytest.approx(LAST, abs=1e-12)
    assert model.loss(tokens).item() == pytest.approx(LOSS, abs=1e-12)


def test_published_size():
    for tokens, count in ((7, 121_735), (9, 122_121)):
        with torch.device("meta"):
            assert sum(p.numel() for p in Autoencoder(tokens, 64, 0.1).parameters()) == count


def test_it_learns_to_write_and_embeds_each_alone():
    space, graphs = spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 12, 0)
    torch.manual_seed(0)
    losses = pretrain(Autoencoder(8, 16, 0.0), graphs, updates=60, batch=12, lr=1e-2, weight_decay=0.0)
    assert losses[-1] < 0.7 * losses[0]
    small = {"hidden": 8, "updates": 2, "batch": 6}
    actual = emprox(graphs, space, **small)
    assert actual.shape == (12, 8) and torch.allclose(actual.norm(dim=-1), torch.ones(12), atol=1e-5)
    assert torch.equal(actual, emprox(graphs, space, **small))
    assert not torch.equal(actual, emprox(graphs, space, **small, seed=1))


def test_its_head_looks_up_neighbours_and_large_graphs_are_refused():
    assert parse("emprox")[0].head == "knn"
    assert supports_sequence(spaces.nasbench101()) is None and "up to 40" in supports_sequence(g.space(41))
