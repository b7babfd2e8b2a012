"""Which architectures of a table are one edit apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.datasets.canonical import ends, isomorphism_key, roles_of

Rows = NDArray[np.int64]
# With at most so many different wirings, a space is one of wirings and operations, such as NAS-Bench-201 (1) and
# NAS-Bench-Graph (9).
MOST_WIRINGS = 64
_AT_ONCE = 8_000_000


def neighbour_rows(benchmark: Benchmark) -> tuple[Rows, Rows]:
    """Every ordered pair (row, other row) of a table's architectures that are one edit apart: two int64 [E].

    Which edits there are follows from the table. Where all architectures are chains: one operation replaced, inserted
    or taken out. Where few wirings occur: one operation replaced, or, the operations kept, what one node reads (24
    neighbours on NAS-Bench-201, 18 on TransNAS-Bench-101 micro); in two-cell spaces operations alone. Elsewhere, as on
    NAS-Bench-101: one operation replaced or one edge added or removed, after which nodes on no path from input to
    output are dropped; an edit that leads to no architecture of the table is no neighbour. Every relation is symmetric.
    """
    if _are_chains(benchmark):
        pairs = _chains(benchmark)
    elif benchmark.space.cells > 1:
        pairs = _wirings(benchmark, moves=False)
    elif len(np.unique(np.packbits(benchmark.adj.reshape(len(benchmark), -1), axis=1), axis=0)) <= MOST_WIRINGS:
        pairs = _wirings(benchmark)
    else:
        pairs = _graphs(benchmark)
    source, other = (np.concatenate(part).astype(np.int64) for part in zip(*pairs, strict=True))
    both = np.unique(np.stack([np.concatenate([source, other]), np.concatenate([other, source])], 1), axis=0)
    both = both[both[:, 0] != both[:, 1]]
    return both[:, 0], both[:, 1]


def _are_chains(benchmark: Benchmark) -> bool:
    adj = benchmark.adj
    lengths = benchmark.mask.sum(1)
    return bool((adj.sum(1) <= 1).all() and (adj.sum(2) <= 1).all() and (adj.sum((1, 2)) == lengths - 1).all())


def _positions(known: NDArray[Any], asked: NDArray[Any]) -> Rows:
    """Where each asked name first occurs among the known ones; -1 where it does not."""
    index = pd.Index(known)
    first = np.flatnonzero(~index.duplicated())
    place = index[first].get_indexer(pd.Index(asked))
    return np.where(place >= 0, first[place], -1)


def _named(*parts: NDArray[np.generic]) -> NDArray[np.uint64]:
    """A 64-bit name per row of the arrays [N, ...] side by side."""
    flat = np.concatenate([part.reshape(len(part), -1).astype(np.uint64) for part in parts], 1)
    weights = np.random.default_rng(0).integers(0, 2**64, flat.shape[1], np.uint64)
    # Squared and shifted, so that names of different rows do not cancel as sums would.
    mixed = (flat + np.uint64(1)) * weights
    mixed ^= mixed >> np.uint64(29)
    return np.asarray((mixed * (weights | np.uint64(1))).sum(1), np.uint64)


def _choices(benchmark: Benchmark) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Node positions with the operations that occur there, of those where an architecture chooses."""
    fixed = {*roles_of(benchmark.space).inputs, *roles_of(benchmark.space).outputs}
    for v in range(benchmark.ops.shape[1]):
        ops = np.setdiff1d(benchmark.ops[benchmark.mask[:, v], v], list(fixed)).astype(np.int16)
        if len(ops) > 1:
            yield v, ops


def _replaced(benchmark: Benchmark) -> Iterator[tuple[Rows, NDArray[np.int16]]]:
    """Rows with one operation replaced, position by position and operation by operation: (rows, their new ops [n,
    V])."""
    for v, choices in _choices(benchmark):
        for op in choices:
            rows = np.flatnonzero(
                benchmark.mask[:, v] & (benchmark.ops[:, v] != op) & np.isin(benchmark.ops[:, v], choices)
            )
            ops = benchmark.ops[rows].copy()
            ops[:, v] = op
            yield rows, ops


def _wirings(benchmark: Benchmark, moves: bool = True) -> Iterator[tuple[Rows, Rows]]:
    adj, ops, cell = benchmark.adj, benchmark.ops, benchmark.cell
    names = _named(ops, adj, cell)
    for rows, changed in _replaced(benchmark):
        positions = _positions(names, _named(changed, adj[rows], cell[rows]))
        yield rows[positions >= 0], positions[positions >= 0]
    if not moves:
        return
    patterns, wiring = np.unique(adj.reshape(len(adj), -1), axis=0, return_inverse=True)
    outputs = np.isin(np.arange(ops.shape[1]), np.flatnonzero(np.isin(ops[0], roles_of(benchmark.space).outputs)))
    square = patterns.reshape(len(patterns), *adj.shape[1:])
    for a in range(len(patterns)):
        for b in range(a):
            # What leads to the output follows from the rest of the wiring.
            if (square[a] != square[b]).any(0)[~outputs].sum() == 1:
                rows = np.flatnonzero(wiring.reshape(-1) == a)
                positions = _positions(names, _named(ops[rows], np.repeat(square[b : b + 1], len(rows), 0), cell[rows]))
                yield rows[positions >= 0], positions[positions >= 0]


def _chains(benchmark: Benchmark) -> Iterator[tuple[Rows, Rows]]:
    roles = roles_of(benchmark.space)
    ends_ = {*roles.inputs, *roles.outputs}
    chains = [
        tuple(int(op) for op, real in zip(ops, mask) if real and op not in ends_)
        for ops, mask in zip(benchmark.ops, benchmark.mask)
    ]
    row_of = {chain: row for row, chain in reversed([*enumerate(chains)])}
    op_choices = sorted({op for chain in chains for op in chain})
    source, other = [], []
    for row, chain in enumerate(chains):
        near = {chain[:i] + chain[i + 1 :] for i in range(len(chain))}
        near |= {(*chain[:i], op, *chain[i + 1 :]) for i in range(len(chain)) for op in op_choices}
        near_rows = [row_of[item] for item in near if item in row_of and item != chain]
        source += [row] * len(near_rows)
        other += near_rows
    yield np.array(source, np.int64), np.array(other, np.int64)


def _graphs(benchmark: Benchmark) -> Iterator[tuple[Rows, Rows]]:
    ops, adj, mask, cell = benchmark.ops, benchmark.adj, benchmark.mask, benchmark.cell
    keys = isomorphism_key(ops, adj.astype(np.int64), mask, cell)
    chunk = max(1, _AT_ONCE // ops.shape[1] ** 2)

    def in_table(rows: Rows, ops: NDArray[np.int16], adj: NDArray[np.bool_]) -> Iterator[tuple[Rows, Rows]]:
        for start in range(0, len(rows), chunk):
            part = slice(start, start + chunk)
            here = rows[part]
            edges, alive = _pruned(benchmark, ops[part], adj[part], mask[here])
            place = _positions(keys, isomorphism_key(ops[part], edges.astype(np.int64), alive, cell[here]))
            yield here[place >= 0], place[place >= 0]

    for rows, changed in _replaced(benchmark):
        yield from in_table(rows, changed, adj[rows])
    for u, v in zip(*benchmark.space.variable_edges):
        rows = np.flatnonzero(mask[:, u] & mask[:, v])
        flipped = adj[rows].copy()
        flipped[:, u, v] ^= True
        yield from in_table(rows, ops[rows], flipped)


def _pruned(
    benchmark: Benchmark, ops: NDArray[np.int16], adj: NDArray[np.bool_], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Edges and mask without nodes that are on no path from an input to an output."""
    edges = adj & mask[:, :, None] & mask[:, None, :]
    enter, leave = ends(roles_of(benchmark.space), ops, edges, mask)
    forward, backward = enter.copy(), leave.copy()
    nodes = ops.shape[1]
    for v in range(1, nodes):
        forward[:, v] |= (edges[:, :v, v] & forward[:, :v]).any(1)
    for u in reversed(range(nodes - 1)):
        backward[:, u] |= (edges[:, u, u + 1 :] & backward[:, u + 1 :]).any(1)
    alive = forward & backward
    return edges & alive[:, :, None] & alive[:, None, :], alive
