from functools import partial

import pytest
import torch

from archrank.encoders.autoencoders.arch2vec import GraphAutoencoder, arch2vec, pretrain
from archrank.encoders.layers.norm import RealNodes
from archrank.encoders.layers.pretraining import Packed, fit
from tests.encoders import golden as g
from tests.encoders import spaces

TINY = {"latent": 4, "hidden": 8, "layers": 2, "updates": 3, "batch": 8}
DIAMOND = ((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4))


def test_nothing_is_masked_where_every_node_counts():
    """Loss, gradients and running statistics by PyTorch's own normalisation are those by the masked one."""
    actual = []
    graphs = spaces.random_graphs(spaces.nasbench101(), 40, 0)
    full = graphs[graphs.mask.all(-1).nonzero()[:, 0]]
    for whole in (False, True):
        torch.manual_seed(0)
        model = GraphAutoencoder(len(spaces.nasbench101().ops), 4, 8, 2, 0.0).double()
        model.whole = whole
        loss = model.loss(full, 0.004)
        loss.backward()
        actual.append([loss, *(p.grad for p in model.parameters()), *model.buffers()])
    assert len(full) and all(torch.allclose(one, other, atol=1e-10) for one, other in zip(*actual))


def space(cells=1):
    return g.space(7, cells)


def some():
    return g.graphs(*(g.C5, g.C3, ([0, 3, 3, 4], ((0, 1), (1, 2), (2, 3))), ([0, 1, 2, 2, 4], DIAMOND)) * 5, nodes=7)


def trained(updates=0, **config):
    torch.manual_seed(0)
    model = GraphAutoencoder(5, **{"latent": 4, "hidden": 8, "layers": 2, "dropout": 0.0} | config)
    losses = pretrain(model, some(), updates=updates, batch=10, lr=1e-2, kl=0.004) if updates else []
    return model.eval(), losses


def test_size():
    model = GraphAutoencoder(7, 16, 128, 4, 0.3)
    layer = 2 * 2 * 128 + 1 + 128 * 128 + 128
    expected = 4 * layer + (7 * 128 + 128) + 3 * (128 * 128 + 128) + 2 * (128 * 16 + 16) + (16 * 7 + 7)
    assert sum(p.numel() for p in model.parameters()) == expected == 122_907


def test_layer_by_hand():
    model, _ = trained(layers=1)
    layer = model.layers[0].double()
    x = torch.tensor([[[1.0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]], dtype=torch.float64)
    linked = torch.tensor([[[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]], dtype=torch.float64)
    layer.eps.data.fill_(0.5)
    summed = torch.tensor([[1.5, 1, 0, 0, 0], [1, 1.5, 0, 0, 1], [0, 1, 0, 0, 1.5]], dtype=torch.float64)
    scale = 1 / (1 + 1e-5) ** 0.5  # evaluation mode, fresh running statistics
    inside = torch.relu(scale * (summed @ layer.first.weight.T + layer.first.bias))
    expected = torch.relu(scale * (inside @ layer.second.weight.T + layer.second.bias))
    for nodes in (None, RealNodes(torch.ones(1, 3, dtype=torch.bool), torch.float64)):
        assert torch.allclose(layer(x, linked, nodes)[0], expected, atol=1e-12)


def test_order_direction_and_padding_do_not_matter():
    model, _ = trained(30)
    batch = g.graphs(([0, 1, 2, 3, 4], DIAMOND), ([0, 3, 1, 2, 4], DIAMOND))
    backwards = g.graphs(([4, 1, 2, 3, 0], DIAMOND))
    mean = [model.encode(graphs, graphs.mask)[0] for graphs in (batch, backwards, batch.pad(9))]
    assert torch.allclose(mean[0][0].mean(0), mean[0][1].mean(0), atol=1e-6)
    assert torch.allclose(mean[0][0].mean(0), mean[1][0].mean(0), atol=1e-6)
    assert torch.allclose(mean[0], mean[2][:, :5], atol=1e-6)


def test_loss_by_hand():
    model, _ = trained()
    model.log_sigma.weight.data.zero_()
    model.log_sigma.bias.data.fill_(-30.0)  # samples equal means
    graphs = g.graphs(g.C5, g.C3)
    mean, _ = model.encode(graphs, graphs.mask)
    op_logits, edge_logits = model.decode(mean)
    ops, edges, both_ops, both_edges = [], [], [], []
    for b, n in ((0, 5), (1, 3)):
        for v in range(5):
            onehot = torch.eye(5)[graphs.ops[b, v]] * (v < n)
            sigmoid = torch.sigmoid(op_logits[b, v])
            both_ops.append(-(onehot * sigmoid.log() + (1 - onehot) * (1 - sigmoid).log()).mean())
            if v < n:
                ops.append(-torch.log_softmax(op_logits[b, v], -1)[graphs.ops[b, v]])
            for u in range(5):
                chance = torch.sigmoid(edge_logits[b, u, v])
                value = -(chance if graphs.adj[b, u, v] else 1 - chance).log()
                both_edges.append(value if u < v else torch.zeros(()))
                if u < v < n:
                    edges.append(value)
    expected = torch.stack(ops).mean() + torch.stack(edges).mean()
    assert model.loss(graphs, 0.0).item() == pytest.approx(expected.item(), rel=1e-5)
    # As published everything is averaged over all places, and the divergence is all but left out.
    everywhere = torch.ones_like(graphs.mask)
    published = torch.stack(both_ops).mean() + torch.stack(both_edges).mean()
    divergence = 0.5 * (59 * 4 + (model.encode(graphs, everywhere)[0] ** 2).sum(-1).mean()) / 10
    assert model.loss(graphs, 0.0, faithful=True).item() == pytest.approx((published + divergence).item(), rel=1e-3)


def test_learns_to_reconstruct():
    model, losses = trained(200, hidden=32, latent=8)
    assert sum(losses[-10:]) < 0.4 * sum(losses[:10])
    graphs = some()[:4]
    op_logits, _ = model.decode(model.encode(graphs, graphs.mask)[0])
    assert (op_logits.argmax(-1) == graphs.ops)[graphs.mask].float().mean() > 0.9


@pytest.mark.parametrize("faithful", [False, True])
def test_encoding_is_deterministic_and_leaves_the_random_state_alone(faithful):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    actual = arch2vec(some(), space(), faithful=faithful, **TINY)
    assert torch.equal(torch.rand(3), expected)
    assert actual.shape == (20, 4) and actual.dtype == torch.float32 and actual.isfinite().all()
    assert torch.equal(actual, arch2vec(some(), space(), faithful=faithful, **TINY))
    assert not torch.equal(actual, arch2vec(some(), space(), faithful=faithful, seed=1, **TINY))


def test_two_cells_side_by_side():
    graphs = g.graphs(g.C5, g.C3, together=True)[[0] * 10]
    assert arch2vec(graphs, g.space(8, cells=2), **TINY).shape == (10, 8)


def test_gradient_reaches_every_parameter():
    for faithful in (False, True):
        model, _ = trained()
        model.train()
        model.loss(some(), 0.004, faithful).backward()
        # A bias just before batch normalisation is inert: its gradient is exactly or nearly zero.
        inert = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
        assert not {name for name in inert if not name.endswith(("first.bias", "second.bias"))}


def test_weights_in_one_piece_train_as_apart():
    """Adam with clipping on one row of all weights gives, step after step, what it gives on every tensor of its own."""

    def loss(model, index):
        return model.loss(some()[index], 0.004)

    trained = []
    for packed in (False, True):
        torch.manual_seed(0)
        model = GraphAutoencoder(5, 4, 8, 2, 0.0).double()
        weights = Packed(model)
        optimizer = torch.optim.Adam([weights.row] if packed else model.parameters(), lr=0.1)
        backward = weights.backward if packed else torch.autograd.backward
        how = {"updates": 3, "batch": 10, "device": torch.device("cpu"), "decay": False, "clip": 0.01}
        losses = fit(partial(loss, model), 20, optimizer, **how, backward=backward)
        trained.append([torch.tensor(losses), *(p.detach() for p in model.parameters())])
    assert trained[0][0][0] != trained[0][0][2]
    assert all(torch.allclose(one, other, atol=1e-9) for one, other in zip(*trained))
