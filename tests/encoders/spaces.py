"""Small search spaces and random architectures for the tests of encoders."""

from __future__ import annotations

import numpy as np
import torch

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace

NB201_OPS = ("input", "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "output")
NB201_EDGES = ((0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7))
DARTS_OPS = (
    "c_{k-2}",
    "c_{k-1}",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "sum",
    "output",
)


def nasbench201() -> SearchSpace:
    edges = np.zeros((8, 8), bool)
    for u, v in NB201_EDGES:
        edges[u, v] = True
    roles = {"input": 0, "none": 1, "skip": 2, "output": 6}
    return SearchSpace("nasbench201", NB201_OPS, 8, roles, 1, edges, edges)


def nasbench201_graphs(inner: list[list[int]]) -> Graphs:
    """inner: six op ids (1..5) per cell, in string order."""
    ops = torch.tensor([[0, *cell, 6] for cell in inner])
    adj = torch.zeros(len(inner), 8, 8, dtype=torch.bool)
    for u, v in NB201_EDGES:
        adj[:, u, v] = True
    return Graphs(ops, adj, torch.ones_like(ops, dtype=torch.bool), torch.zeros_like(ops))


def nasbench101() -> SearchSpace:
    ops = ("input", "conv1x1", "conv3x3", "maxpool3x3", "output")
    edges = np.triu(np.ones((7, 7), bool), 1)
    return SearchSpace("nasbench101", ops, 7, {"input": 0, "output": 4}, 1, edges, np.zeros_like(edges))


def random_graphs(space: SearchSpace, count: int, seed: int, density: float = 0.5) -> Graphs:
    """DAGs from an input to an output with 3 up to the space's number of nodes; some nodes may dangle."""
    rng = np.random.default_rng(seed)
    width = space.max_nodes
    out = Graphs(
        torch.zeros(count, width, dtype=torch.long),
        torch.zeros(count, width, width, dtype=torch.bool),
        torch.zeros(count, width, dtype=torch.bool),
        torch.zeros(count, width, dtype=torch.long),
    )
    for i in range(count):
        nodes = int(rng.integers(3, width + 1))
        out.ops[i, 1 : nodes - 1] = torch.from_numpy(rng.integers(1, len(space.ops) - 1, nodes - 2))
        out.ops[i, nodes - 1] = len(space.ops) - 1
        out.mask[i, :nodes] = True
        out.adj[i, :nodes, :nodes] = torch.from_numpy(np.triu(rng.random((nodes, nodes)) < density, 1))
        out.adj[i, :nodes, 0] = False
    return out


def darts(count: int, seed: int) -> tuple[SearchSpace, Graphs, list[list[list[tuple[int, int]]]]]:
    """Random DARTS architectures, and their cells as eight (input node, op id) pairs each."""
    rng = np.random.default_rng(seed)
    ops, cell = torch.zeros(count, 30, dtype=torch.long), torch.tensor([[0] * 15 + [1] * 15] * count)
    adj = torch.zeros(count, 30, 30, dtype=torch.bool)
    genotypes = []
    for i in range(count):
        cells = []
        for base in (0, 15):
            ops[i, base], ops[i, base + 1], ops[i, base + 14] = 0, 1, 10
            place, pairs = [0, 1], []
            for node in range(4):
                total = 4 + 3 * node
                for turn, source in enumerate(sorted(rng.choice(node + 2, 2, replace=False).tolist())):
                    op, at = int(rng.integers(2, 9)), 2 + 3 * node + turn
                    pairs.append((source, op))
                    ops[i, base + at] = op
                    adj[i, base + place[source], base + at] = adj[i, base + at, base + total] = True
                ops[i, base + total] = 9
                adj[i, base + total, base + 14] = True
                place.append(total)
            cells.append(pairs)
        genotypes.append(cells)
    support = adj.any(0).numpy()
    for base in (0, 15):
        for node in range(4):
            for source in (0, 1, *range(4, 4 + 3 * node, 3)):
                support[base + source, base + 2 + 3 * node : base + 4 + 3 * node] = True
    roles = {"skip": 4, "output": 10}
    space = SearchSpace("darts", DARTS_OPS, 30, roles, 2, support, adj.all(0).numpy())
    return space, Graphs(ops, adj, torch.ones_like(ops, dtype=torch.bool), cell), genotypes


def shuffled(graphs: Graphs, seed: int) -> Graphs:
    """The same architectures with their nodes in another topological order (padding stays behind)."""
    rng = np.random.default_rng(seed)
    orders = []
    for adj, mask in zip(graphs.adj.numpy(), graphs.mask.numpy()):
        nodes = int(mask.sum())
        left, order = set(range(nodes)), []
        while left:
            ready = sorted(v for v in left if not any(adj[u, v] for u in left))
            order.append(ready[int(rng.integers(len(ready)))])
            left.remove(order[-1])
        orders.append(order + list(range(nodes, len(mask))))
    return graphs.relabel(torch.tensor(orders))
