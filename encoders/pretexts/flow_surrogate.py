"""FGP's flow surrogate: where random vectors end that pass an architecture forward and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from archrank.datasets.canonical import roles_of
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.pretexts import pretext
from archrank.encoders.pretexts.regression import Regression

KEEP = 0.5  # share of a message that passes unchanged; the paper's alpha


@pretext("flow_surrogate")
class FlowSurrogate(Regression):
    """FGP's flow surrogate: predict where random vectors end that pass the architecture forward and back.

    Source: Kim et al., "Learning to Flow from Generative Pretext Tasks", NeurIPS 2025; the surrogate as the authors
    publish it (kswoo97/FGPAnom), the decoder and its loss as in kswoo97/LightWeightNAS (4e100bf).

    width: numbers in a surrogate, and deviation: of the random weights. Published: 4 and 1.0 on NAS-Bench-101, 7 and
    0.1 on NAS-Bench-201, 12 and 0.1 on NAS-Bench-301. draw: seed of the random vectors (published: 0).

    Departures: targets are brought to unit deviation, and the error is the mean over them. Graphs of two cells have one
    surrogate per cell.
    """

    def __init__(
        self,
        encoder: nn.Module,
        graphs: Graphs,
        space: SearchSpace,
        *,
        width: int = 7,
        deviation: float = 0.1,
        draw: int = 0,
    ) -> None:
        super().__init__(encoder, graphs, flow_surrogate(graphs, space, width, deviation, draw))


def flow_surrogate(graphs: Graphs, space: SearchSpace, width: int, deviation: float, draw: int = 0) -> Tensor:
    """The surrogate float64 [B, cells * width] of graphs [B].

    A node's state is alpha m + (1 - alpha) relu([p_op ; m] W), m the sum over its predecessors; inputs start from one
    random vector. Then the same along reversed edges, from the last states on, in place; what the inputs (their sum)
    end with is the surrogate. The vectors follow from `draw`, the number of operations, `width` and `deviation`.
    """
    start, per_op, mix = _vectors(len(space.ops), width, deviation, draw, graphs.device)
    inputs = roles_of(space).inputs
    entered = torch.tensor([op in inputs for op in range(len(space.ops))], device=graphs.device)[graphs.ops]
    if not inputs:
        entered = ~graphs.adj.any(-2)
    entered = entered & graphs.mask
    ended = ~graphs.adj.any(-1)
    adj = graphs.adj.to(torch.float64)
    states = entered.unsqueeze(-1) * start
    op = per_op[graphs.ops]

    def visit(v: int, linked: Tensor, skipped: Tensor) -> None:
        heard = (linked.unsqueeze(-1) * states).sum(-2)
        fresh = KEEP * heard + (1 - KEEP) * torch.relu(torch.cat([op[:, v], heard], -1) @ mix)
        states[:, v] = torch.where((skipped | ~graphs.mask[:, v]).unsqueeze(-1), states[:, v], fresh)

    for v in range(graphs.nodes):
        visit(v, adj[:, :, v], entered[:, v])
    for v in reversed(range(graphs.nodes)):
        visit(v, adj[:, v], ended[:, v])
    parts = [(states * (entered & (graphs.cell == cell)).unsqueeze(-1)).sum(-2) for cell in range(space.cells)]
    return torch.cat(parts, -1)


def _vectors(ops: int, width: int, deviation: float, draw: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The start [width], the operations' vectors [ops, width] and the mixing matrix [2 * width, width], in the
    published order of draws."""
    random = np.random.RandomState(draw)
    start, _ = random.rand(width), random.rand(width)
    per_op, mix = random.normal(0, deviation, (ops, width)), random.normal(0, deviation, (2 * width, width))
    return tuple(torch.from_numpy(part).to(device) for part in (start, per_op, mix))  # type: ignore[return-value]
