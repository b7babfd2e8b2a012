"""The networks of head `dngo`, those of all repeats trained together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import BayesianRidge
from torch import Tensor

from archrank.eval.engine.random_numbers import derive_seed

Floats = NDArray[np.float64]
WIDTH, LAYERS, BATCH, RATE, DECAY = 50, 3, 10, 0.01, 1e-4


@dataclass(frozen=True, eq=False)
class Dngo:
    """One fitted model: `shift` and `scale` [F] standardise features, `layers` are the hidden ones, `last` is Bayesian
    linear regression on the last of them."""

    shift: Floats
    scale: Floats
    layers: list[tuple[Floats, Floats]]
    last: Any

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation [m] of features [m, F]."""
        mean, std = self.last.predict(self.hidden(features), return_std=True)
        return np.asarray(mean, np.float64), np.asarray(std, np.float64)

    def hidden(self, features: Floats) -> Floats:
        """The last hidden layer [m, 50]."""
        at = (features - self.shift) * self.scale
        for weights, biases in self.layers:
            at = np.tanh(at @ weights + biases)
        return at


def fit_networks(features: Floats, labels: Floats, seeds: Sequence[int], passes: int = 500) -> list[Dngo]:
    """Fit M models to features [M, n, F] and labels [M, n].

    The model is that of head `dngo`: three layers of 50 tanh units trained by squared error, 500 passes of Adam in
    batches of 10, then Bayesian linear regression on the last hidden layer. Each model has its own weights and
    order of labels, drawn from its own seed; they equal a model trained alone to rounding.
    """
    shift, deviation = features.mean(1), features.std(1)
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1.0), 0.0)
    inputs = torch.from_numpy((features - shift[:, None]) * scale[:, None]).float()
    goals = torch.from_numpy(labels).float()
    orders = [np.random.default_rng(derive_seed(seed, "dngo")) for seed in seeds]
    parameters = _drawn((deviation > 0).sum(1), features.shape[2], orders)
    _train(parameters, inputs, goals, orders, passes)
    weights = [parameter.double().numpy() for parameter in parameters]
    models = []
    for m in range(len(seeds)):
        layers = [(weights[2 * k][m], weights[2 * k + 1][m, 0]) for k in range(LAYERS)]
        model = Dngo(shift[m], scale[m], layers, BayesianRidge(max_iter=1000))
        model.last.fit(model.hidden(features[m]), labels[m])
        models.append(model)
    return models


def _drawn(varying: NDArray[np.int64], width: int, orders: Sequence[np.random.Generator]) -> list[Tensor]:
    """Weights [M, in, out] and biases [M, 1, out] of each layer, uniform by Glorot and Bengio; inputs that do not vary
    do not count."""
    sizes = [width, *[WIDTH] * LAYERS, 1]
    drawn = []
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        bounds = [np.sqrt(6 / ((max(int(count), 1) if number == 0 else fan_in) + fan_out)) for count in varying]
        for rows in (fan_in, 1):
            values = np.stack([rng.uniform(-b, b, (rows, fan_out)) for rng, b in zip(orders, bounds)])
            drawn.append(torch.from_numpy(values).float())
    return drawn


@torch.no_grad()
def _train(
    parameters: list[Tensor], inputs: Tensor, goals: Tensor, orders: Sequence[np.random.Generator], passes: int
) -> None:
    """Train weights and biases in place, with the gradient written out: at this size autograd costs more than it."""
    members, count = goals.shape
    optimizer = torch.optim.Adam(parameters, RATE, fused=True)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    slopes = [parameter.grad for parameter in parameters]
    place = torch.arange(members)[:, None]
    for _ in range(passes):
        order = torch.from_numpy(np.stack([rng.permutation(count) for rng in orders]))
        for start in range(0, count, BATCH):
            chosen = order[:, start : start + BATCH]
            size = chosen.shape[1]
            layers = [inputs[place, chosen]]
            for k in range(LAYERS):
                layers.append(torch.baddbmm(parameters[2 * k + 1], layers[k], parameters[2 * k]).tanh_())
            predictions = torch.baddbmm(parameters[-1], layers[-1], parameters[-2])
            error = (predictions - goals[place, chosen][..., None]) / size
            for k in range(LAYERS, -1, -1):
                weights = parameters[2 * k]
                torch.baddbmm(weights, layers[k].transpose(1, 2), error, beta=DECAY / size, out=slopes[2 * k])
                torch.sum(error, 1, keepdim=True, out=slopes[2 * k + 1])
                if k:
                    error = torch.bmm(error, weights.transpose(1, 2)).mul_(1 - layers[k] * layers[k])
            optimizer.step()
