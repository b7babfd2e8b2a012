"""What adjacency encodings cannot hold. No torch here: planning asks too."""

from __future__ import annotations

from archrank.datasets.canonical import roles_of
from archrank.datasets.space import SearchSpace

WIDEST = 20_000


def supports(space: SearchSpace) -> str | None:
    """Why a code with a feature per pair of nodes cannot encode a space's architectures, in one line; None if it
    can."""
    if (width := pair_features(space)) > WIDEST:
        return f"graphs of up to {space.max_nodes} nodes need {width:,} features, more than {WIDEST:,}"
    return None


def pair_features(space: SearchSpace) -> int:
    """Features of the adjacency encodings of a one-cell space: its pairs of nodes and, one-hot, its operations; 0 for
    two-cell spaces."""
    if space.cells > 1:
        return 0
    alike = space.support is not None and space.constant is not None and bool((space.support == space.constant).all())
    one_output = "output" in space.roles
    pairs = space.max_nodes * (space.max_nodes - 1) // 2 if one_output and not alike else len(space.variable_edges[0])
    places = space.max_nodes - 2 if one_output and "input" in space.roles else space.max_nodes
    return pairs + places * len(roles_of(space).op_choices)
