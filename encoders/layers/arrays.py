"""Graphs as NumPy arrays, a part of them at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from archrank.datasets.graphs import Graphs

# Pairs of nodes that are worked on at once.
AT_ONCE = 20_000_000


def arrays(graphs: Graphs) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """ops [b, V], adj [b, V, V], mask [b, V] and cell [b, V] of as many graphs [...] at a time as memory should hold,
    in order; of none once, with b = 0."""
    lead = graphs.ops.dim() - 1
    tensors = [t.cpu().flatten(0, lead - 1).numpy() for t in (graphs.ops, graphs.adj, graphs.mask, graphs.cell)]
    chunk = max(1, AT_ONCE // graphs.nodes**2)
    for start in range(0, max(len(tensors[0]), 1), chunk):
        ops, adj, mask, cell = (tensor[start : start + chunk] for tensor in tensors)
        yield ops, adj, mask, cell
