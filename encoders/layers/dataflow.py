"""The part of an architecture through which data flows, as tensors: what `archrank.datasets.canonical` does, under
`vmap` and on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.datasets.canonical import roles_of
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace


def dataflow(graphs: Graphs, space: SearchSpace) -> tuple[Tensor, Tensor]:
    """Edges bool [B, V, V] and nodes bool [B, V] that are left of graphs [B, V].

    Gone are `none` and whatever lies on no path from an input to an output; `skip` and sums are contracted, parallel
    edges fall together. Inputs and outputs always stay. Equal to `canonicalize(..., keep_strided=False)` with its
    sums contracted.
    """
    roles = roles_of(space)
    ops, mask = graphs.ops, graphs.mask
    edges = graphs.adj & mask[..., :, None] & mask[..., None, :]
    enter = mask & (_among(ops, roles.inputs, space) if roles.inputs else edges.any(-1) & ~edges.any(-2))
    leave = mask & (_among(ops, roles.outputs, space) if roles.outputs else edges.any(-2) & ~edges.any(-1))
    carries = mask & ~_among(ops, roles.nones, space)
    edges = edges & carries[..., :, None] & carries[..., None, :]
    alive = _reached(edges, enter) & _reached(edges.flip(-1, -2).transpose(-1, -2), leave.flip(-1)).flip(-1)
    edges = edges & alive[..., :, None] & alive[..., None, :]
    passing = _among(ops, (*roles.skips, *roles.sums), space) & ~enter & ~leave
    if roles.skips or roles.sums:
        for v in range(graphs.nodes):
            through = edges[..., :, v, None] & edges[..., v, None, :]
            edges = edges | (through & passing[..., v, None, None])
    left = (alive & ~passing) | enter | leave
    return edges & left[..., :, None] & left[..., None, :], left


def _among(ops: Tensor, members: tuple[int, ...], space: SearchSpace) -> Tensor:
    """Whether each op is one of `members`."""
    return torch.tensor([op in members for op in range(len(space.ops))], device=ops.device)[ops]


def _reached(edges: Tensor, start: Tensor) -> Tensor:
    """Nodes on a path from `start` (bool [B, V]), themselves included; edges go from earlier to later nodes."""
    reached = [start[..., 0]]
    for v in range(1, start.shape[-1]):
        reached.append(start[..., v] | (edges[..., :v, v] & torch.stack(reached, -1)).any(-1))
    return torch.stack(reached, -1)
