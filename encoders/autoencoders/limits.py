"""What dvae cannot hold. No torch here: planning asks too."""

from __future__ import annotations

from archrank.datasets.space import SearchSpace

NODES = 64  # its decoder decides about every pair of nodes


def supports(space: SearchSpace) -> str | None:
    """Why dvae cannot encode a space's architectures, in one line; None if it can."""
    return f"architectures have up to {space.max_nodes} nodes, dvae holds {NODES}" if space.max_nodes > NODES else None
