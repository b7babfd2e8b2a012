"""Graphs: a batch, or a whole search space, of architectures as padded dense tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from archrank.datasets.errors import DataError

if TYPE_CHECKING:
    import networkx

BASE = ("ops", "adj", "mask", "cell", "attrs")
Derivation = Callable[["Graphs"], Tensor]


@dataclass(frozen=True, eq=False)
class Graphs:
    """B directed acyclic graphs padded to V nodes, each in topological order (every edge u -> v has u < v).

    ops: int64 [B, V], op id; 0 on padding.
    adj: bool [B, V, V], adj[b, u, v] is the edge u -> v in the direction of the data.
    mask: bool [B, V], real nodes.
    cell: int64 [B, V], which cell a node belongs to (all 0 in one-cell spaces).
    attrs: float32 [B, V, F] numeric node attributes, or None.
    columns: [B] each, what a benchmark's table says of the architectures and an encoding has declared that it reads
        (`@encoding(..., columns=...)`), by name; never a label.

    Structure that follows from the graph alone (`depth`, `reach`, ..., or anything an encoder asks for through
    `derive`) is computed once for a space and gathered with every batch.
    """

    ops: Tensor
    adj: Tensor
    mask: Tensor
    cell: Tensor
    attrs: Tensor | None = None
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    _derived: dict[str, tuple[Tensor, Derivation]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return int(self.ops.shape[0])

    @property
    def nodes(self) -> int:
        """V, the padded number of nodes."""
        return int(self.ops.shape[-1])

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.ops.device

    def derive(self, name: str, function: Derivation) -> Tensor:
        """`function(self)`, a tensor whose first dimension is B, computed at most once and kept under `name`.

        Use a name of your own ("my-encoder/walks"). The function must look at nothing but the graphs, and treat each
        alone.
        """
        if name not in self._derived:
            with torch.no_grad():
                self._derived[name] = (function(self), function)
        return self._derived[name][0]

    def prepare(self, like: Graphs) -> Graphs:
        """Compute for these graphs everything that was derived on `like` (a probe batch), so that batches gather it."""
        for name, (_, function) in like._derived.items():
            self.derive(name, function)
        return self

    def _map(self, function: Callable[[Tensor], Tensor]) -> Graphs:
        base: dict[str, Any] = {
            name: None if (value := getattr(self, name)) is None else function(value) for name in BASE
        }
        return Graphs(
            **base,
            columns={name: function(column) for name, column in self.columns.items()},
            _derived={name: (function(t), f) for name, (t, f) in self._derived.items()},
        )

    def __getitem__(self, index: Tensor | slice | list[int]) -> Graphs:
        """The graphs at `index` with everything derived so far: gathers, never recomputes. `index` may have any
        shape."""
        if isinstance(index, list):
            index = torch.as_tensor(index, device=self.device)
        return self._map(lambda tensor: tensor[index])

    def to(self, device: torch.device | str) -> Graphs:
        """The same graphs on another device."""
        return self._map(lambda tensor: tensor.to(device))

    def plain(self) -> Graphs:
        """The same graphs without anything derived on them."""
        return Graphs(self.ops, self.adj, self.mask, self.cell, self.attrs, self.columns)

    def with_columns(self, columns: Mapping[str, Tensor]) -> Graphs:
        """The same graphs with these columns [B] and nothing derived."""
        return replace(self.plain(), columns=columns)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, base, columns and derived: what `vmap` maps over."""
        base = {name: value for name in BASE if (value := getattr(self, name)) is not None}
        columns = {f"column/{name}": column for name, column in self.columns.items()}
        return base | columns | {name: tensor for name, (tensor, _) in self._derived.items()}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Graphs:
        """Graphs made of `tensors` (as named by `tensors()`), with this object's derivations."""
        base: dict[str, Any] = {name: tensors.get(name) for name in BASE}
        return Graphs(
            **base,
            columns={name: tensors[f"column/{name}"] for name in self.columns},
            _derived={name: (tensors[name], f) for name, (_, f) in self._derived.items()},
        )

    def pad(self, nodes: int) -> Graphs:
        """The same graphs with padding up to `nodes` nodes; derived structure is dropped."""
        extra = nodes - self.nodes
        if extra < 0:
            raise DataError(f"cannot pad {self.nodes} nodes to {nodes}")
        last = torch.nn.functional.pad
        attrs = None if self.attrs is None else last(self.attrs, (0, 0, 0, extra))
        return Graphs(
            last(self.ops, (0, extra)),
            last(self.adj, (0, extra, 0, extra)),
            last(self.mask, (0, extra)),
            last(self.cell, (0, extra)),
            attrs,
            self.columns,
        )

    def relabel(self, order: Tensor) -> Graphs:
        """Nodes in another order: new node i is old node order[b, i] (int64 [B, V]). The caller keeps it
        topological."""
        rows = torch.arange(len(self), device=self.device)[:, None]
        adj = self.adj[rows[:, :, None], order[:, :, None], order[:, None, :]]
        attrs = None if self.attrs is None else self.attrs[rows, order]
        return Graphs(self.ops[rows, order], adj, self.mask[rows, order], self.cell[rows, order], attrs, self.columns)

    # ---- structure every encoder may ask for ----

    @property
    def depth(self) -> Tensor:
        """int64 [B, V]: edges on the longest path that ends in the node (0 for a source): its topological
        generation."""
        return self.derive("depth", _depth)

    @property
    def reach(self) -> Tensor:
        """bool [B, V, V]: reach[b, u, v] if a directed path of at least one edge leads from u to v."""
        return self.derive("reach", _reach)

    @property
    def distance(self) -> Tensor:
        """int64 [B, V, V]: edges on the shortest directed path from u to v; 0 on the diagonal, -1 where there is
        none."""
        return self.derive("distance", _distance)

    @property
    def in_degree(self) -> Tensor:
        """int64 [B, V]: number of predecessors."""
        return self.derive("in_degree", lambda graphs: graphs.adj.sum(-2))

    @property
    def out_degree(self) -> Tensor:
        """int64 [B, V]: number of successors."""
        return self.derive("out_degree", lambda graphs: graphs.adj.sum(-1))

    # ---- other people's types ----

    def attr_columns(self, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Node attributes by name, float32 [B, V] each; empty where there are none. names: of all F of them, as
        `SearchSpace.attrs` has them; default: `attrs_0`, `attrs_1`, ... (`attrs`, if there is one)."""
        if self.attrs is None:
            return {}
        count = self.attrs.shape[-1]
        if names is None:
            names = [f"attrs_{number}" for number in range(count)] if count > 1 else ["attrs"]
        if len(names) != count:
            raise DataError(f"{len(names)} names for {count} node attributes")
        return {name: self.attrs[..., number] for number, name in enumerate(names)}

    def to_networkx(self, names: Sequence[str] | None = None) -> list[networkx.DiGraph]:
        """One `networkx.DiGraph` each, nodes 0..n-1 with the attributes `op` and `cell`, and their numeric ones under
        `names` (see `attr_columns`)."""
        import networkx as nx

        columns = {"op": self.ops, "cell": self.cell, **self.attr_columns(names)}
        converted = []
        for row, (adj, mask) in enumerate(zip(self.adj.cpu(), self.mask.cpu())):
            values = {name: column[row].tolist() for name, column in columns.items()}
            graph = nx.DiGraph()
            graph.add_nodes_from(
                (v, {name: column[v] for name, column in values.items()}) for v in mask.nonzero()[:, 0].tolist()
            )
            graph.add_edges_from(adj.nonzero().tolist())
            converted.append(graph)
        return converted

    def edge_list(self) -> tuple[Tensor, Tensor, Tensor]:
        """Flat form without padding: op of each real node [n], edges int64 [2, E], graph of each node [n]."""
        number = self.mask.reshape(-1).cumsum(0).reshape(self.mask.shape) - 1
        graph, source, target = self.adj.nonzero(as_tuple=True)
        edges = torch.stack([number[graph, source], number[graph, target]])
        return self.ops[self.mask], edges, self.mask.nonzero()[:, 0]

    def to_pyg(self) -> Any:
        """A `torch_geometric.data.Batch` of one `Data` each, with `x` (op ids [n]), `edge_index`, `cell`, and `attrs`
        where there are some.

        `batch.to_data_list()` and `batch[i]` give the graphs back. For a flat form alone, `edge_list` is faster.
        """
        from torch_geometric.data import Batch, Data

        converted = []
        for row, mask in enumerate(self.mask):
            more = {} if self.attrs is None else {"attrs": self.attrs[row, mask]}
            place = mask.cumsum(0) - 1
            converted.append(
                Data(
                    x=self.ops[row, mask],
                    edge_index=place[self.adj[row].nonzero()].T,
                    cell=self.cell[row, mask],
                    **more,
                )
            )
        return Batch.from_data_list(converted)

    def to_dgl(self) -> Any:
        """A batched `dgl.DGLGraph` with node data `op`, `cell`, and `attrs` where there are some (needs the extra
        `archrank[dgl]`)."""
        import dgl

        ops, edges, _ = self.edge_list()
        graph = dgl.graph((edges[0], edges[1]), num_nodes=len(ops))
        graph.ndata["op"], graph.ndata["cell"] = ops, self.cell[self.mask]
        if self.attrs is not None:
            graph.ndata["attrs"] = self.attrs[self.mask]
        graph.set_batch_num_nodes(self.mask.sum(1))
        graph.set_batch_num_edges(self.adj.sum((1, 2)))
        return graph


def _depth(graphs: Graphs) -> Tensor:
    columns: list[Tensor] = [torch.zeros_like(graphs.ops[..., 0])]
    for v in range(1, graphs.nodes):
        before = torch.stack(columns, -1) + 1
        columns.append((before * graphs.adj[..., :v, v]).amax(-1))
    return torch.stack(columns, -1)


def _reach(graphs: Graphs) -> Tensor:
    reach = torch.zeros_like(graphs.adj, dtype=torch.float32)
    adj = graphs.adj.float()
    for v in range(1, graphs.nodes):
        through = (reach[..., :v] @ adj[..., :v, v, None])[..., 0]
        reach[..., v] = (through + adj[..., v] > 0).float()
    return reach > 0


def _distance(graphs: Graphs) -> Tensor:
    far = 2 * graphs.nodes
    distance = torch.full(graphs.adj.shape, far, dtype=torch.long, device=graphs.device)
    distance.diagonal(dim1=-2, dim2=-1).zero_()
    for v in range(1, graphs.nodes):
        step = torch.where(graphs.adj[..., None, :v, v], distance[..., :, :v] + 1, far).amin(-1)
        distance[..., v] = torch.minimum(distance[..., v], step)
    return distance.masked_fill(distance >= far, -1)
