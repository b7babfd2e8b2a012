"""GMAE-NAS's pretext: guess hidden operations from what is around them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.pretexts import pretext
from archrank.encoders.pretexts.regression import decoder, states_width


@pretext("masked_ops", states=True, hidden_op=True)
class MaskedOps(nn.Module):
    """GMAE-NAS's objective: hide operations of nodes and guess them from the states of the nodes.

    Source: Jing et al., "A Graph Masked Autoencoder Enhanced Predictor for Neural Architecture Search", IJCAI 2022
    (kunjing96/GMAENAS, 7cb5ff4): each node's operation is hidden with probability `rate`, a classifier on the node's
    state names it, and the loss is the mean over nodes and operations of -log p of the true one.

    rate: published 0.75 on NAS-Bench-101 and 0.15 on NAS-Bench-201. nodes: whose operations are guessed, those of
    `all` nodes (published) or of the `hidden` ones, as in CATE.

    Departures: a hidden operation is one more operation of the space (there: a vector of zeros); inputs and outputs,
    which all architectures have, are neither hidden nor guessed.
    """

    def __init__(
        self,
        encoder: nn.Module,
        graphs: Graphs,
        space: SearchSpace,
        *,
        rate: float = 0.5,
        nodes: Literal["all", "hidden"] = "all",
    ) -> None:
        super().__init__()
        self.rate, self.nodes, self.hidden = rate, nodes, len(space.ops) - 1
        fixed = [space.roles[role] for role in ("input", "output") if role in space.roles]
        self.inner: Tensor
        self.register_buffer("inner", torch.tensor([op not in fixed for op in range(len(space.ops))]))
        dim = states_width(encoder, graphs)
        self.classify = decoder(dim, self.hidden)

    def forward(self, encoder: nn.Module, graphs: Graphs, done: float) -> Tensor:
        """The loss of a batch [B], a scalar."""
        real = graphs.mask & self.inner[graphs.ops]
        hidden = (torch.rand(real.shape, device=real.device) < self.rate) & real
        seen = Graphs(torch.where(hidden, self.hidden, graphs.ops), graphs.adj, graphs.mask, graphs.cell, graphs.attrs)
        guessed = self.classify(encoder.states(seen))  # type: ignore[operator]
        return guess_loss(guessed, graphs.ops, real if self.nodes == "all" else hidden)


def guess_loss(guessed: Tensor, ops: Tensor, chosen: Tensor) -> Tensor:
    """Mean over chosen nodes and operations of -log p(true operation), as `torch.nn.KLDivLoss()` has it.

    guessed: logits float [B, V, O]. ops: the true operations int64 [B, V]. chosen: bool [B, V].
    """
    loss = nn.functional.cross_entropy(
        guessed.transpose(-1, -2), ops.clamp(max=guessed.shape[-1] - 1), reduction="none"
    )
    return (loss * chosen).sum() / chosen.sum().clamp(min=1) / guessed.shape[-1]
