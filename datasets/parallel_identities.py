"""Canonical architectures as plain graphs again: parallel links spelled out as identity operations. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.canonical import Canonical, canonicalize, roles_of
from archrank.datasets.space import SearchSpace


@dataclass(frozen=True, eq=False)
class CanonicalGraph:
    """N canonical architectures with one edge at most between two nodes; nodes keep their positions.

    ops: int [N, V]. adj: bool [N, V, V]. mask: bool [N, V], nodes that are left or stand for a parallel link.
    """

    ops: NDArray[np.integer]
    adj: NDArray[np.bool_]
    mask: NDArray[np.bool_]


def canonical_space(space: SearchSpace) -> SearchSpace:
    """The space that canonical graphs of `space` belong to: an edge may stand for a path through identities."""
    return replace(space, support=None if space.support is None else _closure(space.support), constant=None)


def canonical_graph(
    space: SearchSpace,
    ops: NDArray[np.integer],
    adj: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    cell: NDArray[np.integer],
) -> CanonicalGraph:
    """Architectures without dead operations and identities, but for the identities that make a link parallel.

    ops [N, V], adj [N, V, V], mask [N, V], cell [N, V] as in `Benchmark`. Where u is linked to v several times (see
    `canonicalize`), one edge leads there and every further link through an identity of its own, on the position of a
    node that was removed. Links for which no such position is left are merged.
    """
    form = canonicalize(space, ops, adj, mask, cell)
    return _spelled_out(space, form, mask)


def _spelled_out(space: SearchSpace, form: Canonical, mask: NDArray[np.bool_]) -> CanonicalGraph:
    adj, mask_kept, free = form.links > 0, form.mask.copy(), mask & ~form.mask
    ops = np.where(mask_kept, form.ops, 0)
    near = np.triu(np.ones(adj.shape[1:], bool), 1) if space.support is None else _closure(space.support)
    for u, v in zip(*np.nonzero((form.links > 1).any(0))):
        missing = form.links[:, u, v] - 1
        for p in range(u + 1, v):
            if near[u, p] and near[p, v]:
                rows = np.flatnonzero((missing > 0) & free[:, p] & (form.cell[:, p] == form.cell[:, v]))
                ops[rows, p] = roles_of(space).skips[0]
                adj[rows, u, p] = adj[rows, p, v] = mask_kept[rows, p] = True
                free[rows, p] = False
                missing[rows] -= 1
    return CanonicalGraph(ops, adj, mask_kept)


def _closure(support: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pairs of positions [V, V] between which a path leads."""
    closure = support.copy()
    for v in range(len(closure)):
        closure |= closure[:, v, None] & closure[None, v]
    return closure
