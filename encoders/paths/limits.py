"""What path encodings cannot hold. No torch here: planning asks too.

A code with a feature per sequence of operations outgrows any table in spaces of large graphs; a plan leaves such an
encoder out with a reason instead of training it on nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from archrank.datasets.canonical import canonicalize, ends, roles_of
from archrank.datasets.errors import ArchrankError
from archrank.datasets.space import SearchSpace

if TYPE_CHECKING:
    from archrank.datasets.benchmark import Benchmark

WIDEST = 20_000


def supports_bits(space: SearchSpace, *, benchmark: Benchmark, longest: int | None = None) -> str | None:
    """Why a code with one bit (or count) per sequence cannot encode a benchmark's architectures, in one line; None if
    it can.

    benchmark: its graphs are looked at, not its scores. longest: the encodings' option.
    """
    return _too_long(benchmark, longest, canonical=False) or _only_names(benchmark)


def supports_truncated(space: SearchSpace, *, benchmark: Benchmark, longest: int | None = None) -> str | None:
    """The same for the code of short paths."""
    return supports_truncated_categorical(space, benchmark=benchmark, longest=longest) or _only_names(benchmark)


def supports_categorical(space: SearchSpace, *, benchmark: Benchmark) -> str | None:
    """The same for the numbers of all paths."""
    return _too_long(benchmark, None, canonical=False)


def supports_truncated_categorical(
    space: SearchSpace, *, benchmark: Benchmark, longest: int | None = None
) -> str | None:
    """The same for the numbers of short paths."""
    try:
        return _too_long(benchmark, few(space) if longest is None else longest, canonical=False)
    except ArchrankError as error:
        return str(error)


def supports_canonical(space: SearchSpace, *, benchmark: Benchmark, longest: int | None = None) -> str | None:
    """The same for counts of canonical paths."""
    return _too_long(benchmark, longest, canonical=True) or _only_names(benchmark)


def supports_base(space: SearchSpace, *, benchmark: Benchmark) -> str | None:
    """The same where canonical paths are a part of a code that tells chains by other features too."""
    return _too_long(benchmark, None, canonical=True)


def _too_long(benchmark: Benchmark, longest: int | None, canonical: bool) -> str | None:
    space = benchmark.space
    try:
        limit = limit_of(space, len(path_choices(space, canonical)), longest)
    except ArchrankError as error:
        return str(error)
    if limit < allowed(space) and (least := shortest(benchmark, canonical)) is not None and least > limit:
        return f"every path from input to output has {least} operations or more, and {limit} is the most the code keeps (`longest`)"
    return None


def _only_names(benchmark: Benchmark) -> str | None:
    if chains(benchmark):
        return "every architecture is a chain: its one path is a feature that no other has, so nothing learned from some tells of others"
    return None


def chains(benchmark: Benchmark) -> bool:
    """Whether every architecture is a single path without identities, so that its sequence of operations is its
    name."""
    roles = roles_of(benchmark.space)
    return not (roles.skips or roles.nones) and bool(
        (benchmark.adj.sum(1) <= 1).all() and (benchmark.adj.sum(2) <= 1).all()
    )


def path_choices(space: SearchSpace, canonical: bool) -> tuple[int, ...]:
    """Op ids that a path is spelt with; in the canonical form `none`, and in one-cell spaces `skip`, are gone."""
    roles = roles_of(space)
    gone = set(roles.nones) | (set(roles.skips) if space.cells == 1 else set()) if canonical else set()
    return tuple(op for op in roles.op_choices if op not in gone)


def allowed(space: SearchSpace) -> int:
    """Operations on the longest path that the space has room for."""
    groups = max(0, len(space.generations) - 2)
    # Between two operations of a path stands a sum.
    return groups // 2 if roles_of(space).sums else groups


def limit_of(space: SearchSpace, choices: int, longest: int | None) -> int:
    """Operations on the longest path: all a space allows, as many as fit, or `longest` (ArchrankError if too wide)."""
    roles = roles_of(space)
    most = allowed(space)
    blocks = space.cells * max(1, len(roles.inputs))

    def width(limit: int) -> int:
        return blocks * sum(choices**length for length in range(limit + 1))

    if longest is not None and width(min(longest, most)) > WIDEST:
        raise ArchrankError(
            f"path encoding of space '{space.name}': paths of up to {min(longest, most)} of {choices} operations "
            f"need more than {WIDEST:,} features; choose a smaller `longest`"
        )
    limit = most if longest is None else min(longest, most)
    while limit > 0 and width(min(limit, 32)) > WIDEST:
        limit = min(limit, 32) - 1
    return limit


def few(space: SearchSpace) -> int:
    """Half of the longest path's operations, rounded up; no fewer than the shortest path has where it is known and
    fits."""
    most = limit_of(space, len(roles_of(space).op_choices), None)
    least = fixed_length(space)
    return max((most + 1) // 2, 0 if least is None else min(least, most))


def fixed_edges(space: SearchSpace) -> bool:
    """Whether all architectures of a one-cell space have the same edges."""
    alike = space.support is not None and space.constant is not None and bool((space.support == space.constant).all())
    return alike and space.cells == 1


def fixed_length(space: SearchSpace) -> int | None:
    """Operations on the shortest path from the first to the last node where all architectures have the same edges, else
    None."""
    if space.support is None or not fixed_edges(space):
        return None
    away = np.full(space.max_nodes, space.max_nodes)
    away[0] = 0
    for v in range(1, space.max_nodes):
        away[v] = min([away[v], *(away[:v][space.support[:v, v]] + 1)])
    return int(away[-1]) - 1


def shortest(benchmark: Benchmark, canonical: bool) -> int | None:
    """Operations on the shortest path from input to output in any architecture of a benchmark; None where no data gets
    through.

    canonical: once dead operations and identities are gone. Sums are not operations.
    """
    roles = roles_of(benchmark.space)
    ops, mask = benchmark.ops, benchmark.mask
    links = benchmark.adj & mask[:, :, None] & mask[:, None, :]
    if canonical:
        form = canonicalize(benchmark.space, ops, benchmark.adj, mask, benchmark.cell)
        mask, links = form.mask, form.links > 0
    enter, leave = ends(roles, ops, links, mask)
    step = (~np.isin(ops, roles.sums) & ~enter & ~leave).astype(np.int64)
    far = benchmark.space.max_nodes + 1
    away = np.where(enter, 0, far)
    for v in range(1, ops.shape[1]):
        before = np.where(links[:, :v, v], away[:, :v], far).min(1) + step[:, v]
        away[:, v] = np.minimum(away[:, v], before)
    least = int(np.where(leave, away, far).min())
    return None if least >= far else least
