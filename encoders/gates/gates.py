"""GATES: an architecture is encoded by the information that flows through its operations."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.gates.flow import through
from archrank.encoders.gates.inputs import inputs, pool
from archrank.encoders.layers.laplacian import on_edges
from archrank.encoders.registry import encoder


@encoder("gates", family="GATES")
class GATES(nn.Module):
    """Graph convolution along the edges in which every operation is a soft gate of what passes through it.

    Source: Ning et al., "A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS", ECCV 2020,
    and its code (walkerning/aw_nas, 732a003). A state enters at the input; a layer is g * (sum over predecessors of W
    h) + W h + b with g = sigmoid(U op) of the receiving node's operation, ReLU between layers. Where operations stand
    on edges (NAS-Bench-201, TransNAS-Bench-101 micro), the four nodes of the cell have states and each edge a gate;
    `none` is closed. Sees operations and edges; with operations on nodes invariant to their order.

    Shapes: graphs [B, V] -> [B, cells * dim]. Parameters at the published size: 92,032 on NAS-Bench-101 and 114,128 on
    NAS-Bench-201 (the code counts 96 more, which are fixed at zero or embed padding and `none`).

    dim: of states. layers: their number. op_dim, node_dim, hidden: of operation embeddings, of node embeddings, of
    first states.
    residual: which nodes keep W h, `all` or the `ends` where data enters. self_loops: a node also hears its own gated
    state (operations on nodes).
    open_skip: the gate of an identity is 1. readout: the mean over nodes but inputs, or the output node.
    faithful: padding counts in the mean, as zeros, and is part of `paper`.

    Departures: none in the network. Operations of two-cell spaces stand on nodes, sums being operations. Dropout of
    states, 0 in every published configuration, is left out.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 4,
        op_dim: int = 48,
        node_dim: int = 48,
        hidden: int = 96,
        residual: Literal["all", "ends"] = "all",
        self_loops: bool = False,
        open_skip: bool = True,
        readout: Literal["mean", "output"] = "mean",
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.cells, self.readout = space.cells, readout
        self.size = space.max_nodes // space.cells if faithful and not on_edges(space) else None
        self.inputs = inputs(
            space, op_dim, node_dim, hidden, residual=residual, open_skip=open_skip, self_loops=self_loops
        )
        layer = type(self.inputs).layer
        self.layers = nn.ModuleList(layer(dim if number else hidden, dim, op_dim) for number in range(layers))

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size and form."""
        edges = {"layers": 5, "residual": "ends", "readout": "output"} if on_edges(space) else {"layers": 4}
        return {"dim": 128, "open_skip": False, "faithful": True, **edges}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Pairwise hinge loss, Adam at a constant rate, large batches."""
        return ranking(200 if on_edges(space) else 80, [300] * 5 if on_edges(space) else [200])

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        read = self.inputs.read(graphs)
        state, _ = through(self.layers, read.x, read.op, read.ahead)
        return pool(state, read, self.cells, self.readout, self.size)


def ranking(epochs: int, hidden: list[int], batch: int = 512, pairs: float = 4.0) -> dict[str, Any]:
    """The training that GATES and TA-GATES share; `pairs` per architecture of a batch."""
    return {
        "loss": "hinge",
        "margin": 0.1,
        "pairs_per_item": pairs,
        "labels": "standard",
        "optimizer": "adam",
        "lr": 1e-3,
        "epochs": epochs,
        "batch": batch,
        "schedule": "constant",
        "head": {"hidden": hidden, "dropout": 0.1},
    }
