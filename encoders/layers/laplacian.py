"""Tokens of TNASP and PINAT: operations, placed by the rows of a graph's Laplacian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.pool import mean_pool

# The cell of NAS-Bench-201 and TransNAS-Bench-101 micro: operations stand on the six edges of these four nodes, in the
# order of its string.
CELL_NODES = 4
CELL_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


@dataclass(frozen=True, eq=False)
class Tokens:
    """What TNASP and PINAT read of B architectures.

    x: float [B, L, dim], embedded tokens. present: bool [B, L]. links: bool [B, P, P], edges between the P nodes of the
    graph.
    ops: float [B, P, O], the operation of each of these nodes, one-hot.
    """

    x: Tensor
    present: Tensor
    links: Tensor
    ops: Tensor


class LaplacianTokens(nn.Module):
    """Embedding of an operation + linear map of its node's row of L = D - A, D the number of successors, not
    normalised.

    faithful: as the published code feeds its networks. Where operations stand on edges (`on_edges`), a token is one of
    the six of them, and its place a mixture of the rows of the four-node skeleton without `none` edges; elsewhere
    padding is an operation 0 without edges, and everything is divided by the size of the space's largest architecture.
    Otherwise a token is a node of the operation-on-node graph, whose `none` nodes have no edges, and padding does not
    exist.
    """

    def __init__(self, space: SearchSpace, dim: int, faithful: bool) -> None:
        super().__init__()
        self.on_edges, self.faithful, self.cells = faithful and on_edges(space), faithful, space.cells
        self.none = space.roles.get("none", -1)
        self.nodes = CELL_NODES if self.on_edges else space.max_nodes
        self.tokens = len(CELL_EDGES) if self.on_edges else space.max_nodes
        ends = (space.roles["input"], space.roles["output"]) if self.on_edges else ()
        ops = [op for op in range(len(space.ops)) if op not in ends]
        self.kinds = len(ops)
        self.number: Tensor
        numbers = [ops.index(op) if op in ops else 0 for op in range(len(space.ops))]
        self.register_buffer("number", torch.tensor(numbers), persistent=False)
        self.embed = nn.Parameter(torch.randn(self.kinds, dim))
        self.mix = nn.Linear(self.nodes, self.tokens) if self.on_edges else None
        self.place = nn.Linear(self.nodes, dim)

    def forward(self, graphs: Graphs) -> Tokens:
        """Tokens of graphs [B, V]."""
        dtype = self.embed.dtype
        if self.mix is not None:
            inner = graphs.ops[..., 1 : 1 + self.tokens]
            skeleton = _skeleton(inner != self.none)
            onehot = nn.functional.one_hot(self.number[inner], self.kinds).to(dtype)
            x = onehot @ self.embed + self.place(self.mix(_laplacian(skeleton, dtype)).transpose(-1, -2))
            whole = torch.ones_like(skeleton).triu(1)
            links = torch.where(skeleton.any(-1).any(-1)[..., None, None], skeleton, whole)
            return Tokens(x, torch.ones_like(inner, dtype=torch.bool), links, onehot[..., : self.nodes, :])
        ops, mask, adj = graphs.ops, graphs.mask, graphs.adj
        if self.faithful:  # padding up to the size of the space, no more and no less
            missing = self.nodes - graphs.nodes
            ops, mask = (nn.functional.pad(part, (0, missing)) for part in (ops, mask))
            adj = nn.functional.pad(adj, (0, missing, 0, missing))
        elif self.none >= 0:
            carries = ops != self.none
            adj = adj & carries[..., :, None] & carries[..., None, :]
        onehot = nn.functional.one_hot(ops, self.kinds).to(dtype)
        rows = _laplacian(adj, dtype)
        x = onehot @ self.embed + self.place(nn.functional.pad(rows, (0, self.nodes - rows.shape[-1])))
        return Tokens(x, torch.ones_like(mask) if self.faithful else mask, adj, onehot * mask.unsqueeze(-1))

    def pool(self, x: Tensor, graphs: Graphs) -> Tensor:
        """Mean of tokens x [B, L, dim] over the nodes of each cell: [B, cells * dim]; `faithful`: sum over all / nodes,
        [B, dim]."""
        return x.sum(-2) / self.nodes if self.faithful else mean_pool(x, graphs, self.cells)


def on_edges(space: SearchSpace) -> bool:
    """Whether the space's graphs are the cell of NAS-Bench-201, whose operations stand on edges."""
    if space.support is None or space.constant is None or space.max_nodes != len(CELL_EDGES) + 2 or space.cells > 1:
        return False
    expected = np.zeros((space.max_nodes, space.max_nodes), bool)
    for number, (source, target) in enumerate(CELL_EDGES, 1):
        expected[0, number] |= source == 0
        expected[number, -1] |= target == CELL_NODES - 1
        for later, (start, _) in enumerate(CELL_EDGES, 1):
            expected[number, later] |= start == target
    return bool((space.support == expected).all() and (space.constant == expected).all())


def _skeleton(there: Tensor) -> Tensor:
    """bool [B, 4, 4] of the six edges that a cell has: bool [B, 6]."""
    columns = torch.eye(CELL_NODES**2, device=there.device)[[CELL_NODES * u + v for u, v in CELL_EDGES]]
    return (there.to(columns.dtype) @ columns).unflatten(-1, (CELL_NODES, CELL_NODES)) > 0


def _laplacian(adj: Tensor, dtype: torch.dtype) -> Tensor:
    """D - A [B, V, V] of edges bool [B, V, V]."""
    return torch.diag_embed(adj.sum(-1)).to(dtype) - adj.to(dtype)
