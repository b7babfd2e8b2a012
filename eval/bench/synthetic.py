"""Made-up architectures in any number and size: what they cost does not depend on where they come from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace

AT_A_TIME = 20_000
NB101_OPS = ("input", "conv1x1", "conv3x3", "maxpool3x3", "output")
# As many kinds of operation as whole networks have in DeepNets-1M.
NETWORK_OPS = ("input", *(f"op{k}" for k in range(13)), "output")


def random_dags(count: int, nodes: int, seed: int = 0) -> tuple[SearchSpace, Graphs]:
    """`count` random graphs of exactly `nodes` nodes with about 1.5 edges a node, and the space they make."""
    return _space("random_dags", NETWORK_OPS, *_draw(count, nodes, len(NETWORK_OPS), 1 / nodes, seed))


def random_cells(count: int, seed: int = 0) -> tuple[SearchSpace, Graphs]:
    """`count` random cells of the size of NAS-Bench-101 (7 nodes, about 9 edges, 5 operations; repetitions are
    possible), and the space."""
    return _space("nasbench101", NB101_OPS, *_draw(count, 7, len(NB101_OPS), 0.15, seed))


def _draw(count: int, nodes: int, ops: int, density: float, seed: int) -> tuple[Tensor, Tensor]:
    """Operations int64 [count, nodes] and edges bool [count, nodes, nodes]; every node on a path from the first to the
    last."""
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(1, ops - 1, (count, nodes)))
    labels[:, 0], labels[:, -1] = 0, ops - 1
    edges = torch.empty(count, nodes, nodes, dtype=torch.bool)
    for start in range(0, count, max(1, AT_A_TIME * 7 * 7 // nodes**2)):
        part = edges[start : start + max(1, AT_A_TIME * 7 * 7 // nodes**2)]
        part.copy_(torch.from_numpy(_edges(rng, len(part), nodes, density)))
    return labels, edges


def _edges(rng: np.random.Generator, count: int, nodes: int, density: float) -> NDArray[np.bool_]:
    adj = np.triu(rng.random((count, nodes, nodes), np.float32) < density, 1)
    rows = np.arange(count)
    for v in range(1, nodes):
        adj[rows, rng.integers(0, v, count), v] = True
    dead_end = np.logical_not(adj.any(axis=2))
    adj[:, :-1, -1] |= dead_end[:, :-1]
    return adj


def _space(name: str, ops: tuple[str, ...], labels: Tensor, edges: Tensor) -> tuple[SearchSpace, Graphs]:
    graphs = Graphs(labels, edges, torch.ones_like(labels, dtype=torch.bool), torch.zeros_like(labels))
    space = SearchSpace(
        name, ops, labels.shape[1], {"input": 0, "output": len(ops) - 1}, 1, edges.any(0).numpy(), edges.all(0).numpy()
    )
    return space, graphs
