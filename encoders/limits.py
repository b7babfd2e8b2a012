"""What encodings of a fixed length cannot hold, told from the search space alone. No torch here: planning asks too.

A code with a feature per sequence of operations, or per pair of nodes, outgrows any table in spaces of large graphs; a plan
leaves such an encoder out with a reason instead of training it on nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archrank.datasets.canonical import canonicalize, ends, vocabulary
from archrank.datasets.errors import ArchrankError
from archrank.datasets.space import SearchSpace

if TYPE_CHECKING:
    from archrank.datasets.benchmark import Benchmark

WIDEST = 20_000
# Attention over pairs of architectures, and a decoder that predicts edge by edge, are quadratic in these.
MOST_NODES = {"cate": 128, "dvae": 64}
PATHS = ("path", "path_truncated", "path_categorical", "path_truncated_categorical", "path_continuous", "canonical_path")
ONE_BIT_A_PATH = ("path", "path_truncated", "path_continuous", "canonical_path")
PAIRS = ("adjacency", "adjacency_categorical", "adjacency_continuous")


def unfit(encoder: str, config: dict[str, Any], benchmark: Benchmark) -> str | None:
    """Why a built-in encoder cannot encode a benchmark's architectures, in one line; None where nothing is known against it."""
    space = benchmark.space
    if encoder in MOST_NODES and space.max_nodes > MOST_NODES[encoder]:
        return f"architectures have up to {space.max_nodes} nodes, {encoder} holds {MOST_NODES[encoder]}"
    if encoder in PAIRS and (width := pair_features(space)) > WIDEST:
        return f"graphs of up to {space.max_nodes} nodes need {width:,} features, more than {WIDEST:,}"
    if encoder not in PATHS:
        return None
    letters, longest = path_letters(space, encoder == "canonical_path"), config.get("longest")
    try:
        if longest is None and encoder.startswith("path_truncated"):
            longest = few(space)
        limit = limit_of(space, len(letters), longest)
    except ArchrankError as error:
        return str(error)
    if limit < allowed(space) and (least := shortest(benchmark, encoder == "canonical_path")) is not None and least > limit:
        return f"every path from input to output has {least} operations or more, and {limit} is the most the code keeps (`longest`)"
    if encoder in ONE_BIT_A_PATH and chains(benchmark):
        return "every architecture is a chain: its one path is a feature that no other has, so nothing learned from some tells of others"
    return None


def chains(benchmark: Benchmark) -> bool:
    """Whether every architecture is a single path without identities, so that its sequence of operations is its name."""
    words = vocabulary(benchmark.space)
    return not (words.skips or words.nones) and bool((benchmark.adj.sum(1) <= 1).all() and (benchmark.adj.sum(2) <= 1).all())


def pair_features(space: SearchSpace) -> int:
    """Features of the adjacency encodings of a one-cell space: its pairs of nodes and, one-hot, its operations; 0 for two-cell spaces."""
    if space.cells > 1:
        return 0
    alike = space.support is not None and space.constant is not None and bool((space.support == space.constant).all())
    one_output = "output" in space.roles
    pairs = space.max_nodes * (space.max_nodes - 1) // 2 if one_output and not alike else len(space.variable_edges[0])
    places = space.max_nodes - 2 if one_output and "input" in space.roles else space.max_nodes
    return pairs + places * len(vocabulary(space).letters)


def path_letters(space: SearchSpace, canonical: bool) -> tuple[int, ...]:
    """Op ids that a path is spelt with; in the canonical form `none`, and in one-cell spaces `skip`, are gone."""
    words = vocabulary(space)
    gone = set(words.nones) | (set(words.skips) if space.cells == 1 else set()) if canonical else set()
    return tuple(op for op in words.letters if op not in gone)


def allowed(space: SearchSpace) -> int:
    """Operations on the longest path that the space has room for."""
    groups = max(0, len(space.generations) - 2)
    # Between two operations of a path stands a sum.
    return groups // 2 if vocabulary(space).sums else groups


def limit_of(space: SearchSpace, letters: int, longest: int | None) -> int:
    """Operations on the longest path: all a space allows, as many as fit, or `longest` (ArchrankError if too wide)."""
    words = vocabulary(space)
    most = allowed(space)
    blocks = space.cells * max(1, len(words.inputs))

    def width(limit: int) -> int:
        return blocks * sum(letters**length for length in range(limit + 1))

    if longest is not None and width(min(longest, most)) > WIDEST:
        raise ArchrankError(
            f"path encoding of space '{space.name}': paths of up to {min(longest, most)} of {letters} operations "
            f"need more than {WIDEST:,} features; choose a smaller `longest`"
        )
    limit = most if longest is None else min(longest, most)
    while limit > 0 and width(min(limit, 32)) > WIDEST:
        limit = min(limit, 32) - 1
    return limit


def few(space: SearchSpace) -> int:
    """Half of the longest path's operations, rounded up; no fewer than the shortest path has where it is known and fits."""
    most = limit_of(space, len(vocabulary(space).letters), None)
    least = fixed_length(space)
    return max((most + 1) // 2, 0 if least is None else min(least, most))


def fixed_edges(space: SearchSpace) -> bool:
    """Whether all architectures of a one-cell space have the same edges."""
    alike = space.support is not None and space.constant is not None and bool((space.support == space.constant).all())
    return alike and space.cells == 1


def fixed_length(space: SearchSpace) -> int | None:
    """Operations on the shortest path from the first to the last node where all architectures have the same edges, else None."""
    if space.support is None or not fixed_edges(space):
        return None
    away = np.full(space.max_nodes, space.max_nodes)
    away[0] = 0
    for v in range(1, space.max_nodes):
        away[v] = min([away[v], *(away[:v][space.support[:v, v]] + 1)])
    return int(away[-1]) - 1


def shortest(benchmark: Benchmark, canonical: bool) -> int | None:
    """Operations on the shortest path from input to output in any architecture of a benchmark; None where no data gets through.

    canonical: once dead operations and identities are gone. Sums are not operations.
    """
    words = vocabulary(benchmark.space)
    ops, mask = benchmark.ops, benchmark.mask
    links = benchmark.adj & mask[:, :, None] & mask[:, None, :]
    if canonical:
        form = canonicalize(benchmark.space, ops, benchmark.adj, mask, benchmark.cell)
        mask, links = form.mask, form.links > 0
    enter, leave = ends(words, ops, links, mask)
    step = (~np.isin(ops, words.sums) & ~enter & ~leave).astype(np.int64)
    far = benchmark.space.max_nodes + 1
    away = np.where(enter, 0, far)
    for v in range(1, ops.shape[1]):
        before = np.where(links[:, :v, v], away[:, :v], far).min(1) + step[:, v]
        away[:, v] = np.minimum(away[:, v], before)
    least = int(np.where(leave, away, far).min())
    return None if least >= far else least
