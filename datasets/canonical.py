"""Canonical form of architectures: dead operations removed, identities contracted, and a key of isomorphic graphs.

Everything works on arrays of N architectures padded to V nodes in topological order, as a `Benchmark` holds them. No
torch here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.space import SearchSpace

# Two-cell spaces name their two inputs and the sums between operations only by their operations' names.
_INPUT_NAME = re.compile(r"(input|c_?\{?k).*", re.IGNORECASE)
_SUM_NAME = re.compile(r"(sum|add)(_?node)?", re.IGNORECASE)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
ROUNDS = 6
SEEDS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
_MOST_LINKS = 1_000_000


@dataclass(frozen=True)
class SpaceRoles:
    """Op ids of a search space by what they do to the data.

    inputs: where data enters. outputs: where it leaves. nones: no connection. skips: identities. sums: nodes that
    only add up what reaches them. op_choices: everything else and also nones and skips, that is every op an
    architecture chooses.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    nones: tuple[int, ...]
    skips: tuple[int, ...]
    sums: tuple[int, ...]
    op_choices: tuple[int, ...]


def roles_of(space: SearchSpace) -> SpaceRoles:
    """The op ids of `space` by role.

    A role counts by how its name begins, so `input`, `input_1` and `input_2` are all inputs and `sum` is a sum. In a
    two-cell space, where one role cannot name both inputs, operations called input..., c_{k-2}, c_{k-1}, sum or add
    count too.
    """
    kinds: dict[str, set[int]] = {kind: set() for kind in ("input", "output", "none", "skip", "sum")}
    for role, op in space.roles.items():
        for kind, members in kinds.items():
            if role.startswith(kind):
                members.add(op)
    if space.cells > 1:
        kinds["input"] |= {op for op, name in enumerate(space.ops) if _INPUT_NAME.fullmatch(name)}
        kinds["sum"] |= {op for op, name in enumerate(space.ops) if _SUM_NAME.fullmatch(name)}
    apart = kinds["input"] | kinds["output"] | kinds["sum"]
    inputs, outputs, nones, skips, sums = (
        tuple(sorted(kinds[kind])) for kind in ("input", "output", "none", "skip", "sum")
    )
    return SpaceRoles(inputs, outputs, nones, skips, sums, tuple(op for op in range(len(space.ops)) if op not in apart))


@dataclass(frozen=True, eq=False)
class Canonical:
    """N architectures without what changes nothing; nodes keep their positions.

    ops: int [N, V]. links: int32 [N, V, V], how many parallel edges lead from u to v (an identity beside an edge
    gives 2).
    mask: bool [N, V], nodes that are left; inputs and outputs always are. cell: int [N, V].
    """

    ops: NDArray[np.integer]
    links: NDArray[np.int32]
    mask: NDArray[np.bool_]
    cell: NDArray[np.integer]

    @property
    def key(self) -> NDArray[np.object_]:
        """Isomorphism key [N] of the canonical graphs (see `isomorphism_key`)."""
        return isomorphism_key(self.ops, self.links, self.mask, self.cell)


def canonicalize(
    space: SearchSpace,
    ops: NDArray[np.integer],
    adj: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    cell: NDArray[np.integer] | None = None,
    *,
    keep_strided: bool = True,
) -> Canonical:
    """Remove `none` and whatever is on no path from an input to an output, then contract `skip`.

    ops [N, V], adj [N, V, V], mask [N, V], cell [N, V] as in `Benchmark`. Without an input (output) role, nodes
    without predecessors (successors) take its place. In two-cell spaces a skip that reads an input in any cell but
    the first stays: it halves the resolution there, so it is no identity (keep_strided=False contracts it too). An
    architecture whose output no data reaches keeps its inputs and outputs alone.
    """
    roles = roles_of(space)
    cell = np.zeros_like(ops) if cell is None else cell
    edges = adj & mask[:, :, None] & mask[:, None, :]
    enter, leave = ends(roles, ops, edges, mask)
    carries = mask & ~np.isin(ops, roles.nones)
    edges &= carries[:, :, None] & carries[:, None, :]
    alive = _reached(edges, enter) & _reached(edges[:, ::-1, ::-1].transpose(0, 2, 1), leave[:, ::-1])[:, ::-1]
    edges &= alive[:, :, None] & alive[:, None, :]
    identity = alive & np.isin(ops, roles.skips) & ~enter & ~leave
    if space.cells > 1 and keep_strided:
        identity &= ~((cell > 0) & (edges & enter[:, :, None]).any(1))
    links = contract(edges.astype(np.int32), identity)
    return Canonical(ops, links, (alive & ~identity) | enter | leave, cell)


def ends(
    roles: SpaceRoles,
    ops: NDArray[np.integer],
    edges: NDArray[np.bool_],
    mask: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where data enters and where it leaves: two bool [N, V], by role, or by degree where the space has no role."""
    enter = np.isin(ops, roles.inputs) if roles.inputs else edges.any(2) & ~edges.any(1)
    leave = np.isin(ops, roles.outputs) if roles.outputs else edges.any(1) & ~edges.any(2)
    return enter & mask, leave & mask


def contract(links: NDArray[np.int32], where: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Take nodes out of N multigraphs (links [N, V, V], where [N, V]), linking their predecessors to their successors.

    A pair linked along several ways is linked as often (at most 1,000,000 times). Returns new links; rows and columns
    of the removed nodes are 0.
    """
    links = links.copy()
    for v in np.flatnonzero(where.any(0)):
        rows = np.flatnonzero(where[:, v])
        into, out = links[rows, :, v].astype(np.int64), links[rows, v, :].astype(np.int64)
        links[rows] = np.minimum(links[rows] + into[:, :, None] * out[:, None, :], _MOST_LINKS)
        links[rows, :, v] = 0
        links[rows, v, :] = 0
    return links


def isomorphism_key(
    ops: NDArray[np.integer],
    links: NDArray[np.integer],
    mask: NDArray[np.bool_],
    cell: NDArray[np.integer] | None = None,
) -> NDArray[np.object_]:
    """A name [N] (32 hexadecimal digits) that isomorphic architectures share, whatever the batch or the padding.

    Colour refinement (Weisfeiler and Leman, 1968) along and against the edges, started from op and cell, on
    multigraphs links [N, V, V]. Equal graphs always have equal keys; different ones have different keys unless six
    rounds of colour refinement cannot tell them apart, as is the case of the official hash of NAS-Bench-101.
    """
    cell = np.zeros_like(ops) if cell is None else cell
    start = (ops.astype(np.uint64) + np.uint64(1)) * np.uint64(1_000_003) + cell.astype(np.uint64)
    halves = [_refine(start, links.astype(np.uint64), mask, seed) for seed in SEEDS]
    return np.array([f"{a:016x}{b:016x}" for a, b in zip(*(half.tolist() for half in halves))], object)


def _refine(
    start: NDArray[np.uint64], links: NDArray[np.uint64], mask: NDArray[np.bool_], seed: np.uint64
) -> NDArray[np.uint64]:
    """One 64-bit name per graph. Sums of mixed colours stand for multisets; arithmetic wraps around."""
    real = mask.astype(np.uint64)
    return mix((mix(_colours(start, links, mask, seed)) * real).sum(1))


def _colours(
    start: NDArray[np.uint64], links: NDArray[np.uint64], mask: NDArray[np.bool_], seed: np.uint64
) -> NDArray[np.uint64]:
    """Each node's colour [N, V] after the rounds of refinement; 0 on padding."""
    real = mask.astype(np.uint64)
    links = links * real[:, :, None] * real[:, None, :]
    colour = mix(start + seed) * real
    nodes = mask.shape[1]
    for _ in range(ROUNDS):
        for v in range(nodes):
            colour[:, v] = (
                mix(colour[:, v] + mix((mix(colour[:, :v] ^ seed) * links[:, :v, v]).sum(1) + np.uint64(1)))
                * real[:, v]
            )
        for u in reversed(range(nodes)):
            after = (mix(colour[:, u + 1 :] + seed) * links[:, u, u + 1 :]).sum(1)
            colour[:, u] = mix(colour[:, u] ^ mix(after + np.uint64(2))) * real[:, u]
    return colour


def relabelled_alike(
    ops: NDArray[np.integer], links: NDArray[np.integer], mask: NDArray[np.bool_], cell: NDArray[np.integer]
) -> NDArray[np.int64]:
    """A number [N] that architectures share only if they are one graph with its nodes in different orders.

    Nodes are sorted by their colour, and sorted graphs compared. So it never joins different graphs; where nodes have
    equal colours, it may leave equal ones apart.
    """
    start = (ops.astype(np.uint64) + np.uint64(1)) * np.uint64(1_000_003) + cell.astype(np.uint64)
    colours = _colours(start, links.astype(np.uint64), mask, SEEDS[0])
    order = np.argsort(np.where(mask, colours, ~np.uint64(0)), axis=1, kind="stable")
    parts = [np.where(mask, part, 0).astype(np.int32) for part in (ops, cell, mask)]
    parts = [np.take_along_axis(part, order, 1) for part in parts]
    rows = np.arange(len(ops))[:, None, None]
    linked = (links * mask[:, :, None] * mask[:, None, :]).astype(np.int32)[rows, order[:, :, None], order[:, None, :]]
    whole = np.ascontiguousarray(np.concatenate([*parts, linked.reshape(len(ops), -1)], 1))
    as_bytes = whole.view(np.dtype((np.void, whole.shape[1] * whole.itemsize)))[:, 0]
    return np.unique(as_bytes, return_inverse=True)[1].astype(np.int64)


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al., OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return x ^ (x >> np.uint64(31))


def _reached(edges: NDArray[np.bool_], start: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nodes on a path from `start` ([N, V]), themselves included; edges go from earlier to later nodes."""
    reached = start.copy()
    for v in range(1, start.shape[1]):
        reached[:, v] |= (edges[:, :v, v] & reached[:, :v]).any(1)
    return reached
