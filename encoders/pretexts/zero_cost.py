"""FGP's second pretext: the order that a proxy gives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.pretexts import pretext
from archrank.encoders.pretexts.regression import decoder, width

HIDDEN = 64


@pretext("zero_cost", proxy=True)
class ZeroCost(nn.Module):
    """FGP's zero-cost objective: order architectures as a proxy does that needs no training.

    Source: Kim et al., NeurIPS 2025 (kswoo97/LightWeightNAS, 4e100bf): a decoder of one hidden layer (64) on the
    embedding, and the hinge of a margin over pairs.

    proxy: a column of the table that needs no training: its parameters or FLOPs, or one that its card calls a proxy; it
    must not be the target. margin: between z-scores of the proxy's order (FGP's configurations: 0.1).

    Departures: all pairs of a batch count (there a share of them).
    """

    def __init__(
        self,
        encoder: nn.Module,
        graphs: Graphs,
        space: SearchSpace,
        *,
        proxy: str = "parameters",
        margin: float = 0.1,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.decode = decoder(width(encoder, graphs), 1, HIDDEN)

    def forward(self, encoder: nn.Module, graphs: Graphs, done: float) -> Tensor:
        """The loss of a batch [B], a scalar."""
        return ranking_loss(self.decode(encoder(graphs)).squeeze(-1), graphs.columns["proxy"], self.margin)


def ranking_loss(guessed: Tensor, proxy: Tensor, margin: float) -> Tensor:
    """Mean over ordered pairs of max(0, margin - difference of the guesses). guessed, proxy: float [B]; missing values
    of the proxy are NaN and in no pair."""
    above = proxy.unsqueeze(-1) > proxy
    gap = guessed.unsqueeze(-1) - guessed
    return (torch.relu(margin - gap) * above).sum() / above.sum().clamp(min=1)
