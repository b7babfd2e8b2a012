"""DCLP's pretext: an architecture is told from others by what an edit of one node leaves of it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from archrank.datasets.canonical import roles_of
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.pretexts import pretext
from archrank.encoders.pretexts.regression import decoder, width

HIDDEN = 64


@pretext("contrastive")
class Contrastive(nn.Module):
    """DCLP's objective: recognise an architecture, among many others, after an edit of one operation.

    Source: Zheng et al., "DCLP: Neural Architecture Predictor with Curriculum Contrastive Learning", AAAI 2024
    (Zhengsh123/DCLP, 7978532); momentum contrast after He et al., CVPR 2020. A query's embedding is projected, brought
    to unit length and compared with that of its edited form, which a slowly following copy of the network gives, and
    with `queue` earlier ones of others. The curriculum is the one of that code: edits of one node, then no edits from
    the share `plain_from` of the training to `plain_to`, then edits again.

    projection: length of what is compared (published 128). queue: earlier forms compared with (published 131,072).
    momentum: of the copy (published 0.999). temperature: published 0.07. plain_from, plain_to: 0.53 and 0.7 are epochs
    32 to 41 of the published 60.

    Departures: fewer updates, so a queue of 4,096 (at most a quarter of the architectures) and a momentum of 0.99;
    AdamW in place of SGD; an edit puts another operation of the space at one node that has a choice.
    """

    def __init__(
        self,
        encoder: nn.Module,
        graphs: Graphs,
        space: SearchSpace,
        *,
        projection: int = 128,
        queue: int = 4096,
        momentum: float = 0.99,
        temperature: float = 0.07,
        plain_from: float = 0.53,
        plain_to: float = 0.7,
    ) -> None:
        super().__init__()
        self.momentum, self.temperature, self.plain = momentum, temperature, (plain_from, plain_to)
        self.choices = [op for op in roles_of(space).op_choices if op < len(space.ops)]
        self.project = decoder(width(encoder, graphs), projection, HIDDEN)
        length = max(1, min(queue, len(graphs) // 4))  # few of the others are the query's own
        self.queue: Tensor
        self.register_buffer("queue", nn.functional.normalize(torch.randn(length, projection), dim=-1))
        self.following: list[nn.Module] = []  # a list, so that no optimiser has it

    def forward(self, encoder: nn.Module, graphs: Graphs, done: float) -> Tensor:
        """The loss of a batch [B], a scalar."""
        leading = nn.Sequential(encoder, self.project)
        if not self.following:
            self.following.append(copy.deepcopy(leading))
        query = nn.functional.normalize(leading(graphs), dim=-1)
        with torch.no_grad():
            _follow(self.following[0], leading, self.momentum)
            edits = not self.plain[0] <= done < self.plain[1]
            key = self.following[0](edited(graphs, self.choices) if edits else graphs)
            key = nn.functional.normalize(key, dim=-1)
        loss = contrast(query, key, self.queue, self.temperature)
        self.queue = torch.cat([key, self.queue])[: len(self.queue)]
        return loss


def contrast(query: Tensor, key: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of naming each query's own key among it and `others`.

    query, key: unit vectors [B, d]. others: unit vectors [K, d].
    """
    own = (query * key).sum(-1, keepdim=True)
    logits = torch.cat([own, query @ others.T], -1) / temperature
    return nn.functional.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long, device=query.device))


def edited(graphs: Graphs, choices: list[int]) -> Graphs:
    """Graphs [B] of which one node each has another operation of `choices`, where a node has one."""
    able = torch.isin(graphs.ops, torch.tensor(choices, device=graphs.device)) & graphs.mask
    chosen = (torch.rand(able.shape, device=graphs.device) * able).argmax(-1)
    rows = torch.arange(len(graphs), device=graphs.device)
    place = torch.tensor(choices, device=graphs.device)
    old = (graphs.ops[rows, chosen].unsqueeze(-1) == place).long().argmax(-1)
    turn = torch.randint(1, max(len(choices), 2), old.shape, device=graphs.device)
    fresh = torch.where(able[rows, chosen], place[(old + turn) % len(choices)], graphs.ops[rows, chosen])
    ops = graphs.ops.clone()
    ops[rows, chosen] = fresh
    return Graphs(ops, graphs.adj, graphs.mask, graphs.cell, graphs.attrs)


def _follow(copied: nn.Module, leading: nn.Module, momentum: float) -> None:
    for slow, fast in zip(copied.parameters(), leading.parameters()):
        slow.mul_(momentum).add_(fast, alpha=1 - momentum)
    for held, current in zip(copied.buffers(), leading.buffers()):
        held.copy_(current)
