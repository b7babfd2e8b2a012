"""DAGNN: message passing in the order of the data, stacked."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.sweep import Sweep, nodes_first
from archrank.encoders.registry import encoder

FAR = -1e30


@encoder("dagnn", family="GNN")
class DAGNN(nn.Module):
    """Every node's state is a gated update of what its predecessors' final states say; two such sweeps stacked, in both
    directions.

    Source: Thost and Chen, "Directed Acyclic Graph Neural Networks", ICLR 2021 (vthost/DAGNN, b065cd5). In layer l,
    h_v = GRU(h_v of layer l - 1 as input, m_v as state), m_v a softmax attention over the predecessors' states of
    layer l; the first layer's input is the operation. The backward direction does the same over successors. Read-out:
    the states of a cell's last nodes after all forward layers and of its first nodes after all backward ones (their
    maximum, where there are several), side by side through a linear map. Sees operations and edges.

    Nodes are swept in the groups that a space's graphs allow, all architectures of a batch at once: NAS-Bench-201
    takes 5 steps a direction, not 8.

    Shapes: graphs [B, V] -> [B, cells * dim]. Parameters with O operations: 2 (3 O d + 3 d^2 + 7 d) + 2 (L - 1) (6
    d^2 + 7 d), and (2 L d + 1) d for the read-out; 94,656 at the default size (dim 64, 2 layers) on NAS-Bench-201.

    The attention is additive in query and key, so the query cancels in the softmax: only the key is kept. Invariant
    to the order of nodes.

    faithful: each node's position is appended to its operation, one-hot, as in the released code (there modulo the
    number of nodes): the encoder then depends on the order of nodes. The query's parameters are left out there too,
    since no output depends on them.

    Departures: the released code trains it inside a variational auto-encoder; here it is the encoder of a predictor,
    trained end to end. `paper` keeps that auto-encoder's width, rate and epochs, meant for a
    training set of many thousand architectures: at a hundred labels it makes 400 steps, for a network of millions of
    weights.
    """

    def __init__(self, space: SearchSpace, *, dim: int = 64, layers: int = 2, faithful: bool = False) -> None:
        super().__init__()
        self.invariant = not faithful
        self.ops, self.cells = len(space.ops), space.cells
        self.places = space.max_nodes if faithful else 0
        # Nodes are laid out group by group, so that a sweep's groups are contiguous.
        self.order = [v for group in space.generations for v in group]
        self.groups = [len(group) for group in space.generations]
        if faithful:
            self.place: Tensor
            place = nn.functional.one_hot(torch.tensor(self.order), self.places)
            self.register_buffer("place", place.float(), persistent=False)
        sizes = [self.ops + self.places] + [dim] * (layers - 1)
        self.down, self.up = (nn.ModuleList(Sweep(size, dim) for size in sizes) for _ in range(2))
        self.out = nn.Linear(2 * layers * dim, dim)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published width of the hidden states and depth."""
        return {"dim": 501, "layers": 2}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """The released code's rate, epochs and clipping, on a squared error in place of its auto-encoder's loss."""
        return {
            "loss": "mse",
            "labels": "standard",
            "optimizer": "adam",
            "lr": 1e-3,
            "epochs": 100,
            "batch": 32,
            "schedule": "constant",
            "clip": 0.25,
            "head": "linear",
        }

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        adj, ops = graphs.derive("dagnn/laid-out", self._laid_out), graphs.derive("dagnn/ops", self._ops)
        first, last = graphs.derive("dagnn/first", self._first), graphs.derive("dagnn/last", self._last)
        dtype = self.out.weight.dtype
        x = nn.functional.one_hot(ops, self.ops).to(dtype)
        if self.places:
            x = torch.cat([x, self.place.to(dtype).expand(*x.shape[:-1], -1)], -1)
        along, against = nodes_first(adj.transpose(-1, -2), dtype), nodes_first(adj, dtype, True)
        down = up = x.transpose(-3, -2)
        ends, starts = [], []
        for forward, backward in zip(self.down, self.up):
            down = forward(down, along, self.groups)
            up = backward(up, against, self.groups, True)
            ends.append(down)
            starts.append(up)
        forward_states, backward_states = torch.cat(ends, -1).transpose(-3, -2), torch.cat(starts, -1).transpose(-3, -2)
        directions = []
        for cell in range(self.cells):
            both = _largest(forward_states, last[..., cell, :]), _largest(backward_states, first[..., cell, :])
            directions.append(self.out(torch.cat(both, -1)))
        return torch.cat(directions, -1)

    # ---- structure that depends on the graph alone, laid out in the order of the sweep ----

    def _ops(self, graphs: Graphs) -> Tensor:
        """int64 [B, V]."""
        return graphs.ops[..., torch.tensor(self.order, device=graphs.device)]

    def _laid_out(self, graphs: Graphs) -> Tensor:
        order = torch.tensor(self.order, device=graphs.device)
        return graphs.adj[..., order, :][..., :, order]

    def _by_cell(self, nodes: Tensor, graphs: Graphs) -> Tensor:
        order = torch.tensor(self.order, device=graphs.device)
        nodes, cell = (nodes & graphs.mask)[..., order], graphs.cell[..., order]
        return torch.stack([nodes & (cell == number) for number in range(self.cells)], -2)

    def _first(self, graphs: Graphs) -> Tensor:
        """bool [B, cells, V]: nodes without predecessors."""
        return self._by_cell(~graphs.adj.any(-2), graphs)

    def _last(self, graphs: Graphs) -> Tensor:
        """bool [B, cells, V]: nodes without successors."""
        return self._by_cell(~graphs.adj.any(-1), graphs)


def _largest(states: Tensor, where: Tensor) -> Tensor:
    """Feature-wise maximum of states [B, V, d] over where bool [B, V]; zero for an empty cell."""
    best = states.masked_fill(~where.unsqueeze(-1), FAR).amax(-2)
    return torch.where(where.any(-1, keepdim=True), best, 0.0)
