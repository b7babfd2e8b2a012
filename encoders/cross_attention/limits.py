"""What cate cannot hold. No torch here: planning asks too."""

from __future__ import annotations

from archrank.datasets.space import SearchSpace

NODES = 128  # its attention is over pairs of architectures, quadratic in the nodes of both


def supports(space: SearchSpace) -> str | None:
    """Why cate cannot encode a space's architectures, in one line; None if it can."""
    return f"architectures have up to {space.max_nodes} nodes, cate holds {NODES}" if space.max_nodes > NODES else None
