"""Message passing on flat graphs by torch-geometric or by DGL: what the sparse twins of dense encoders are made of.

Both speak one small language, so that an encoder writes its layers once for either. The libraries are imported only
when asked for. Nothing here works under `vmap`: flat batches have data-dependent shapes.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs

Backend = Literal["dense", "pyg", "dgl"]


class Messages(Protocol):
    """A batch of B graphs with n nodes and E directed edges in all.

    ops: op ids [n].
    """

    ops: Tensor

    def looped(self) -> Messages:
        """The same nodes with an edge from every node to itself added."""

    def reversed(self) -> Messages:
        """The same nodes, every edge turned round."""

    def both_ways(self) -> tuple[Messages, Tensor]:
        """Every edge and its reversal, and which is which: int64 [E], 0 along the data, 1 against."""

    def sum_in(self, x: Tensor, weight: Tensor) -> Tensor:
        """Sum over the edges into each node of weight [E] or [E, d] times x [n, d] of the edge's source: [n, d]."""

    def gather_in(self, weight: Tensor) -> Tensor:
        """Sum over the edges into each node of weight [E, d]: [n, d]."""

    def pair(self, source: Tensor, target: Tensor) -> Tensor:
        """Per edge, `source` [n, d] of where it starts plus `target` [n, d] of where it ends: [E, d]."""

    def mean_pool(self, x: Tensor, cells: int) -> Tensor:
        """Mean of x [n, d] over the nodes of each cell, cells side by side: [B, cells * d]."""


def messages(backend: Backend, graphs: Graphs) -> Messages:
    """The batch in the library called `backend`; ArchrankError if that is not installed."""
    try:
        return _Pyg.of(graphs) if backend == "pyg" else _Dgl.of(graphs)
    except ImportError as error:
        package = "torch-geometric" if backend == "pyg" else "archrank[dgl] (Python before 3.12)"
        raise ArchrankError(f"backend={backend} needs {package}: {error}; install it, or use backend=dense") from None


class _Pyg:
    """torch-geometric: `MessagePassing` and its pooling."""

    def __init__(self, ops: Tensor, edges: Tensor, owner: Tensor, count: int, cell: Tensor) -> None:
        self.ops, self.edges, self.owner, self.count, self.cell = ops, edges, owner, count, cell

    @classmethod
    def of(cls, graphs: Graphs) -> _Pyg:
        import torch_geometric  # noqa: F401  # where it is missing, that is said here and not in the middle of a step

        ops, edges, owner = graphs.edge_list()
        return cls(ops, edges, owner, len(graphs), graphs.cell[graphs.mask])

    def _with(self, edges: Tensor) -> _Pyg:
        return _Pyg(self.ops, edges, self.owner, self.count, self.cell)

    def looped(self) -> _Pyg:
        from torch_geometric.utils import add_self_loops

        return self._with(add_self_loops(self.edges, num_nodes=len(self.ops))[0])

    def reversed(self) -> _Pyg:
        return self._with(self.edges.flip(0))

    def both_ways(self) -> tuple[_Pyg, Tensor]:
        kind = torch.arange(2, device=self.edges.device).repeat_interleave(self.edges.shape[1])
        return self._with(torch.cat([self.edges, self.edges.flip(0)], 1)), kind

    def sum_in(self, x: Tensor, weight: Tensor) -> Tensor:
        return _pyg_passing()(self.edges, x, weight)

    def gather_in(self, weight: Tensor) -> Tensor:
        from torch_geometric.utils import scatter

        return scatter(weight, self.edges[1], 0, len(self.ops), "sum")

    def pair(self, source: Tensor, target: Tensor) -> Tensor:
        return _pyg_passing().pair(self.edges, source, target)

    def mean_pool(self, x: Tensor, cells: int) -> Tensor:
        from torch_geometric.nn import global_mean_pool

        return global_mean_pool(x, self.owner * cells + self.cell, self.count * cells).reshape(self.count, -1)


@cache
def _pyg_passing() -> Any:
    from torch_geometric.nn import MessagePassing

    class WeightedSum(MessagePassing):  # type: ignore[misc]  # the library is untyped
        """Sum of weighted features of in-neighbours; per edge, the sum of its ends' features."""

        def __init__(self) -> None:
            super().__init__(aggr="add")

        def forward(self, edges: Tensor, x: Tensor, weight: Tensor) -> Tensor:
            return self.propagate(edges, x=x, weight=weight)

        def pair(self, edges: Tensor, source: Tensor, target: Tensor) -> Tensor:
            return self.edge_updater(edges, source=source, target=target)

        def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
            return x_j * (weight if weight.dim() == x_j.dim() else weight.unsqueeze(-1))

        def edge_update(self, source_j: Tensor, target_i: Tensor) -> Tensor:
            return source_j + target_i

    return WeightedSum()


class _Dgl:
    """DGL: built-in message and reduce functions, and its readout."""

    def __init__(self, graph: Any, ops: Tensor, cell: Tensor, sizes: Tensor) -> None:
        self.graph, self.ops, self.cell, self.sizes = graph, ops, cell, sizes

    @classmethod
    def of(cls, graphs: Graphs) -> _Dgl:
        graph = graphs.to_dgl()
        return cls(graph, graph.ndata["op"], graph.ndata["cell"], graph.batch_num_nodes())

    def _with(self, graph: Any) -> _Dgl:
        return _Dgl(graph, self.ops, self.cell, self.sizes)

    def looped(self) -> _Dgl:
        import dgl

        return self._with(dgl.add_self_loop(self.graph))

    def reversed(self) -> _Dgl:
        import dgl

        return self._with(dgl.reverse(self.graph))

    def both_ways(self) -> tuple[_Dgl, Tensor]:
        import dgl

        source, target = self.graph.edges()
        kind = torch.arange(2, device=source.device).repeat_interleave(len(source))
        return self._with(dgl.add_edges(self.graph, target, source)), kind

    def sum_in(self, x: Tensor, weight: Tensor) -> Tensor:
        from dgl.ops import u_mul_e_sum

        return u_mul_e_sum(self.graph, x, weight if weight.dim() == x.dim() else weight.unsqueeze(-1))

    def gather_in(self, weight: Tensor) -> Tensor:
        from dgl.ops import copy_e_sum

        return copy_e_sum(self.graph, weight)

    def pair(self, source: Tensor, target: Tensor) -> Tensor:
        from dgl.ops import u_add_v

        return u_add_v(self.graph, source, target)

    def mean_pool(self, x: Tensor, cells: int) -> Tensor:
        from dgl.ops import segment_reduce

        if cells == 1:
            return segment_reduce(self.sizes, x, "mean")
        parts = []
        for number in range(cells):
            here = (self.cell == number).to(x.dtype).unsqueeze(-1)
            size = segment_reduce(self.sizes, here, "sum").clamp(min=1)
            parts.append(segment_reduce(self.sizes, x * here, "sum") / size)
        return torch.cat(parts, -1)
