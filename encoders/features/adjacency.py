"""Adjacency encodings: the matrix and the operations, written out.

Source: White et al., "A Study on Encodings for Neural Architecture Search", NeurIPS 2020 (naszilla 7e65491, NASLib
0b51bc1). All depend on the order of nodes: one architecture may have several codes. Edges that no two architectures
of a space differ in are left out; the output is moved to the last place, as that code does for small cells. In
two-cell spaces with sums (DARTS), a cell is written as the matrix between inputs, sums and output, and its operations
in the order of their nodes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from archrank.datasets.canonical import roles_of
from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.features.limits import WIDEST, supports
from archrank.encoders.registry import encoding


@encoding("adjacency", family="adjacency", supports=supports)
def adjacency(
    graphs: Graphs, space: SearchSpace, *, ops: Literal["onehot", "scalar"] = "onehot", faithful: bool = False
) -> Tensor:
    """One bit per possible edge, and the operation of every node.

    Injective on labelled graphs. Length 36 on NAS-Bench-101 (21 + 5 x 3), 30 on NAS-Bench-201 (6 x 5; its edges never
    change); with scalar operations 26, 6, and 114 on DARTS (two cells of 49 + 8).

    ops: one-hot, as in NASLib, or one number each, evenly from 0 to 1 in the order of the space's list, as in naszilla.
    faithful: with scalar operations, missing nodes have the number of conv3x3, as the small cells of NAS-Bench-101
    are filled up in that code; by default one step below 0. Returns float32 [B, F]. ArchrankError if the space needs
    more than 20,000 features.
    """
    edges, op_choices, count = _written(graphs, space)
    if ops == "scalar":
        return torch.cat([edges.float(), _scalars(op_choices, count, space, faithful)], 1)
    onehot = op_choices.unsqueeze(-1) == torch.arange(count, device=op_choices.device)
    return torch.cat([edges.float(), onehot.flatten(1).float()], 1)


@encoding("adjacency_categorical", family="adjacency", supports=supports)
def adjacency_categorical(graphs: Graphs, space: SearchSpace, *, faithful: bool = False) -> Tensor:
    """The numbers of the edges that are there, ascending, then zeros; behind them the operations as scalars.

    Length 26 on NAS-Bench-101, 6 on NAS-Bench-201 (no edge varies there). Edges are counted from 1, so that 0 means
    none.

    faithful: count from 0 as the paper's code does, so that the first edge cannot be told from none; scalars as in
    `adjacency`. Returns float32 [B, F].
    """
    edges, op_choices, count = _written(graphs, space)
    number = torch.arange(edges.shape[1], device=edges.device)
    order = torch.where(edges, number, edges.shape[1]).sort(1).values
    named = torch.where(order < edges.shape[1], order + (0 if faithful else 1), 0).float()
    return torch.cat([named, _scalars(op_choices, count, space, faithful)], 1)


@encoding("adjacency_continuous", family="adjacency", supports=supports)
def adjacency_continuous(graphs: Graphs, space: SearchSpace, *, faithful: bool = False) -> Tensor:
    """One bit per possible edge, the number of edges, and the operations as scalars.

    In the paper a continuous code is a real number per edge, of which the k largest are there, and k; an
    architecture's own code is then this one. Length 27 on NAS-Bench-101, 7 on NAS-Bench-201.

    faithful: as the paper's code fills the array: the operations stand in reverse order in the last places, the
    number of edges is written over the first of them, and its own place stays 0. Returns float32 [B, F].
    """
    edges, op_choices, count = _written(graphs, space)
    scalars = _scalars(op_choices, count, space, faithful)
    total = edges.sum(1, keepdim=True).float()
    if faithful and op_choices.shape[1]:
        return torch.cat([edges.float(), torch.zeros_like(total), scalars[:, 1:].flip(1), total], 1)
    return torch.cat([edges.float(), total, scalars], 1)


def output_last(graphs: Graphs) -> Graphs:
    """Every architecture's last node moved to the last place, padding before it."""
    size = graphs.mask.sum(1, keepdim=True)
    place = torch.arange(graphs.nodes, device=graphs.device).expand(len(graphs), -1)
    order = torch.where(place < size - 1, place, torch.where(place == graphs.nodes - 1, size - 1, place + 1))
    return graphs.relabel(order)


def _written(graphs: Graphs, space: SearchSpace) -> tuple[Tensor, Tensor, int]:
    """Edges bool [B, E], operations int64 [B, K] (-1: no node, or one without a choice), and how many there are."""
    roles = roles_of(space)
    number = torch.full((len(space.ops),), -1, dtype=torch.long, device=graphs.device)
    number[list(roles.op_choices)] = torch.arange(len(roles.op_choices), device=graphs.device)
    if space.cells > 1 and roles.sums:
        parts = [_compact(graphs, number, roles.op_choices, cell) for cell in range(space.cells)]
        return (
            torch.cat([edges for edges, _ in parts], 1),
            torch.cat([ops for _, ops in parts], 1),
            len(roles.op_choices),
        )
    one_output = space.cells == 1 and "output" in space.roles
    u, v = _pairs(space, one_output)
    places = slice(1, -1) if one_output and "input" in space.roles else slice(None)
    width = len(u) + len(range(space.max_nodes)[places]) * len(roles.op_choices)
    if width > WIDEST:
        raise ArchrankError(
            f"adjacency encoding of space '{space.name}': graphs of up to {space.max_nodes} nodes need {width:,} "
            f"features, more than {WIDEST:,}; choose an encoder that reads graphs"
        )
    graphs = output_last(graphs) if one_output else graphs
    op_choices = torch.where(graphs.mask, number[graphs.ops], -1)
    return graphs.adj[:, u, v], op_choices[:, places], len(roles.op_choices)


def _pairs(space: SearchSpace, one_output: bool) -> tuple[Tensor, Tensor]:
    """Pairs of nodes whose edge varies: none where all graphs are alike, all where small graphs' output is moved."""
    alike = space.support is not None and space.constant is not None and (space.support == space.constant).all()
    if one_output and not alike:
        u, v = np.triu_indices(space.max_nodes, 1)
    else:
        u, v = space.variable_edges
    return torch.from_numpy(u), torch.from_numpy(v)


def _compact(graphs: Graphs, number: Tensor, op_choices: tuple[int, ...], cell: int) -> tuple[Tensor, Tensor]:
    """One cell as the matrix [B, n * n] between nodes that are not operations, and its operations [B, k] in order."""
    here = graphs.mask & (graphs.cell == cell)
    operation = here & torch.isin(graphs.ops, torch.tensor(op_choices, device=graphs.device))
    through = (graphs.adj & operation.unsqueeze(-2)).float() @ (graphs.adj & operation.unsqueeze(-1)).float()
    linked = graphs.adj | (through > 0)
    frame = here & ~operation
    order = _first(frame)
    rows = torch.arange(len(graphs), device=graphs.device)[:, None]
    matrix = linked[rows[:, :, None], order[:, :, None], order[:, None, :]]
    inner = _first(operation)
    ops = torch.where(operation[rows, inner], number[graphs.ops[rows, inner]], -1)
    return matrix.flatten(1), ops


def _first(where: Tensor) -> Tensor:
    """Positions [B, most in a row] of the True entries of where [B, V] in their order; any others behind them."""
    most = max(where.sum(1).tolist(), default=0)
    return torch.argsort((~where).to(torch.int8), dim=1, stable=True)[:, :most]


def _scalars(op_choices: Tensor, count: int, space: SearchSpace, faithful: bool) -> Tensor:
    step = 1 / max(count - 1, 1)
    names = [space.ops[op] for op in roles_of(space).op_choices]
    missing = names.index("conv3x3") * step if faithful and "conv3x3" in names else -step
    return torch.where(op_choices < 0, missing, op_choices * step).float()
