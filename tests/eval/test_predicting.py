"""Prediction once for architectures that are one graph with its nodes in different orders."""

import numpy as np
import pytest
import torch

from archrank.datasets.canonical import isomorphism_key, relabelled_alike
from archrank.datasets.graphs import Graphs
from archrank.encoders import catalog
from archrank.eval.engine import predicting
from archrank.eval.engine.predicting import predict, predict_once
from archrank.eval.trials.job import make_job
from archrank.eval.trials.specs import parse
from tests.encoders import spaces
from tests.eval.test_training import SHORT, members


def arrays(graphs):
    return [part.numpy() for part in (graphs.ops, graphs.adj, graphs.mask, graphs.cell)]


def joined(first, second):
    parts = ((getattr(first, name), getattr(second, name)) for name in ("ops", "adj", "mask", "cell"))
    return Graphs(*(torch.cat(pair) for pair in parts))


def test_a_number_is_shared_by_one_graph_in_different_orders_alone():
    graphs = spaces.random_graphs(spaces.nasbench101(), 300, 0, density=0.3)
    both = joined(graphs, spaces.shuffled(graphs, 1))
    ops, adj, mask, cell = arrays(both)
    alike, key = relabelled_alike(ops, adj, mask, cell), isomorphism_key(ops, adj, mask, cell)
    assert all(len(set(key[alike == number])) == 1 for number in set(alike))
    assert (alike[:300] == alike[300:]).mean() > 0.6  # nodes of one colour may leave equal graphs apart
    wider = relabelled_alike(*arrays(both.pad(12)))
    assert len({*zip(alike, wider)}) == len(set(alike)) == len(set(wider))


@pytest.mark.parametrize("name", [n for n in catalog.builtin() if parse(n)[0].info.learned])
def test_encoders_that_say_so_do_not_see_the_order_of_nodes(name, monkeypatch):
    spec, space = parse(name)[0], spaces.nasbench101()
    graphs = spaces.random_graphs(space, 20, 0, density=0.3)
    torch.manual_seed(0)
    encoder = spec.info.load()(space).double().eval()
    if getattr(encoder, "invariant", False):
        assert torch.allclose(encoder(graphs), encoder(spaces.shuffled(graphs, 1)), atol=1e-10)


def test_scores_are_those_of_every_architecture_by_itself(cells, monkeypatch):
    both = joined(cells.graphs, spaces.shuffled(cells.graphs, 1))
    torch.set_default_dtype(torch.float64)
    try:
        job = make_job(parse("gcn[dim=8,layers=1]")[0], SHORT, cells.space, both).with_members(members(cells, 2))
        trained = job.fit()
        tests = [np.arange(len(both)), np.arange(30, len(both))]
        expected = predict(trained.ensemble, trained.graphs, tests)
        asked = []
        monkeypatch.setattr(predicting, "predict", lambda *a, **k: (asked.append(a[2]), predict(*a, **k))[1])
        sorted_out = []
        alike = lambda *parts: (sorted_out.append(1), relabelled_alike(*parts))[1]  # noqa: E731
        monkeypatch.setattr(predicting, "relabelled_alike", alike)
        predictions = predict_once(trained.ensemble, trained.graphs, tests)
        (outcome, _) = job.train()
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(np.allclose(one, other, atol=1e-10) for one, other in zip(predictions, expected))
    assert sorted_out == [1]  # once for a space, whichever ensemble predicts it
    assert len(asked[0][0]) < 0.8 * len(both) and np.isfinite(outcome.predictions).all()
