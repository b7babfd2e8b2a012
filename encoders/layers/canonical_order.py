"""An order of the nodes of a graph that isomorphic graphs share."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archrank.datasets.canonical import SEEDS, mix
from archrank.datasets.graphs import Graphs

Words = NDArray[np.uint64]


def canonical_places(graphs: Graphs) -> Tensor:
    """Each node's place in its cell, int64 [B, V], counted from 0; V - 1 on padding.

    Nodes are ordered by generation (`Graphs.depth`), then by colours that refinement along and against the edges gives
    them (Weisfeiler and Leman, 1968). Where several nodes still have one colour, the first of them is told apart and
    refinement goes on, so that relabelled graphs get one order, unless refinement cannot tell nodes apart that no
    automorphism exchanges.
    """
    ops, adj, mask, cell, depth = (
        t.cpu().numpy() for t in (graphs.ops, graphs.adj, graphs.mask, graphs.cell, graphs.depth)
    )
    lead, nodes = ops.shape[:-1], ops.shape[-1]
    ops, mask, cell, depth = (part.reshape(-1, nodes) for part in (ops, mask, cell, depth))
    links = adj.reshape(-1, nodes, nodes).astype(np.uint64)
    colour = mix(ops.astype(np.uint64) + SEEDS[0]) + cell.astype(np.uint64)
    open_rows = np.arange(len(ops))
    for _ in range(nodes):
        colour[open_rows] = _refined(colour[open_rows], links[open_rows], mask[open_rows])
        twice, chosen = _first_tie(colour[open_rows], mask[open_rows])
        open_rows, chosen = open_rows[twice], chosen[twice]
        if not len(open_rows):
            break
        colour[open_rows, chosen] = mix(colour[open_rows, chosen] + SEEDS[0])
    order = np.argsort(colour, axis=-1, kind="stable")
    for key in (depth, cell, ~mask):
        order = np.take_along_axis(order, np.argsort(np.take_along_axis(key, order, -1), -1, kind="stable"), -1)
    place = np.argsort(order, axis=-1)
    before = ((cell[:, None, :] < cell[:, :, None]) & mask[:, None, :]).sum(-1)
    place = np.where(mask, place - before, nodes - 1)
    return torch.from_numpy(place.reshape(*lead, nodes)).to(graphs.device)


def _refined(colour: Words, links: Words, mask: NDArray[np.bool_]) -> Words:
    """Colours [N, V] after as many rounds as can tell anything apart; sums of mixed colours stand for multisets."""
    kinds = 0
    while True:
        ahead = (links * mix(colour ^ SEEDS[0])[:, None, :]).sum(-1)
        behind = (links * mix(colour ^ SEEDS[1])[:, :, None]).sum(-2)
        colour = mix(colour + mix(ahead + np.uint64(1)) + mix(behind * np.uint64(3) + np.uint64(2)))
        colours = len(np.unique(colour[mask]))
        if colours <= kinds:
            return colour
        kinds = colours


def _first_tie(colour: Words, mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether any colour [N, V] of a row stands twice, and where the smallest such colour stands first."""
    same = (colour[:, :, None] == colour[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    tied = same.sum(-1) > 1
    least = np.where(tied, colour, np.iinfo(np.uint64).max).min(-1, keepdims=True)
    return tied.any(-1), (tied & (colour == least)).argmax(-1)
