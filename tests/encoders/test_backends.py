import importlib.util
import sys

import numpy as np
import pytest
import torch

from archrank.datasets import ArchrankError
from archrank.encoders.gnn.gated_gcn import GatedGCN
from archrank.encoders.gnn.gcn import NeuralPredictorGCN
from archrank.encoders.gnn.gin import GIN
from archrank.encoders.layers.messages import messages
from archrank.eval.engine.batching import Member
from archrank.eval.engine.recipes import COMMON
from archrank.eval.engine.training import train
from tests.encoders import spaces

BACKENDS = [
    "pyg",
    pytest.param(
        "dgl", marks=pytest.mark.skipif(importlib.util.find_spec("dgl") is None, reason="needs archrank[dgl]")
    ),
]
MODELS = [
    (NeuralPredictorGCN, {"dropout": 0.0}),
    (GIN, {}),
    (GIN, {"directed": True, "faithful": True}),
    (GatedGCN, {}),
    (GatedGCN, {"directed": True}),
]


def batches():
    space, graphs, _ = spaces.darts(6, 0)
    return [(spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 12, 0)), (space, graphs)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind, options", MODELS)
@pytest.mark.parametrize("dtype, close", [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_twins_are_equal(backend, kind, options, dtype, close):
    for space, graphs in batches():
        torch.manual_seed(0)
        dense = kind(space, dim=16, **options).to(dtype)
        twin = kind(space, dim=16, backend=backend, **options).to(dtype)
        assert not twin.load_state_dict(dense.state_dict())[0]
        for mode in (True, False):
            a, b = dense.train(mode)(graphs), twin.train(mode)(graphs)
            assert a.shape == b.shape
            assert (a - b).abs().max() < close
        a.square().sum().backward()
        b.square().sum().backward()
        for (name, one), other in zip(dense.named_parameters(), twin.parameters()):
            if one.grad is not None:
                assert torch.allclose(one.grad, other.grad, atol=max(1e-8, 50 * close), rtol=1e-3), name


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_with_dropout(backend):
    space, graphs = spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 30, 0)
    members = [Member(seed, np.arange(20), np.linspace(-1, 1, 20), np.arange(20, 30)) for seed in (0, 1)]

    def trained(chosen):
        recipe = COMMON.model_copy(update={"updates": 5})
        return train(
            lambda *_: NeuralPredictorGCN(space, dim=8, layers=2, backend=backend, dropout=0.5),
            graphs.plain(),
            chosen,
            recipe,
        )

    together = trained(members)
    assert "trained sequentially" in together[0].notes[0] and np.isfinite(together[0].predictions).all()
    # Batches of flat graphs have any number of nodes, and yet each member has random numbers of its own.
    for member, one in zip(members, together):
        assert np.array_equal(trained([member])[0].predictions, one.predictions)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_graph_without_edges(backend):
    space = spaces.nasbench101()
    graphs = spaces.random_graphs(space, 3, 0)
    graphs.adj.zero_()
    for kind, options in MODELS:
        torch.manual_seed(0)
        dense, twin = kind(space, dim=8, **options).eval(), kind(space, dim=8, backend=backend, **options).eval()
        twin.load_state_dict(dense.state_dict())
        assert torch.allclose(dense(graphs), twin(graphs), atol=1e-5)


@pytest.mark.parametrize("backend, package", [("dgl", "dgl"), ("pyg", "torch_geometric")])
def test_a_missing_library_is_named(monkeypatch, backend, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ArchrankError, match=f"backend={backend} needs .*use backend=dense"):
        messages(backend, spaces.random_graphs(spaces.nasbench101(), 2, 0))
