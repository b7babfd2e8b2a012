"""What the GATES family reads of an architecture: where data enters and leaves, which way it flows, and its
operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.gates.flow import EdgeFlow, EdgePaths, NodeFlow, NodePaths, Paths
from archrank.encoders.layers.laplacian import CELL_EDGES, CELL_NODES, on_edges

Residual = Literal["all", "ends"]
Readout = Literal["mean", "output"]


@dataclass(frozen=True, eq=False)
class Read:
    """B architectures of V nodes and N operations.

    x: float [B, V, hidden], first states. op: float [B, N, op_dim]. ahead, back: the two directions.
    entries, exits, counted: bool [B, V], where data enters, where it leaves, and which nodes the mean is over. cell:
    int64 [B, V].
    convs: float [B, N, 1], 1 where an operation is a convolution. attrs: float [B, N, F] attributes of operations, or
    None.
    """

    x: Tensor
    op: Tensor
    ahead: Paths
    back: Paths
    entries: Tensor
    exits: Tensor
    counted: Tensor
    cell: Tensor
    convs: Tensor
    attrs: Tensor | None


class Inputs(nn.Module):
    """First states and operation embeddings; a base of the two forms.

    Nodes where data enters have a vector of their own for each input operation, all others share one; a linear map
    takes them to `hidden`. Operations have embeddings of their own, which only gates read.
    residual: which nodes keep their own state in a layer, all or those where data enters (in the backward direction:
    leaves).
    open_skip: the gate of an identity (role `skip`) is always open.
    layer: the layer that this form flows through.
    """

    layer: type[NodeFlow | EdgeFlow]

    def __init__(
        self, space: SearchSpace, op_dim: int, node_dim: int, hidden: int, residual: Residual, open_skip: bool
    ) -> None:
        super().__init__()
        roles, self.ops = space.roles, len(space.ops)
        self.cells, self.residual = space.cells, residual
        named = sorted(op for role, op in roles.items() if role.startswith("input"))
        self.named, self.enter = bool(named), named or list(range(self.ops))
        self.none, self.output = roles.get("none", -1), roles.get("output", -1)
        self.skip = roles.get("skip", -1) if open_skip else -1
        self.is_conv: Tensor
        self.register_buffer("is_conv", torch.tensor([["conv" in op.lower()] for op in space.ops]), persistent=False)
        self.entry = nn.Parameter(torch.randn(len(self.enter), node_dim))
        self.place = nn.Linear(node_dim, hidden)

    def read(self, graphs: Graphs, present: Tensor | None = None) -> Read:
        """Architectures as layers need them."""
        raise NotImplementedError


class NodeInputs(Inputs):
    """Operations on nodes. Nodes of operation `none` have no edges and are not in the mean.

    self_loops: what a node hears contains its own state. padding: padding may be `present`, as nodes of operation 0;
    then `none` is an operation like others.
    """

    layer = NodeFlow

    def __init__(
        self,
        space: SearchSpace,
        op_dim: int,
        node_dim: int,
        hidden: int,
        *,
        residual: Residual,
        open_skip: bool = False,
        self_loops: bool = False,
        padding: bool = False,
    ) -> None:
        super().__init__(space, op_dim, node_dim, hidden, residual, open_skip)
        self.self_loops, self.none = self_loops, -1 if padding else self.none
        self.embedded = [op for op in range(self.ops) if padding or not self.named or op not in self.enter]
        self.table = nn.Parameter(torch.randn(len(self.embedded), op_dim))
        self.other = nn.Parameter(torch.zeros(node_dim))

    def read(self, graphs: Graphs, present: Tensor | None = None) -> Read:
        """`present`: bool [B, V], nodes in the mean and under attention (None: the real ones)."""
        mask, ops, dtype = graphs.mask, graphs.ops, self.table.dtype
        present = mask if present is None else present
        kinds = one_hot(ops, self.ops).to(dtype)
        entries = mask & (kinds[..., self.enter].sum(-1) > 0 if self.named else graphs.in_degree == 0)
        exits = mask & (ops == self.output if self.output >= 0 else graphs.out_degree == 0)
        first = entries.unsqueeze(-1).to(dtype)
        x = self.place(first * (kinds[..., self.enter] @ self.entry) + (1 - first) * self.other)
        op = kinds[..., self.embedded] @ self.table * (1 - first if self.named else 1)
        carries = ops != self.none
        links = (graphs.adj & carries[..., :, None] & carries[..., None, :]).to(dtype)
        if self.self_loops:
            links = links + torch.eye(graphs.nodes, dtype=dtype, device=links.device)
        opened = (ops == self.skip).unsqueeze(-1).to(dtype)
        together = (graphs.cell[..., :, None] == graphs.cell[..., None, :]) & present[..., None, :]

        def paths(links: Tensor, ends: Tensor) -> NodePaths:
            residual = torch.ones_like(first) if self.residual == "all" else ends.unsqueeze(-1).to(dtype)
            return NodePaths(residual, 1 - opened, opened, links, together)

        convs = kinds @ self.is_conv.to(dtype)
        attrs = None if graphs.attrs is None else graphs.attrs.to(dtype)
        return Read(
            x,
            op,
            paths(links.mT, entries),
            paths(links, exits),
            entries,
            exits,
            present & carries & ~entries,
            graphs.cell,
            convs,
            attrs,
        )


class EdgeInputs(Inputs):
    """Operations on the six edges of the four nodes of NAS-Bench-201 and its like; `none` is a gate that is always
    closed."""

    layer = EdgeFlow

    def __init__(
        self,
        space: SearchSpace,
        op_dim: int,
        node_dim: int,
        hidden: int,
        *,
        residual: Residual,
        open_skip: bool = False,
    ) -> None:
        super().__init__(space, op_dim, node_dim, hidden, residual, open_skip)
        self.embedded = [op for op in range(self.ops) if op not in (*self.enter, self.output, self.none)]
        self.table = nn.Parameter(torch.randn(len(self.embedded), op_dim))
        self.ends: Tensor
        self.register_buffer("ends", torch.eye(CELL_NODES)[torch.tensor(CELL_EDGES).T], persistent=False)

    def read(self, graphs: Graphs, present: Tensor | None = None) -> Read:
        """`present` is not used: no architecture lacks a node."""
        inner, dtype = graphs.ops[..., 1 : 1 + len(CELL_EDGES)], self.table.dtype
        kinds = one_hot(inner, self.ops).to(dtype)
        number = torch.arange(CELL_NODES, device=inner.device).expand(*inner.shape[:-1], CELL_NODES)
        entries, exits = number == 0, number == CELL_NODES - 1
        x = self.place(entries.unsqueeze(-1).to(dtype) * self.entry)
        opened, closed = ((inner == op).unsqueeze(-1).to(dtype) for op in (self.skip, self.none))
        start, end = self.ends

        def paths(start: Tensor, end: Tensor, ends: Tensor) -> EdgePaths:
            residual = (torch.ones_like(ends) if self.residual == "all" else ends).unsqueeze(-1).to(dtype)
            return EdgePaths(residual, 1 - opened - closed, opened, start, end)

        convs = kinds @ self.is_conv.to(dtype)
        attrs = None if graphs.attrs is None else graphs.attrs[..., 1 : 1 + len(CELL_EDGES), :].to(dtype)
        return Read(
            x,
            kinds[..., self.embedded] @ self.table,
            paths(start, end, entries),
            paths(end, start, exits),
            entries,
            exits,
            ~entries,
            torch.zeros_like(number),
            convs,
            attrs,
        )


def inputs(
    space: SearchSpace,
    op_dim: int,
    node_dim: int,
    hidden: int,
    *,
    residual: Residual,
    open_skip: bool,
    self_loops: bool = False,
) -> Inputs:
    """The form that a space asks for: operations on edges where they stand on edges, else on nodes."""
    if on_edges(space):
        return EdgeInputs(space, op_dim, node_dim, hidden, residual=residual, open_skip=open_skip)
    return NodeInputs(space, op_dim, node_dim, hidden, residual=residual, open_skip=open_skip, self_loops=self_loops)


def pool(state: Tensor, read: Read, cells: int, readout: Readout = "mean", size: int | None = None) -> Tensor:
    """One vector per cell of states [B, V, dim], side by side: [B, cells * dim].

    readout: the mean over counted nodes, or the node where data leaves. size: the mean's sum is divided by this number
    of nodes less those where data enters, however many are counted (None: by how many are counted).
    """
    chosen, parts = read.exits if readout == "output" else read.counted, []
    for cell in range(cells):
        weight = (chosen & (read.cell == cell)).to(state.dtype).unsqueeze(-1)
        if size is None or readout == "output":
            count = weight.sum(-2)
        else:
            count = size - (read.entries & (read.cell == cell)).to(state.dtype).sum(-1, keepdim=True)
        parts.append((state * weight).sum(-2) / count.clamp(min=1))
    return parts[0] if cells == 1 else torch.cat(parts, -1)
