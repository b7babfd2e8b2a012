"""arch2vec's pretext: rebuild the graph from its nodes' states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.pretexts import pretext
from archrank.encoders.pretexts.regression import states_width


@pretext("autoencode", states=True)
class Autoencode(nn.Module):
    """arch2vec's objective: rebuild operations and edges from a normal distribution per node.

    Source: Yan et al., "Does Unsupervised Architecture Representation Learning Help Neural Architecture Search?",
    NeurIPS 2020 (MSU-MLSys-Lab/arch2vec, ea01b0c): operations from a linear map of a node's sample, edges from the
    inner products of two, and the divergence from the prior.

    latent: numbers per node (published 16). dropout: of samples before they are decoded (published 0.3). kl: weight of
    the divergence (published 1 / (batch * nodes), 0.004 on NAS-Bench-201).

    Departures: those of the encoding `arch2vec` in its default form. The encoder is the one that is pre-trained, in
    place of graph isomorphism layers.
    """

    def __init__(
        self,
        encoder: nn.Module,
        graphs: Graphs,
        space: SearchSpace,
        *,
        latent: int = 16,
        dropout: float = 0.3,
        kl: float = 0.004,
    ) -> None:
        super().__init__()
        dim = states_width(encoder, graphs)
        self.kl = kl
        self.mean, self.log_sigma = nn.Linear(dim, latent), nn.Linear(dim, latent)
        self.drop, self.guess = Dropout(dropout), nn.Linear(latent, len(space.ops))

    def forward(self, encoder: nn.Module, graphs: Graphs, done: float) -> Tensor:
        """The loss of a batch [B], a scalar."""
        states = encoder.states(graphs)  # type: ignore[operator]
        mean, log_sigma = self.mean(states), self.log_sigma(states)
        z = self.drop(mean + log_sigma.exp() * torch.randn_like(mean))
        real = graphs.mask
        pairs = (real.unsqueeze(-1) & real.unsqueeze(-2)) & torch.ones_like(graphs.adj).triu(1)
        ops = nn.functional.cross_entropy(self.guess(z).transpose(-1, -2), graphs.ops, reduction="none")
        edges = nn.functional.binary_cross_entropy_with_logits(
            z @ z.transpose(-1, -2), graphs.adj.to(z.dtype), reduction="none"
        )
        divergence = -0.5 * (1 + 2 * log_sigma - mean**2 - (2 * log_sigma).exp()).sum(-1)
        return over(ops, real) + over(edges, pairs) + self.kl * over(divergence, real)


def over(values: Tensor, where: Tensor) -> Tensor:
    """Mean of `values` where bool `where` holds."""
    return (values * where).sum() / where.sum().clamp(min=1)
