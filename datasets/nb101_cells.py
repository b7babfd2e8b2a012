"""Cells of the NAS-Bench-101 search space: pruning, the official hash, enumeration and seeded samples.

A cell is a DAG of at most 7 vertices and 9 edges. Its first vertex is the input, its last the output, and the interior
vertices carry one of three operations. Two cells are the same architecture when their *module hash* is equal; the hash
is the one the official NAS-Bench-101 API uses (Ying et al., ICML 2019), so a cell found here can be looked up there.

No torch here.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import DataError

OPS: tuple[str, ...] = ("input", "conv1x1", "conv3x3", "maxpool3x3", "output")
INPUT, CONV1X1, CONV3X3, MAXPOOL3X3, OUTPUT = range(5)
INTERIOR: tuple[int, ...] = (CONV1X1, CONV3X3, MAXPOOL3X3)
MAX_VERTICES = 7
MAX_EDGES = 9
_BLOCK = 1024

# The label each operation has inside the official hash: -1 input, -2 output, and the position in the official op list.
_HASH_LABEL = {INPUT: -1, CONV3X3: 0, CONV1X1: 1, MAXPOOL3X3: 2, OUTPUT: -2}


@dataclass(frozen=True)
class NB101Cell:
    """One NAS-Bench-101 cell.

    ops:   operation id of each vertex (ids into `OPS`), the input first and the output last.
    edges: pairs (u, v) with u < v, so vertex order is a topological order.

    Raises DataError when the graph is not a cell: wrong ends, an unknown op, an edge that does not point forward, a
    repeated edge, or more than 7 vertices or 9 edges. A cell may still hold vertices that `prune` would drop.
    """

    ops: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        count = len(self.ops)
        if not 2 <= count <= MAX_VERTICES:
            raise DataError(f"a cell has 2 to {MAX_VERTICES} vertices, this one has {count}")
        if self.ops[0] != INPUT or self.ops[-1] != OUTPUT:
            raise DataError(f"a cell starts with the input and ends with the output, this one has ops {self.ops}")
        if any(op not in INTERIOR for op in self.ops[1:-1]):
            raise DataError(
                f"interior vertices hold one of {[OPS[op] for op in INTERIOR]}, this cell has ops {self.ops}"
            )
        if len(self.edges) > MAX_EDGES:
            raise DataError(f"a cell has at most {MAX_EDGES} edges, this one has {len(self.edges)}")
        if len(set(self.edges)) != len(self.edges):
            raise DataError(f"a cell has an edge twice: {self.edges}")
        if any(not 0 <= u < v < count for u, v in self.edges):
            raise DataError(f"every edge (u, v) needs 0 <= u < v < {count}, this cell has {self.edges}")

    @classmethod
    def from_matrix(cls, matrix: NDArray[np.generic] | Sequence[Sequence[int]], ops: Sequence[int]) -> NB101Cell:
        """The cell with adjacency `matrix` [V, V] (upper triangular, `matrix[u, v]` = edge u -> v) and op ids `ops`
        [V]."""
        array = np.asarray(matrix)
        if array.shape != (len(ops), len(ops)):
            raise DataError(f"{len(ops)} ops need a {len(ops)} x {len(ops)} matrix, got shape {array.shape}")
        return cls(tuple(int(op) for op in ops), tuple((int(u), int(v)) for u, v in np.argwhere(array)))

    @classmethod
    def from_flat(cls, ops: Sequence[int], flat_edges: Sequence[int]) -> NB101Cell:
        """The cell as the canonical table stores it: op ids, and edges flattened to [u0, v0, u1, v1, ...]."""
        if len(flat_edges) % 2:
            raise DataError(f"flattened edges come in pairs, got {len(flat_edges)} numbers")
        ends = [int(end) for end in flat_edges]
        return cls(tuple(int(op) for op in ops), tuple(zip(ends[::2], ends[1::2], strict=True)))

    @property
    def flat_edges(self) -> list[int]:
        """Edges as [u0, v0, u1, v1, ...]."""
        return [end for edge in self.edges for end in edge]

    @cached_property
    def matrix(self) -> NDArray[np.int8]:
        """Adjacency, int8 [V, V], upper triangular."""
        matrix = np.zeros((len(self.ops), len(self.ops)), dtype=np.int8)
        for u, v in self.edges:
            matrix[u, v] = 1
        return matrix

    @cached_property
    def hash(self) -> str:
        """The official module hash, 32 hexadecimal digits; equal for isomorphic cells. Prune first."""
        return module_hash(self.matrix.tolist(), self.ops)

    @property
    def depth(self) -> int:
        """Number of edges on the longest path from input to output."""
        longest = [0] + [-MAX_VERTICES] * (len(self.ops) - 1)
        for u, v in sorted(self.edges):
            longest[v] = max(longest[v], longest[u] + 1)
        return longest[-1]


def module_hash(matrix: Sequence[Sequence[int]], ops: Sequence[int]) -> str:
    """The official NAS-Bench-101 module hash of a pruned cell.

    matrix: [V, V] of 0 and 1. ops: [V] ids into `OPS`. Every vertex starts from the md5 of (out-degree, in-degree,
    label) and is re-hashed V times together with the sorted hashes of its neighbours.
    """
    count = len(ops)
    into = [[u for u in range(count) if matrix[u][v]] for v in range(count)]
    out_of = [[v for v in range(count) if matrix[u][v]] for u in range(count)]
    hashes = [_md5(str((len(out_of[v]), len(into[v]), _HASH_LABEL[ops[v]]))) for v in range(count)]
    for _ in range(count):
        hashes = [
            _md5(
                f"{''.join(sorted(hashes[u] for u in into[v]))}|{''.join(sorted(hashes[w] for w in out_of[v]))}|{hashes[v]}"
            )
            for v in range(count)
        ]
    return _md5(str(sorted(hashes)))


def prune(cell: NB101Cell) -> NB101Cell | None:
    """The cell without the vertices that lie on no path from input to output; None when there is no such path."""
    matrix = cell.matrix.astype(bool)
    count = len(cell.ops)
    forward, backward = {0}, {count - 1}
    for v in range(1, count):
        if any(matrix[u, v] for u in forward):
            forward.add(v)
    for u in range(count - 2, -1, -1):
        if any(matrix[u, v] for v in backward):
            backward.add(u)
    keep = sorted(forward & backward)
    if not keep or keep[0] != 0 or keep[-1] != count - 1:
        return None
    return (
        cell if len(keep) == count else NB101Cell.from_matrix(matrix[np.ix_(keep, keep)], [cell.ops[v] for v in keep])
    )


def is_full(matrix: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether every vertex lies on a path from the first to the last one: bool [...] for adjacencies [..., V, V]."""
    # In a DAG with one source and one sink, every vertex is on a source-sink path.
    has_input, has_output = matrix[..., 1:].any(-2), matrix[..., :-1, :].any(-1)
    return np.asarray(has_input.all(-1) & has_output.all(-1))


def enumerate_cells(vertices: int) -> Iterator[NB101Cell]:
    """Every valid cell with exactly `vertices` vertices, one per hash, in a fixed order.

    Seconds for 5 vertices (2,441 cells); 6 and 7 vertices would take minutes and hours, use `sample_cells` there.
    """
    slots = list(itertools.combinations(range(vertices), 2))
    seen: set[str] = set()
    for bits in itertools.product((0, 1), repeat=len(slots)):
        if not vertices - 1 <= sum(bits) <= MAX_EDGES:
            continue
        edges = tuple(slot for slot, bit in zip(slots, bits, strict=True) if bit)
        matrix = np.zeros((vertices, vertices), dtype=bool)
        matrix[tuple(np.array(edges).T)] = True
        if not is_full(matrix):
            continue
        for interior in itertools.product(INTERIOR, repeat=vertices - 2):
            cell = NB101Cell((INPUT, *interior, OUTPUT), edges)
            if cell.hash not in seen:
                seen.add(cell.hash)
                yield cell


def sample_cells(vertices: int, count: int, seed: int) -> list[NB101Cell]:
    """`count` different cells with exactly `vertices` vertices, drawn with `seed`.

    Adjacency bits and ops are uniform, draws that are invalid, would be pruned, or repeat a hash are thrown away. So a
    graph with many vertex orders is more likely than one with few, as in the sampling of the official API's examples.
    Raises DataError when so many do not seem to exist.
    """
    if not 2 <= vertices <= MAX_VERTICES:
        raise DataError(f"a cell has 2 to {MAX_VERTICES} vertices, not {vertices}")
    slots = np.array(list(itertools.combinations(range(vertices), 2)))
    generator = np.random.default_rng([seed, vertices])
    cells: dict[str, NB101Cell] = {}
    fruitless = 0
    while len(cells) < count:
        fruitless += 1
        if fruitless > 10:
            raise DataError(f"found only {len(cells)} of {count} different cells with {vertices} vertices")
        # In blocks: seven in eight draws are thrown away, and that should cost no Python.
        bits = generator.random((_BLOCK, len(slots))) < 0.5
        interior = generator.integers(CONV1X1, MAXPOOL3X3 + 1, size=(_BLOCK, vertices - 2))
        matrices = np.zeros((_BLOCK, vertices, vertices), dtype=bool)
        matrices[:, slots[:, 0], slots[:, 1]] = bits
        good = (bits.sum(1) <= MAX_EDGES) & is_full(matrices)
        for matrix, ops in zip(matrices[good], interior[good].tolist(), strict=True):
            cell = NB101Cell.from_matrix(matrix, [INPUT, *ops, OUTPUT])
            if len(cells) < count and cell.hash not in cells:
                cells[cell.hash] = cell
                fruitless = 0
    return list(cells.values())


def _md5(text: str) -> str:
    # The hash names architectures and protects nothing; saying so keeps it usable on FIPS machines.
    return hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()
