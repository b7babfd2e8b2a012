"""CATE: encodings from guessing hidden operations of an architecture with the help of one of similar cost."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from archrank.datasets.costs import COSTS
from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.cross_attention.limits import NODES, supports
from archrank.encoders.layers.attention import absent
from archrank.encoders.layers.complexity import cost
from archrank.encoders.layers.masked_operators import GraphEncoder, PairModel, corrupt, guess_loss
from archrank.encoders.layers.pretraining import decayed, fit, in_chunks, seeded
from archrank.encoders.registry import encoding

RATE = 0.2
WARMUP = 100


@encoding("cate", family="cross attention", pretrained=True, supports=supports, columns=COSTS)
def cate(
    graphs: Graphs,
    space: SearchSpace,
    *,
    dim: int = 64,
    layers: int = 4,
    cross_layers: int = 2,
    heads: int = 8,
    hidden: int = 128,
    cross_hidden: int = 256,
    dropout: float = 0.1,
    updates: int = 1500,
    batch: int = 64,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    pairs: int = 2,
    window: float = 0.04,
    metric: Literal["parameters", "flops"] = "parameters",
    pretrain_on: Literal["all", "outside", "outside_published"] = "all",
    seed: int = 0,
    faithful: bool = False,
) -> Tensor:
    """Frozen transformer states, pre-trained to guess hidden operations of two architectures of similar cost together.

    Source: Yan et al., "CATE: Computation-aware Neural Architecture Encoding with Transformers", ICML 2021, and its
    code (MSU-MLSys-Lab/CATE, 654c393). A node attends to its descendants (the transitive closure, not to itself); a
    node without any attends to all nodes alike. There are no positions, so the encoding is invariant to the order of
    inner nodes, and cells with the same closure and operations but different edges get the same encoding.

    Pre-training: architectures are sorted by cost; each is paired with up to `pairs` random ones that are smaller by at
    most `window` of the whole range of cost (0.04 is the published 2 million parameters on NAS-Bench-101). 20 % of both
    architectures' operations are hidden (80 % by a mask token, 20 % by a random operation); the graph encoder, shared
    by both, and a cross encoder over both guess them. Cost is the table's own column where it has one, else added up
    from the names of the operations (`archrank.encoders.layers.complexity`).

    Returns float32 [B, dim] (64), or [B, 2 * dim] for two-cell spaces, whose cells do not attend to each other: the
    graph encoder's state at the output node of each cell. Only graphs are read; equal seeds give equal encodings.

    Published size: layers=12, cross_layers=24, batch=1024, and updates for 10 passes over the pairs; 1,610,821
    parameters at 5 operations, 1,611,595 at 11, of which 403,520 and 403,904 make the encoding. The default (4 and 2
    layers, 1,500 updates of 64 pairs) is smaller: it pre-trains on NAS-Bench-201 in about two minutes of one core.

    Where every combination of operations is in the table, as in NAS-Bench-201, a hidden operation can be guessed from
    its pair's alone, that is, from how many of each there are: there the encoding says little more than `bag_of_ops`.

    pretrain_on: the architectures it is pre-trained on. `all`; or, for the experiment outside the space (protocol
    `cate-outside`), `outside`: those with other than 7 nodes and at most 7 edges, without those of the test set (6
    nodes and at least 7 edges); `outside_published` has the published overlap: 6 nodes and 7 edges are in both.

    faithful: the official code's form. Padding is token 0 and the mask token 1, which are also operations 0 and 1, so
    hidden operations look like operation 1 and hidden operations 0 are not learned; padding takes part in attention
    where a node has no descendants; the encoding is the state of the last row, which is padding for small cells.

    Departures in the default: token ids of their own for padding and mask; padding masked; read-out at the true output
    node; norm weights not decayed; embeddings that start at unit size (there sqrt(dim) times as large, so that what
    attention adds is lost beside them: as short a pre-training then guesses inner operations no better than by chance).
    In both: pairs are reshuffled every pass; all architectures are trained on and the
    last weights are used (there: the best on the last 5 % of the file); projections start independently.

    ArchrankError if architectures have more than 128 nodes, or `pretrain_on` leaves none.
    """
    if graphs.nodes > NODES:
        raise ArchrankError(
            f"cate: architectures of space '{space.name}' have up to {graphs.nodes} nodes; its "
            f"attention over pairs holds {NODES}; use another encoder here"
        )
    with seeded(seed, graphs.device):
        model = PairModel(
            len(space.ops),
            dim,
            layers,
            cross_layers,
            heads,
            hidden,
            cross_hidden,
            dropout,
            extra_tokens=0 if faithful else 2,
            unit_embeddings=not faithful,
        ).to(graphs.device)
        shown = graphs if pretrain_on == "all" else graphs[smaller(graphs, pretrain_on == "outside_published")]
        first, second = pair_up(cost(shown, space, metric), window, pairs)
        if updates and len(first):
            optimizer = torch.optim.AdamW(decayed(model, weight_decay, norms=faithful), lr=lr)
            pretrain(model, shown, first, second, optimizer, updates=updates, batch=batch, faithful=faithful)
    model.eval()
    return in_chunks(lambda chunk: read_out(model.encoder, chunk, space, faithful), graphs, 4096).float()


def smaller(graphs: Graphs, overlap: bool) -> Tensor:
    """Which architectures CATE's experiment outside the space pre-trains on, int64 [b]: other than 7 nodes, at most 7
    edges. overlap: also those of 6 nodes and 7 edges, which it then searches. ArchrankError where there are none."""
    nodes, edges = graphs.mask.sum(-1), graphs.adj.sum((-1, -2))
    kept = (nodes != 7) & (edges <= 7)
    if not overlap:
        kept &= ~((nodes == 6) & (edges >= 7))
    if not kept.any():
        raise ArchrankError("cate: no architecture has at most 7 edges and other than 7 nodes; leave pretrain_on out")
    return kept.nonzero()[:, 0]


def pretrain(
    model: PairModel,
    graphs: Graphs,
    first: Tensor,
    second: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    updates: int,
    batch: int,
    faithful: bool = False,
) -> list[float]:
    """Train `model` in place on pairs of architectures (indices int64 [P] each); the loss of every update."""
    graphs.reach.any()  # computed here for all, so that batches gather it

    def loss(index: Tensor) -> Tensor:
        return pair_loss(model, graphs[torch.stack([first[index], second[index]])], faithful)

    return fit(
        loss,
        len(first),
        optimizer,
        updates=updates,
        batch=batch,
        device=graphs.device,
        warmup=min(WARMUP, updates // 5),
        name="cate",
    )


def pair_up(costs: Tensor, window: float, count: int) -> tuple[Tensor, Tensor]:
    """For each architecture, up to `count` others of no greater cost within `window` (a share of the range of cost).

    costs: float [B]. Candidates are those earlier in the order of cost; they are drawn without replacement. Returns the
    pairs as two int64 tensors [P]: the larger one and the smaller one.
    """
    order = torch.argsort(costs, stable=True)
    ranked = costs[order]
    reach = window * (ranked[-1:] - ranked[:1])
    lowest = torch.searchsorted(ranked, ranked - reach - 1e-9 * reach)
    places = torch.arange(len(costs), device=costs.device)
    available = places - lowest
    firsts, seconds = [], []
    taken = torch.empty(0, len(costs), dtype=torch.long, device=costs.device)
    for draw in range(count):
        left = available - draw
        offset = (torch.rand(len(costs), device=costs.device) * left).long().clamp(min=0)
        # The drawn number counts the candidates not taken before: step over those in ascending order.
        for earlier in taken.sort(0).values:
            offset = offset + (offset >= earlier)
        taken = torch.cat([taken, offset[None]])
        good = left > 0
        firsts.append(order[places[good]])
        seconds.append(order[(lowest + offset)[good]])
    return torch.cat(firsts), torch.cat(seconds)


def sequence(graphs: Graphs, ops: int, faithful: bool) -> tuple[Tensor, Tensor | None]:
    """Tokens int64 [..., V], and score offsets float [..., V, V] that keep attention to real nodes of one's cell."""
    if faithful:
        return graphs.ops * graphs.mask, None
    same = (graphs.cell.unsqueeze(-1) == graphs.cell.unsqueeze(-2)) & graphs.mask.unsqueeze(-2)
    return torch.where(graphs.mask, graphs.ops, ops), absent(same, torch.get_default_dtype())


def pair_loss(model: PairModel, both: Graphs, faithful: bool = False) -> Tensor:
    """Loss of guessing freshly hidden operations in pairs: graphs of leading shape [2, B]."""
    ops = model.guess.out_features
    tokens, offset = sequence(both, ops, faithful)
    real = torch.ones_like(both.mask) if faithful else both.mask
    hidden, chosen = corrupt(tokens, real, ops, 1 if faithful else ops + 1, RATE)
    present = None if faithful else absent(side_by_side(real), torch.get_default_dtype()).unsqueeze(-2)
    guesses = model(hidden, both.reach, offset, present)
    return guess_loss(guesses, side_by_side(both.ops * both.mask), side_by_side(chosen), skip_class_zero=faithful)


def side_by_side(pair: Tensor) -> Tensor:
    """[2, B, V] -> [B, 2V]."""
    return torch.cat([pair[0], pair[1]], -1)


def read_out(encoder: GraphEncoder, graphs: Graphs, space: SearchSpace, faithful: bool = False) -> Tensor:
    """The encoder's state at the output node of each cell [B, cells * dim]; `faithful`: at the last row [B, dim]."""
    tokens, offset = sequence(graphs, len(space.ops), faithful)
    states: Tensor = encoder(tokens, graphs.reach, offset)
    if faithful:
        return states[:, -1]
    places = torch.arange(graphs.nodes, device=graphs.device)
    rows = torch.arange(len(graphs), device=graphs.device)
    ends = [(places * (graphs.mask & (graphs.cell == cell))).amax(-1) for cell in range(space.cells)]
    return torch.cat([states[rows, end] for end in ends], -1)
