"""The loop of TA-GATES: flow forward, turn around, flow backward, and move the operations' embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archrank.encoders.gates.flow import through
from archrank.encoders.gates.inputs import Read

SCALE = 0.1  # of an update


class Rounds(nn.Module):
    """`steps` forward flows with a backward flow and an update of operation embeddings between each two of them.

    The states where data leaves pass a two-layer perceptron and flow backward from there; an operation moves by 0.1
    times what a perceptron makes of its embedding, of what it sent forward (both without gradient) and of what it sent
    backward.

    ahead, back: layers of the two directions, the second from `dim` to `back_dim`. hidden: of the update.
    """

    def __init__(
        self,
        ahead: Sequence[nn.Module],
        back: Sequence[nn.Module],
        *,
        steps: int,
        dim: int,
        back_dim: int,
        op_dim: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.steps, self.ahead = steps, nn.ModuleList(ahead)
        if steps > 1:
            self.back = nn.ModuleList(back)
            self.turn = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
            self.update = nn.Sequential(
                nn.Linear(op_dim + dim + back_dim, hidden), nn.ReLU(), nn.Linear(hidden, op_dim)
            )

    def forward(self, read: Read, op: Tensor, *, beside: Tensor | None = None, moved: Tensor | None = None) -> Tensor:
        """States [B, V, dim] after the last forward flow.

        op: first embeddings [B, N, op_dim]. beside: float [B, N, F], what gates read beside them. moved: float [B, N,
        1], 1 where they move.
        """
        exits = read.exits.unsqueeze(-1).to(op.dtype)
        for _ in range(self.steps - 1):
            seen = _seen(op, beside)
            state, sent = through(self.ahead, read.x, seen, read.ahead)
            _, returned = through(self.back, self.turn(state) * exits, seen, read.back)
            change = self.update(torch.cat([op.detach(), sent.detach(), returned], -1))
            op = op + SCALE * (change if moved is None else change * moved)
        return through(self.ahead, read.x, _seen(op, beside), read.ahead)[0]


def _seen(op: Tensor, beside: Tensor | None) -> Tensor:
    return op if beside is None else torch.cat([op, beside], -1)
