"""What autoencoders cannot hold. No torch here: planning asks too."""

from __future__ import annotations

from archrank.datasets.space import SearchSpace

NODES = 64  # dvae's decoder decides about every pair of nodes
WRITTEN = 40  # emprox writes 819 tokens for so many


def supports(space: SearchSpace) -> str | None:
    """Why dvae cannot encode a space's architectures, in one line; None if it can."""
    return f"architectures have up to {space.max_nodes} nodes, dvae holds {NODES}" if space.max_nodes > NODES else None


def supports_sequence(space: SearchSpace) -> str | None:
    """Why emprox cannot write a space's architectures, in one line; None if it can."""
    if space.max_nodes > WRITTEN:
        return f"architectures have up to {space.max_nodes} nodes, which it writes pair by pair up to {WRITTEN}"
    return None
