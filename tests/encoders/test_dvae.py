import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from archrank.datasets.errors import ArchrankError
from archrank.encoders.autoencoders.dvae import dvae, pretrain
from archrank.encoders.layers.dag_autoencoder import DagAutoencoder
from tests.encoders import golden as g

TINY = {"latent": 4, "hidden": 8, "updates": 3, "batch": 8}
DIAMOND = ([0, 1, 2, 2, 4], ((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)))
CHAIN = ([0, 3, 3, 4], ((0, 1), (1, 2), (2, 3)))


def some():
    return g.graphs(*(g.C5, g.C3, CHAIN, DIAMOND) * 5, nodes=7)


def small(cells=1, **config):
    torch.manual_seed(0)
    return DagAutoencoder(5, 7 * cells, cells, **{"hidden": 8, "latent": 4} | config).double()


class OneByOne:
    """The published recursion, one graph and one edge at a time, with the model's weights."""

    def __init__(self, model, cell):
        self.model, (self.ops, self.edges) = model, cell

    def cell(self, gru):
        own = torch.nn.GRUCell(5, 8).double()
        own.load_state_dict({name: getattr(gru, name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")})
        return own

    def message(self, messenger, state, u):
        answer = torch.cat([state, torch.eye(7).double()[u]])
        return torch.sigmoid(messenger.gate(answer)) * messenger.map(answer)

    def state(self, gru, messenger, v, senders, states, start=None):
        hidden = torch.zeros(8).double() if start is None else start
        for u in senders:
            hidden = hidden + self.message(messenger, states[u], u)
        return self.cell(gru)(torch.eye(5).double()[self.ops[v]][None], hidden[None])[0]

    def encode(self):
        model, n = self.model, len(self.ops)
        down, up = {}, {}
        for v in range(n):
            down[v] = self.state(
                model.gru_forward, model.messages_forward, v, [a for a, b in self.edges if b == v], down
            )
        for v in reversed(range(n)):
            up[v] = self.state(model.gru_backward, model.messages_backward, v, [b for a, b in self.edges if a == v], up)
        actual = model.unify(torch.cat([down[n - 1], up[0]]))
        return model.mean(actual), model.log_variance(actual)

    def reconstruction(self, z):
        model = self.model
        gru, messenger = model.gru_decode, model.messages_forward
        states = {0: self.state(gru, messenger, 0, [], {}, start=torch.tanh(model.start(z)))}
        total = torch.zeros(()).double()
        for v in range(1, len(self.ops)):
            total = total + cross_entropy(model.add_node(states[v - 1]), torch.tensor(self.ops[v]))
            added = []
            for u in reversed(range(v)):
                current = self.state(gru, messenger, v, added, states)
                true = torch.tensor(float((u, v) in self.edges)).double()
                total = total + binary_cross_entropy_with_logits(
                    model.add_edge(torch.cat([states[u], current]))[0], true
                )
                if true:
                    added.append(u)
            states[v] = self.state(gru, messenger, v, added, states)
        return total


def test_equals_the_recursion_one_graph_and_one_edge_at_a_time():
    model = small()
    cells = [g.C5, g.C3, CHAIN, DIAMOND]
    batch = g.graphs(*cells, nodes=7)
    mean, log_variance = model.encode(batch)
    z = torch.randn(4, 4).double()
    cost = model.reconstruction(batch, z)
    for i, cell in enumerate(cells):
        slow = OneByOne(model, cell)
        expected = slow.encode()
        assert torch.allclose(mean[i], expected[0], atol=1e-12)
        assert torch.allclose(log_variance[i], expected[1], atol=1e-12)
        assert cost[i].item() == pytest.approx(slow.reconstruction(z[i]).item(), abs=1e-10)


def test_published_size():
    with torch.device("meta"):
        model = DagAutoencoder(8, 8, 1, 501, 56)
    h, places, ops, latent = 501, 8, 8, 56
    gru = 3 * h * (ops + h + 2)
    messages = (h + places) * h * 2 + h
    heads = (2 * h * h + h) + 2 * (h * latent + latent) + (latent * h + h)
    decoder = (h * 2 * h + 2 * h + 2 * h * ops + ops) + (2 * h * 4 * h + 4 * h + 4 * h + 1)
    # The official model also has a layer to unify vertex states (2h -> h) that nothing calls.
    total = sum(p.numel() for p in model.parameters())
    assert total == 3 * gru + 2 * messages + heads + decoder
    assert 6.3e6 < total + 2 * h * h + h < 7.0e6


def test_padding_and_batch_do_not_matter():
    model = small()
    together = model.encode(g.graphs(g.C5, g.C3, nodes=7))[0]
    alone = torch.cat([model.encode(g.graphs(cell))[0] for cell in (g.C5, g.C3)])
    assert torch.allclose(together, alone, atol=1e-12)


def test_the_order_of_nodes_matters():
    model = small()
    actual = model.encode(g.graphs(([0, 1, 2, 3, 4], DIAMOND[1]), ([0, 3, 1, 2, 4], DIAMOND[1])))[0]
    assert (actual[0] - actual[1]).abs().max() > 1e-4


def test_learns_to_rebuild():
    model = small(hidden=24).float()
    losses = pretrain(model, some(), updates=60, batch=20, lr=1e-2)
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    mean, _ = model.encode(some()[:4])
    assert torch.cdist(mean, mean).fill_diagonal_(9.0).min() > 0.05


def test_encoding_is_deterministic_and_leaves_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    actual = dvae(some(), g.space(7), **TINY)
    assert torch.equal(torch.rand(3), expected)
    assert actual.shape == (20, 4) and actual.dtype == torch.float32 and actual.isfinite().all()
    assert torch.equal(actual, dvae(some(), g.space(7), **TINY))
    assert not torch.equal(actual, dvae(some(), g.space(7), seed=1, **TINY))


def test_two_cells():
    graphs = g.graphs(g.C5, g.C3, together=True)
    swapped = g.graphs(g.C3, g.C5, together=True)
    model = small(cells=2)
    assert (model.encode(graphs)[0] - model.encode(swapped)[0]).abs().max() > 1e-4
    assert dvae(graphs[[0] * 10], g.space(8, cells=2), **TINY).shape == (10, 4)


def test_gradient_reaches_every_parameter():
    model = small()
    model.loss(some(), 0.005).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_too_many_nodes():
    with pytest.raises(ArchrankError, match="65 nodes"):
        dvae(some().pad(65), g.space(65))
