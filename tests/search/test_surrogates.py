"""Heads of searches: the fast fits are the models that a run fits."""

from typing import Any

import numpy as np
import pytest
import torch

from archrank.eval.engine.labels import transform
from archrank.eval.engine.regressors import fit_regressor
from archrank.eval.search import dngo
from archrank.eval.search.gaussian_process import fit_process, matern
from archrank.eval.search.regressions import Regression, regress


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    features = rng.integers(3, size=(300, 8)).astype(float)
    scores = features[:, 0] + features[:, 1] * features[:, 2] + 0.3 * rng.normal(size=300)
    return features, scores


def regression(data, head, seed=0, labels=60):
    features, scores = data
    rows = np.random.default_rng(seed).choice(300, labels, replace=False)
    return Regression(features, None, rows, transform(scores[rows], "normal"), np.arange(300), seed, True)


def test_the_process_is_that_of_the_head(data):
    item = regression(data, "gp")
    (fast,) = regress("gp", {}, [item])
    slow: Any = fit_regressor("gp", data[0][item.rows], item.labels, 0)
    assert np.abs(fast.mean - slow.predict(data[0])).max() < 0.05
    assert np.abs(fast.std / slow.std(data[0]) - 1).max() < 0.1


def test_the_process_is_at_the_maximum_of_its_likelihood(data):
    item = regression(data, "gp")
    process = fit_process(data[0][item.rows], item.labels)
    gaps = np.sqrt(((process.training[:, None] - process.training[None]) ** 2).sum(2))
    labels = (item.labels - item.labels.mean()) / item.labels.std()

    def likelihood(length, ratio, signal):
        kernel = signal * (matern(gaps, length) + ratio * np.eye(len(gaps)))
        return -0.5 * (labels @ np.linalg.solve(kernel, labels) + np.linalg.slogdet(kernel)[1])

    best = likelihood(process.length, process.ratio, process.signal)
    for factor in (0.6, 1.6):
        assert likelihood(process.length * factor, process.ratio, process.signal) < best
        assert likelihood(process.length, process.ratio * factor, process.signal) < best
        assert likelihood(process.length, process.ratio, process.signal * factor) < best


def test_networks_trained_together_equal_those_trained_alone(data):
    items = [regression(data, "dngo", seed, labels) for seed, labels in ((0, 25), (1, 30), (2, 25))]
    together = regress("dngo", {"passes": 20}, items)
    for item, belief in zip(items, together):
        (alone,) = regress("dngo", {"passes": 20}, [item])
        assert np.abs(alone.mean - belief.mean).max() < 1e-2
    assert not np.allclose(together[0].mean, together[2].mean)


def test_the_written_gradient_of_dngo_is_that_of_its_loss(monkeypatch):
    rng = np.random.default_rng(0)
    inputs, goals = torch.from_numpy(rng.normal(size=(2, 7, 5))).float(), torch.from_numpy(rng.normal(size=(2, 7)))
    parameters = dngo._drawn(np.full(2, 5), 5, [np.random.default_rng(m) for m in range(2)])
    start = [parameter.clone().requires_grad_() for parameter in parameters]
    seen = []

    class Watched(torch.optim.SGD):
        def __init__(self, parameters, rate, fused):
            super().__init__(parameters, 0.0)

        def step(self, closure=None):
            seen.append([parameter.grad.clone() for group in self.param_groups for parameter in group["params"]])

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    dngo._train(parameters, inputs, goals.float(), [np.random.default_rng(m) for m in range(2)], 1)
    at = inputs
    for k in range(3):
        at = torch.tanh(at @ start[2 * k] + start[2 * k + 1])
    error = (at @ start[-2] + start[-1])[..., 0] - goals.float()
    loss = 0.5 * (error**2).sum() / 7 + 0.5 * dngo.DECAY / 7 * sum((weights**2).sum() for weights in start[::2])
    loss.backward()
    for parameter, slope in zip(start, seen[0]):
        assert torch.allclose(parameter.grad, slope, atol=1e-5)
