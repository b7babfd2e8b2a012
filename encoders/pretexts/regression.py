"""Pretexts that predict numbers which follow from the graph: a decoder on the architecture's embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs

HIDDEN = 128


def decoder(inputs: int, outputs: int, hidden: int = HIDDEN) -> nn.Sequential:
    """A perceptron of one hidden layer."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def width(encoder: nn.Module, graphs: Graphs) -> int:
    """The size of an encoder's embedding of graphs [N]."""
    was = encoder.training
    with torch.no_grad():
        found = encoder.eval()(graphs[:2]).shape[-1]
    encoder.train(was)
    return int(found)


def states_width(encoder: nn.Module, graphs: Graphs) -> int:
    """The size of an encoder's states of nodes of graphs [N]."""
    with torch.no_grad():
        return int(encoder.states(graphs[:2]).shape[-1])  # type: ignore[operator]


class Regression(nn.Module):
    """Squared error, summed over targets by their weight, of a decoder on the embedding.

    Targets are centred and brought to unit deviation over the unlabelled graphs; those that are the same everywhere are
    left out.

    encoder: what is pre-trained. graphs: all unlabelled architectures [N]. targets: [N, K] of these. weights: float
    [K], one each; None: 1 / K.
    """

    def __init__(self, encoder: nn.Module, graphs: Graphs, targets: Tensor, weights: Tensor | None = None) -> None:
        super().__init__()
        values = targets.to(torch.float64)
        mean, spread = values.mean(0), values.std(0, correction=0)
        varies = spread > 1e-9
        if weights is None:
            weights = torch.full_like(mean, 1 / max(int(varies.sum()), 1))
        self.name = f"pretext/{type(self).__name__}/targets"
        graphs.derive(self.name, lambda _: targets)
        self.mean: Tensor
        self.scale: Tensor
        self.weights: Tensor
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", torch.where(varies, 1 / spread.clamp(min=1e-9), 0.0).float())
        self.register_buffer("weights", (weights.to(values) * varies).float())
        self.decode = decoder(width(encoder, graphs), targets.shape[1])

    def forward(self, encoder: nn.Module, graphs: Graphs, done: float) -> Tensor:
        """The loss of a batch [B], a scalar."""
        guessed = self.decode(encoder(graphs))
        targets = (graphs.derive(self.name, _never).to(self.mean) - self.mean) * self.scale
        return ((guessed - targets) ** 2 * self.weights).sum(-1).mean()


def _never(_: Graphs) -> Tensor:
    raise RuntimeError("targets are computed once for all unlabelled graphs")
