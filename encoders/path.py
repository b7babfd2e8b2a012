"""Path encodings: which sequences of operations lead from input to output."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.registry import encoding

WIDEST = 20_000


@encoding("path", family="path")
def path(graphs: Graphs, space: SearchSpace, *, longest: int | None = None) -> Tensor:
    """One bit per possible sequence of operations on a path from input to output.

    Source: White et al., "BANANAS", AAAI 2021, and "A Study on Encodings for Neural Architecture Search", NeurIPS 2020. Invariant to the order
    of nodes and to dangling nodes; not injective. Length 364 on NAS-Bench-101 (direct edge, then 3 + 9 + 27 + 81 + 243), 155 on NAS-Bench-201
    (5 + 25 + 125, `none` counted as an operation as in the paper's code).

    longest: operations on the longest path kept; by default all a space allows. ArchrankError if that needs more than 20,000 features.
    Returns float32 [B, F].
    """
    return (path_counts(graphs, space, longest) > 0).float()


def path_counts(graphs: Graphs, space: SearchSpace, longest: int | None = None) -> Tensor:
    """How many paths from input to output read as each sequence of operations: float32 [B, F], shorter sequences first.

    Two-cell spaces: the cells' counts side by side.
    """
    if space.cells > 1:
        parts = [_counts(graphs, space, longest, graphs.mask & (graphs.cell == cell)) for cell in range(space.cells)]
        return torch.cat(parts, -1)
    return _counts(graphs, space, longest, graphs.mask)


def _counts(graphs: Graphs, space: SearchSpace, longest: int | None, mask: Tensor) -> Tensor:
    inner = [op for op in range(len(space.ops)) if op not in (space.roles.get("input"), space.roles.get("output"))]
    limit = len(space.generations) - 2 if longest is None else min(longest, len(space.generations) - 2)
    width = sum(len(inner) ** length for length in range(limit + 1))
    if width > WIDEST:
        raise ArchrankError(f"path encoding of space '{space.name}': paths of up to {limit} of {len(inner)} operations need {width} features; "
                            "choose a smaller `longest`")
    number = torch.full((len(space.ops),), 0, device=graphs.device)
    number[inner] = torch.arange(len(inner), device=graphs.device)
    chunk = max(1, 50_000_000 // (graphs.nodes * max(1, len(inner) ** limit)))
    parts = [_chunk(graphs.adj[i : i + chunk], graphs.ops[i : i + chunk], mask[i : i + chunk], number, len(inner), limit)
             for i in range(0, len(graphs), chunk)]
    found = torch.cat(parts)
    return found if space.support is None or space.support[0, -1] else found[:, 1:]


def _chunk(adj: Tensor, ops: Tensor, mask: Tensor, number: Tensor, inner: int, limit: int) -> Tensor:
    edges = (adj & mask[:, :, None] & mask[:, None, :]).float()
    source = mask & ~edges.any(-2).bool() & edges.any(-1).bool()
    sink = (mask & ~edges.any(-1).bool() & edges.any(-2).bool()).float()
    between = (mask & ~source & (sink == 0)).float()
    slot = torch.nn.functional.one_hot(number[ops], inner).float() * between[..., None]
    # reading[b, v, s]: paths from the input to v whose operations, v's own included, read as sequence number s.
    reading = source.float()[..., None]
    blocks = []
    for length in range(limit + 1):
        arriving = edges.transpose(1, 2) @ reading
        blocks.append((arriving * sink[..., None]).sum(1))
        if length < limit:
            reading = (arriving[..., None] * slot[:, :, None, :]).flatten(2)
    return torch.cat(blocks, 1)
