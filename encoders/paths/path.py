"""Path encodings: which sequences of operations lead from input to output.

Source: White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", AAAI
2021, and "A Study on Encodings for Neural Architecture Search", NeurIPS 2020 (naszilla 7e65491; nas-encodings). All
are invariant to the order of nodes and to dangling nodes, and none is injective: different architectures may have the
same paths. A sequence o_0 o_1 ... of k operations has number sum_t o_t k^t among those of its length; shorter
sequences come first. Two-cell spaces have one block per cell and input.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archrank.datasets.canonical import contract, ends, roles_of
from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.arrays import arrays
from archrank.encoders.paths.limits import (
    WIDEST,
    allowed,
    few,
    fixed_edges,
    limit_of,
    supports_bits,
    supports_categorical,
    supports_truncated,
    supports_truncated_categorical,
)
from archrank.encoders.registry import encoding

_AT_ONCE = 30_000_000
_MANY = 50


@encoding("path", family="path", supports=supports_bits)
def path(graphs: Graphs, space: SearchSpace, *, longest: int | None = None, faithful: bool = False) -> Tensor:
    """One bit per possible sequence of operations on a path from input to output.

    Length 364 on NAS-Bench-101 (direct edge, then 3 + 9 + 27 + 81 + 243), 155 on NAS-Bench-201 (5 + 25 + 125; `none`
    and `skip_connect` count as operations, as in the paper's code), 18,724 on NAS-Bench-301 (four blocks of 1 + 8 + 64
    + 512 + 4,096; `none` is among the tables' operations, sums are not), 11,204 on a DARTS space without `none`.

    longest: operations on the longest path kept; by default all a space allows, or as many as fit into 20,000 features.
    faithful: with the defects of NASLib: on NAS-Bench-201 the paths are read off edges in the wrong order, so that
    two of the four are not paths of the cell; on DARTS the last operation of each cell is left out. Returns float32
    [B, F]. ArchrankError if `longest` needs more than 20,000 features, or if no path is short enough.
    """
    return (torch.cat(path_counts(graphs, space, longest, faithful), 1) > 0).float()


@encoding("path_truncated", family="path", supports=supports_truncated)
def path_truncated(graphs: Graphs, space: SearchSpace, *, longest: int | None = None, faithful: bool = False) -> Tensor:
    """The path encoding without the long, rare paths: one bit per sequence of few operations.

    Length 40 on NAS-Bench-101 (up to 3 operations), 30 on NAS-Bench-201 (up to 2), 292 on NAS-Bench-301 (up to 2 in
    each of four blocks; 228 without `none`).

    longest: operations on the longest path kept; by default half of those a space allows, rounded up, and no fewer than
    the shortest path has where all architectures have the same edges.
    faithful: in two-cell spaces the first 100 features of the whole code, as in naszilla: nearly only the first
    cell's paths from its first input. Returns float32 [B, F].
    """
    if faithful and space.cells > 1:
        return path(graphs, space)[:, :100]
    return path(graphs, space, longest=few(space) if longest is None else longest)


@encoding("path_categorical", family="path", supports=supports_categorical)
def path_categorical(graphs: Graphs, space: SearchSpace, *, slots: int = 20, faithful: bool = False) -> Tensor:
    """The numbers of all paths from input to output in ascending order, with repetitions, then zeros.

    Length 20 on NAS-Bench-101, 4 on NAS-Bench-201 (every cell has four paths), `slots` for each of four blocks on
    DARTS. The one path code that says how often a sequence occurs. A path's number is counted from 1, so that 0 means
    none.

    slots: numbers kept, the shortest paths first; fewer where the space cannot have so many paths.
    faithful: count from 0 as the paper's code does, so that the first path cannot be told from none.
    Returns float32 [B, F].
    """
    return _categories(graphs, space, None, slots, faithful)


@encoding("path_truncated_categorical", family="path", supports=supports_truncated_categorical)
def path_truncated_categorical(
    graphs: Graphs, space: SearchSpace, *, longest: int | None = None, slots: int = 20, faithful: bool = False
) -> Tensor:
    """The numbers of the short paths from input to output in ascending order, with repetitions, then zeros.

    `path_categorical` of the paths that `path_truncated` keeps; length 20 on NAS-Bench-101. Options as there. Returns
    float32 [B, F].
    """
    return _categories(graphs, space, few(space) if longest is None else longest, slots, faithful)


@encoding("path_continuous", family="path", supports=supports_bits)
def path_continuous(graphs: Graphs, space: SearchSpace, *, longest: int | None = None) -> Tensor:
    """The path encoding and, behind it, how many different sequences it has, where the paper's continuous form cuts.

    In the paper a continuous code is a real number per path, of which the k largest are the architecture, and k; an
    architecture's own code is then this one. Length 365 on NAS-Bench-101, 156 on NAS-Bench-201. Returns float32 [B, F
    + 1].
    """
    bits = path(graphs, space, longest=longest)
    return torch.cat([bits, bits.sum(1, keepdim=True)], 1)


def path_counts(graphs: Graphs, space: SearchSpace, longest: int | None = None, faithful: bool = False) -> list[Tensor]:
    """How many paths from input to output read as each sequence of operations: float32 [B, F] per block."""
    roles = roles_of(space)
    limit = limit_of(space, len(roles.op_choices), longest)
    parts = []
    for ops, adj, mask, cell in arrays(graphs):
        edges = adj & mask[:, :, None] & mask[:, None, :]
        if faithful:
            edges = _as_naslib_reads(edges, space, ops, mask, cell, roles.op_choices)
        links = contract(edges.astype(np.int32), mask & np.isin(ops, roles.sums))
        parts.append(count(space, ops, links, mask, cell, roles.op_choices, limit))
    blocks = [torch.cat(block).to(graphs.device) for block in zip(*parts)]
    check_seen(blocks, space, limit)
    return blocks


def check_seen(blocks: list[Tensor], space: SearchSpace, limit: int) -> None:
    """ArchrankError if many architectures, but none with a path of at most `limit` operations, where longer ones exist.

    A few may well have none, and are encoded as zeros, unless all architectures of the space have the same edges.
    """
    enough = len(blocks[0]) >= (1 if fixed_edges(space) else _MANY)
    if limit < allowed(space) and enough and not any(bool(block.any()) for block in blocks):
        raise ArchrankError(
            f"path encoding of space '{space.name}': no path from input to output has {limit} operations or fewer; "
            f"raise `longest` (up to {WIDEST:,} features), or choose an encoder that reads graphs"
        )


def count(
    space: SearchSpace,
    ops: NDArray[np.integer],
    links: NDArray[np.int32],
    mask: NDArray[np.bool_],
    cell: NDArray[np.integer],
    op_choices: tuple[int, ...],
    limit: int,
    direct: bool | None = None,
) -> list[Tensor]:
    """Per block (cell by cell, input by input) the number of paths per sequence of `op_choices`: float32 [B, F].

    direct: whether the sequence without operations is a feature, the first one; by default not in one-cell spaces
    that cannot have it.
    """
    roles = roles_of(space)
    enter, leave = ends(roles, ops, links > 0, mask)
    number = torch.full((len(space.ops) + 1,), len(op_choices))
    number[list(op_choices)] = torch.arange(len(op_choices))
    labels = number[torch.from_numpy(np.where(mask & ~enter & ~leave, ops, len(space.ops)).astype(np.int64))]
    if direct is None:
        direct = space.cells > 1 or not fixed_edges(space) or bool(space.constant is not None and space.constant[0, -1])
    blocks = []
    for which in range(space.cells):
        for source in roles.inputs or (None,):
            start = enter & (cell == which)
            start = start if source is None else start & (ops == source)
            paths = _sequences(
                torch.from_numpy(links),
                torch.from_numpy(start),
                torch.from_numpy(leave),
                labels,
                len(op_choices),
                limit,
            )
            blocks.append(paths if direct else paths[:, 1:])
    return blocks


def _sequences(links: Tensor, start: Tensor, leave: Tensor, labels: Tensor, choices: int, limit: int) -> Tensor:
    chunk = max(1, _AT_ONCE // (links.shape[1] * choices ** max(limit - 1, 0)))
    parts = (slice(i, i + chunk) for i in range(0, max(len(links), 1), chunk))
    return torch.cat([_chunk(links[p], start[p], leave[p], labels[p], choices, limit) for p in parts])


def _chunk(links: Tensor, start: Tensor, leave: Tensor, labels: Tensor, choices: int, limit: int) -> Tensor:
    along = links.float()
    last = (along @ leave.float().unsqueeze(-1)).transpose(1, 2)
    own = torch.nn.functional.one_hot(labels, choices + 1)[..., :choices].float()
    # reading[b, v, s]: paths from the input to v whose operations, v's own included, have sequence number s.
    reading = start.float().unsqueeze(-1)
    ending = (own * last.transpose(1, 2)).transpose(1, 2)
    blocks = [(last @ reading).squeeze(1)]
    for length in range(1, limit + 1):
        arriving = along.transpose(1, 2) @ reading
        blocks.append((ending @ arriving).flatten(1))
        if length < limit:
            reading = (own.unsqueeze(-1) * arriving.unsqueeze(-2)).flatten(2)
    return torch.cat(blocks, 1)


def _categories(graphs: Graphs, space: SearchSpace, longest: int | None, slots: int, faithful: bool) -> Tensor:
    slots = min(slots, _most_paths(space))
    place = torch.arange(slots, dtype=torch.float32, device=graphs.device).expand(len(graphs), -1).contiguous()
    codes = []
    for counts in path_counts(graphs, space, longest):
        total = counts.cumsum(1)
        index = torch.searchsorted(total, place, right=True)
        codes.append(torch.where(place < total[:, -1:], index + (0 if faithful else 1), 0))
    return torch.cat(codes, 1).float()


def _most_paths(space: SearchSpace) -> int:
    """Paths from the first to the last node where all architectures have the same edges; no bound elsewhere."""
    if space.support is None or not fixed_edges(space):
        return WIDEST
    ways = np.zeros(space.max_nodes)
    ways[0] = 1
    for v in range(1, space.max_nodes):
        ways[v] = ways[:v] @ space.support[:v, v]
    return int(min(max(ways[-1], 1), WIDEST))


def _as_naslib_reads(
    edges: NDArray[np.bool_],
    space: SearchSpace,
    ops: NDArray[np.integer],
    mask: NDArray[np.bool_],
    cell: NDArray[np.integer],
    op_choices: tuple[int, ...],
) -> NDArray[np.bool_]:
    """The edges along which NASLib's path encoding walks (see `path`)."""
    if space.name == "nasbench201":
        # Its paths are positions in string order, used on operations listed by source: 1>2 alone, and 0>1 0>3 2>3.
        edges = np.zeros_like(edges)
        for u, v in ((0, 3), (3, 7), (0, 1), (1, 5), (5, 7), (0, 2), (2, 6), (6, 7), (1, 4), (4, 6)):
            edges[:, u, v] = True
    elif space.cells > 1:
        edges = edges.copy()
        operation = mask & np.isin(ops, op_choices)
        for which in range(space.cells):
            here = operation & (cell == which)
            last = edges.shape[1] - 1 - here[:, ::-1].argmax(1)
            edges[np.arange(len(edges)), last] = False
    return edges
