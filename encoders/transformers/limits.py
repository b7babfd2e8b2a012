"""What graph transformers cannot hold. No torch here: planning asks too."""

from __future__ import annotations

from archrank.datasets.space import SearchSpace

MOST_NODES = 128  # pace's canonical order looks at every pair


def supports_canonical_order(space: SearchSpace, faithful: bool = False) -> str | None:
    """Why pace cannot hold a space's architectures, in one line; None if it can. faithful: in its published form."""
    if space.max_nodes > MOST_NODES:
        return f"its canonical order is for up to {MOST_NODES} nodes; this space has up to {space.max_nodes}"
    if faithful and space.cells > 1:
        return "its published form reads one cell"
    return None
