"""GRAF: counts, path lengths and degrees per set of operations."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archrank.datasets.canonical import contract, ends, roles_of
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.arrays import arrays
from archrank.encoders.registry import encoding

# All subsets of up to 7 operations; of more operations, or on graphs of many nodes, sets of one, two and all.
MOST_SETS = 127
MOST_STEPS = 1 << 18


@encoding("graf", family="features", head="gp")
def graf(graphs: Graphs, space: SearchSpace, *, redundant: bool = False) -> Tensor:
    """Interpretable graph features: how often each operation occurs, and what paths and degrees each set of operations
    has.

    Source: Kadlecova et al., "Surprisingly Strong Performance Prediction with Neural Graph Features", ICML 2024
    (official code: gabikadlecova/GRAF, as refactored there). For every non-empty set S of operations: the fewest and
    the most operations on a path from input to output that runs over operations of S alone, how many operations of S
    read the input, and how many feed the output. Sets are in order of size, then of op ids; features in the order
    counts, shortest, longest, input, output.

    redundant: also the mean in-degree and the mean out-degree by edges of S, as the official vectors have them. Where
    operations stand on nodes: edges that leave operations of S, and edges that enter them, for every node. Where they
    stand on edges, as in NAS-Bench-201, both follow from the counts and are equal: how many operations of S there are
    for every point where edges meet.

    Shape: float32 [B, F], per cell: operations + sets * (3 * inputs + 1); 129 numbers on NAS-Bench-201, with the
    redundant ones 191; 31 on NAS-Bench-101, with them 45 (the official 47 also count input and output, one each).
    Parameters: none.

    Departures: input and output are not counted as operations. A path that does not exist counts as long as the cell
    has operations (shortest) and as 0 (longest), in every space; the official code writes -4 for the longest on
    NAS-Bench-101. Operations on edges are nodes here, so one definition serves every space. With more than 7
    operations, or graphs of many nodes, sets are of one, two and all operations. In two-cell spaces each cell and input
    has features of its own.
    """
    roles = roles_of(space)
    parts = []
    for ops, adj, mask, cell in arrays(graphs):
        edges = adj & mask[:, :, None] & mask[:, None, :]
        sums = mask & np.isin(ops, roles.sums)
        links = contract(edges.astype(np.int32), sums) > 0
        parts.append(set_features(space, ops, links, mask & ~sums, cell, roles.op_choices, redundant))
    return torch.from_numpy(np.concatenate(parts)).to(graphs.device)


def operation_sets(space: SearchSpace, op_choices: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The sets of op ids that have features, by size, then in the order of `op_choices`; at least each operation
    alone."""
    sizes = range(1, len(op_choices) + 1)
    every = [chosen for size in sizes for chosen in combinations(op_choices, size)]
    if len(op_choices) <= 7 and len(every) <= MOST_SETS and len(every) * space.max_nodes**2 <= MOST_STEPS:
        return every
    few = [chosen for size in (1, 2) for chosen in combinations(op_choices, size)]
    if len(few) > MOST_SETS or len(few) * space.max_nodes**2 > MOST_STEPS:
        few = few[: len(op_choices)]
    return [*few, *([tuple(op_choices)] if len(op_choices) > 2 else [])]


def set_features(
    space: SearchSpace,
    ops: NDArray[np.integer],
    links: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    cell: NDArray[np.integer],
    op_choices: tuple[int, ...],
    redundant: bool = False,
) -> NDArray[np.float32]:
    """The features of N graphs, float32 [N, F] (see `graf`).

    ops [N, V], links bool [N, V, V] without sums, mask [N, V], cell [N, V]; op_choices: op ids that count as
    operations.
    """
    roles = roles_of(space)
    enter, leave = ends(roles, ops, links, mask)
    inner = mask & np.isin(ops, op_choices) & ~enter & ~leave
    sets = operation_sets(space, op_choices)
    blocks = []
    for which in range(space.cells):
        here = inner & (cell == which)
        blocks.append(np.stack([(here & (ops == op)).sum(1) for op in op_choices], 1))
        chosen = np.stack([here & np.isin(ops, members) for members in sets], 1)  # [N, S, V]
        finish = leave & (cell == which)
        fed = (links & finish[:, None, :]).any(2)
        shortest, longest, reading = [], [], []
        for source in roles.inputs or (None,):
            start = enter & (cell == which) & (True if source is None else ops == source)
            few, many = _path_lengths(links, chosen, start, finish)
            missing = here.sum(1, keepdims=True)
            shortest.append(np.where(many < 0, missing, few))
            longest.append(np.maximum(many, 0))
            reading.append((chosen & (links & start[:, :, None]).any(1)[:, None, :]).sum(2))
        blocks += [*shortest, *longest, *reading, (chosen & fed[:, None, :]).sum(2)]
        if redundant:
            blocks += _mean_degrees(space, links, chosen, here | finish, mask & (cell == which))
    return np.concatenate(blocks, 1).astype(np.float32)


def _mean_degrees(
    space: SearchSpace,
    links: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    readers: NDArray[np.bool_],
    mask: NDArray[np.bool_],
) -> list[NDArray[np.float64]]:
    """Mean in-degree and out-degree by edges of each set, [N, S] both; `readers` and `mask` [N, V]: nodes that data
    reaches, and all nodes of the cell."""
    if space.support is not None and space.constant is not None and (space.support == space.constant).all():
        return [chosen.sum(2) / np.maximum(_meeting_points(links, readers), 1)[:, None]] * 2
    nodes = np.maximum(mask.sum(1), 1)[:, None]
    return [(chosen * degree[:, None, :]).sum(2) / nodes for degree in (links.sum(2), links.sum(1))]


def _path_lengths(
    links: NDArray[np.bool_], chosen: NDArray[np.bool_], start: NDArray[np.bool_], finish: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fewest and most chosen nodes on a path from start to finish over chosen nodes alone: int64 [N, S]; most is < 0
    where there is none.

    links [N, V, V], chosen [N, S, V], start and finish [N, V].
    """
    nodes = links.shape[1]
    far = 2 * nodes
    open_ = chosen | start[:, None, :] | finish[:, None, :]
    few = np.where(start[:, None, :], 0, np.full(chosen.shape, far))
    many = np.where(start[:, None, :], 0, np.full(chosen.shape, -far))
    for v in range(1, nodes):
        edge = links[:, None, :v, v]
        if not edge.any():
            continue
        step = chosen[:, :, v].astype(np.int64)
        arriving = np.where(edge, few[:, :, :v], far).min(2) + step
        few[:, :, v] = np.where(open_[:, :, v], np.minimum(few[:, :, v], arriving), far)
        arriving = np.where(edge, many[:, :, :v], -far).max(2) + step
        many[:, :, v] = np.where(open_[:, :, v], np.maximum(many[:, :, v], arriving), -far)
    ends_here = finish[:, None, :]
    return np.where(ends_here, few, far).min(2), np.where(ends_here, many, -far).max(2)


def _meeting_points(links: NDArray[np.bool_], readers: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many different sets of predecessors the `readers` [N, V] have: int64 [N]."""
    names = (1 << np.arange(min(links.shape[1], 62), dtype=np.int64))[:, None]
    read = np.where(readers, (links[:, : len(names)] * names).sum(1), 0)
    ordered = np.sort(read, 1)
    return ((ordered[:, 1:] != ordered[:, :-1]).sum(1) + 1 - (ordered[:, 0] == 0)).astype(np.int64)
