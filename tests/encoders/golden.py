"""Deterministic weights and the test cells of the golden values (computed once from the official modules, in
float64)."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace

C5_EDGES = ((0, 1), (0, 2), (0, 4), (1, 2), (2, 3), (1, 4), (3, 4))
C3_EDGES = ((0, 1), (1, 2))
OPS = ("input", "conv1x1", "conv3x3", "maxpool3x3", "output")


def space(nodes: int, cells: int = 1, ops: tuple[str, ...] = OPS) -> SearchSpace:
    return SearchSpace("nasbench101", ops, nodes, {"input": 0, "output": len(ops) - 1}, cells)


def weight(rows: int, columns: int, code: int) -> Tensor:
    r, c = torch.arange(rows, dtype=torch.float64)[:, None], torch.arange(columns, dtype=torch.float64)[None]
    return 0.25 * torch.sin(0.7 * r + 1.3 * c + code)


def bias(rows: int, code: int) -> Tensor:
    return 0.1 * torch.cos(0.9 * torch.arange(rows, dtype=torch.float64) + code)


def fill(tensor: Tensor, code: int) -> None:
    """Fill a matrix (out x in) or a bias by the rule of its rank."""
    with torch.no_grad():
        width = tensor.shape[-1]
        tensor.copy_(weight(len(tensor), width, code) if tensor.dim() == 2 else bias(len(tensor), code))


def fill_linear(layer: torch.nn.Linear, code: int) -> None:
    fill(layer.weight, code)
    if layer.bias is not None:
        fill(layer.bias, code)


def fill_norm(layer: torch.nn.Module, code: int) -> None:
    n = torch.arange(len(layer.weight), dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(1 + 0.1 * torch.sin(n + code))
        layer.bias.copy_(0.05 * torch.cos(n + code))


def graphs(
    *cells: tuple[list[int], tuple[tuple[int, int], ...]], nodes: int | None = None, together: bool = False
) -> Graphs:
    """One graph per (ops, edges); `together`: one architecture whose cells they are."""
    if together:
        ops = [op for part, _ in cells for op in part]
        starts = [sum(len(part) for part, _ in cells[:i]) for i in range(len(cells))]
        edges = [(u + s, v + s) for (_, e), s in zip(cells, starts) for u, v in e]
        cell = [i for i, (part, _) in enumerate(cells) for _ in part]
        rows = [(ops, edges, cell)]
    else:
        rows = [(ops, list(edges), [0] * len(ops)) for ops, edges in cells]
    width = nodes or max(len(ops) for ops, _, _ in rows)
    out = Graphs(
        torch.zeros(len(rows), width, dtype=torch.long),
        torch.zeros(len(rows), width, width, dtype=torch.bool),
        torch.zeros(len(rows), width, dtype=torch.bool),
        torch.zeros(len(rows), width, dtype=torch.long),
    )
    for i, (ops, edges, cell) in enumerate(rows):
        out.ops[i, : len(ops)], out.mask[i, : len(ops)] = torch.tensor(ops), True
        out.cell[i, : len(ops)] = torch.tensor(cell)
        for u, v in edges:
            out.adj[i, u, v] = True
    return out


C5 = ([0, 1, 2, 3, 4], C5_EDGES)
C3 = ([0, 2, 4], C3_EDGES)
