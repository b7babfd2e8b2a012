"""CATE's pretext: two architectures of similar cost help each other to guess hidden operations."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.cross_attention.cate import pair_up
from archrank.encoders.layers.attention import absent
from archrank.encoders.layers.complexity import cost
from archrank.encoders.layers.masked_operators import Stack, corrupt, guess_loss
from archrank.encoders.pretexts import pretext
from archrank.encoders.pretexts.regression import states_width

HEADS = 4


@pretext("computation_pairs", states=True, hidden_op=True)
class ComputationPairs(nn.Module):
    """CATE's objective: guess hidden operations of two architectures of similar cost together.

    Source: Yan et al., "CATE: Computation-aware Neural Architecture Encoding with Transformers", ICML 2021
    (MSU-MLSys-Lab/CATE, 654c393). As the encoding `cate` has it: architectures in the order of their cost, each paired
    with up to `pairs` that are smaller by at most `window` of the whole range; a share `rate` of the operations of both
    is hidden; a cross encoder over the states of both guesses them.

    rate: published 0.2. window: published 2 million parameters on NAS-Bench-101, 0.04 of the range. pairs: partners of
    an architecture (published 2). metric: the cost. layers: of the cross encoder (published 24).

    Departures: those of `cate`; the encoder is the one that is pre-trained, in place of a transformer; states are
    brought to the cross encoder's width (64) by a linear map.
    """

    def __init__(
        self,
        encoder: nn.Module,
        graphs: Graphs,
        space: SearchSpace,
        *,
        rate: float = 0.2,
        window: float = 0.04,
        pairs: int = 2,
        metric: Literal["parameters", "flops"] = "parameters",
        layers: int = 2,
    ) -> None:
        super().__init__()
        self.rate, self.hidden, width = rate, len(space.ops) - 1, 64
        first, second = pair_up(cost(graphs, space, metric), window, pairs)
        if not len(first):
            raise ArchrankError(
                "pretext computation_pairs: no two architectures are of similar cost; give a wider window"
            )
        self.graphs, self.first, self.second = graphs, first, second
        dim = states_width(encoder, graphs)
        self.narrow, self.segment = nn.Linear(dim, width), nn.Embedding(2, width)
        self.cross = Stack(width, layers, HEADS, 2 * width, 0.1, unused_norms=False)
        self.guess = nn.Linear(width, self.hidden)

    def forward(self, encoder: nn.Module, graphs: Graphs, done: float) -> Tensor:
        """The loss of as many random pairs as the batch [B] has architectures, a scalar."""
        chosen = torch.randint(len(self.first), (len(graphs),), device=graphs.device)
        both = [self.graphs[index[chosen]] for index in (self.first, self.second)]
        states, hidden = [], []
        for side, one in enumerate(both):
            ops, where = corrupt(one.ops, one.mask, self.hidden, self.hidden, self.rate)
            seen = Graphs(ops, one.adj, one.mask, one.cell, one.attrs)
            states.append(self.narrow(encoder.states(seen)) + self.segment.weight[side])  # type: ignore[operator]
            hidden.append(where)
        present = absent(torch.cat([one.mask for one in both], -1), states[0].dtype).unsqueeze(-2)
        guesses = torch.log_softmax(self.guess(self.cross(torch.cat(states, -2), None, present)), -1)
        return guess_loss(guesses, torch.cat([one.ops for one in both], -1), torch.cat(hidden, -1))
