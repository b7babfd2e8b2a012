"""Canonical paths: what data can go through, counted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from archrank.datasets.canonical import canonicalize, contract, roles_of
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.arrays import arrays
from archrank.encoders.paths.limits import limit_of, path_choices, supports_canonical
from archrank.encoders.paths.path import check_seen, count
from archrank.encoders.registry import encoding

MOST = 1e6


@encoding("canonical_path", family="path", supports=supports_canonical)
def canonical_path(graphs: Graphs, space: SearchSpace, *, longest: int | None = None) -> Tensor:
    """How many paths carry data through each sequence of operations, once dead operations and identities are gone.

    archrank's own. Operations that nothing reaches or that reach nothing, and `none`, are removed and `skip`
    contracted (see `archrank.datasets.canonical`); parallel paths that read alike add up. So the code is the
    polynomial the cell computes, were its operations linear and shared. Invariant to the order of nodes, to dangling
    nodes and to every rewriting by identities; not injective.

    Length 40 on NAS-Bench-201 (1 + 3 + 9 + 27: the first counts plain identities), 364 on NAS-Bench-101, 11,204 on
    NAS-Bench-301 (there a skip that halves the resolution stays an operation).

    longest: operations on the longest path counted; by default all a space allows, or as many as fit into 20,000
    features. Returns float32 [B, F], counts above 1e6 cut off. ArchrankError if `longest` needs more than 20,000
    features.
    """
    roles = roles_of(space)
    op_choices = path_choices(space, canonical=True)
    limit = limit_of(space, len(op_choices), longest)
    parts = []
    for ops, adj, mask, cell in arrays(graphs):
        form = canonicalize(space, ops, adj, mask, cell)
        links = contract(form.links, form.mask & np.isin(form.ops, roles.sums))
        # Identities alone may now lead from input to output, whatever edges the space has.
        parts.append(torch.cat(count(space, form.ops, links, form.mask, form.cell, op_choices, limit, direct=True), 1))
    counts = torch.cat(parts).clamp(max=MOST).to(graphs.device)
    check_seen([counts], space, limit)
    return counts
