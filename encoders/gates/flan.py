"""FLAN: the loop of TA-GATES over layers that average gated flow and gated attention."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.gates.flow import GatedAttention, MeanOf, NodeFlow
from archrank.encoders.gates.inputs import NodeInputs, pool
from archrank.encoders.gates.rounds import Rounds
from archrank.encoders.registry import encoder

HEADS = 4  # of `gat_mh`


@encoder("flan", family="GATES")
class FLAN(nn.Module):
    """Flow forward and backward as in TA-GATES, operations always on nodes, through layers that are gated flow, gated
    attention or both.

    Source: Akhauri and Abdelfattah, "Encodings for Prediction-based Neural Architecture Search", ICML 2024, and its
    code (abdelfattah-lab/flan_nas, 1a9d282). The flow is the layer of `gates` with all residuals; attention weighs
    predecessors by LeakyReLU(v . (W h_i * W h_j)) and normalises what their sum's gate lets pass. Cells of two-cell
    spaces pass the same weights and then a two-layer perceptron. Sees operations and edges; invariant to the order of
    nodes.

    Shapes: graphs [B, V] -> [B, dim]. Parameters at the published size (dim 128, 5 layers, 2 steps) on NAS-Bench-101:
    307,040 (dense), 309,600 (gat), 988,512 (gat_mh), 533,344 (ensemble), 418,144 (ensemble with `back_dense`). The code
    counts 86,144 more beside its head, which no architecture of one cell reads: a table of 256 operations, side
    features, the mean of two cells, widths and depths.

    layer: `dense` (flow), `gat` (attention), `gat_mh` (mean of four attentions) or `ensemble` (mean of flow and
    attention). back_dense: backward layers are flow whatever `layer` is. steps: forward flows. dim, layers, op_dim,
    node_dim, hidden, back_dim, update_dim: as of `ta_gates`.
    faithful: as in that code, and the form of `paper`. The softmax of attention runs over all nodes, to those that are
    no predecessors with score 0; padding up to the size of the space's cells is nodes of operation 0, which take part
    and count in the mean; `none` is an operation like others. By default attention looks at predecessors and the node
    itself, padding does not exist, and `none` has no edges and is not in the mean.

    Departures: encodings beside the graph (zero-cost scores, CATE, arch2vec), widths and depths of networks are left
    out, and so is pre-training on another space. The inputs of a two-input cell have vectors of their own; that code
    cannot tell them apart.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 4,
        layer: Literal["dense", "gat", "gat_mh", "ensemble"] = "ensemble",
        back_dense: bool = False,
        steps: int = 2,
        op_dim: int = 48,
        node_dim: int = 48,
        hidden: int = 96,
        back_dim: int = 0,
        update_dim: int = 64,
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.cells, self.faithful, self.nodes = space.cells, faithful, space.max_nodes
        self.inputs = NodeInputs(space, op_dim, node_dim, hidden, residual="all", padding=faithful)
        back_dim = back_dim or dim
        ahead = [_layer(layer, dim if number else hidden, dim, op_dim, faithful) for number in range(layers)]
        back = [
            _layer("dense" if back_dense else layer, back_dim if number else dim, back_dim, op_dim, faithful)
            for number in range(layers if steps > 1 else 0)
        ]
        self.rounds = Rounds(ahead, back, steps=steps, dim=dim, back_dim=back_dim, op_dim=op_dim, hidden=update_dim)
        self.combine = (
            nn.Sequential(nn.Linear(space.cells * dim, dim), nn.ReLU(), nn.Linear(dim, dim))
            if space.cells > 1
            else None
        )

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The size and form of the paper's commands."""
        return {"dim": 128, "layers": 5, "layer": "ensemble", "steps": 2, "update_dim": 128, "faithful": True}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """Pairwise hinge loss, AdamW, cosine per epoch, batches of eight."""
        return {
            "loss": "hinge",
            "margin": 0.1,
            "pairs_per_item": 4.0,
            "labels": "unit",
            "optimizer": "adamw",
            "lr": 1e-3,
            "weight_decay": 1e-5,
            "epochs": 150,
            "batch": 8,
            "schedule": "cosine",
            "schedule_per": "epoch",
            "head": {"hidden": [200, 200, 200], "dropout": 0.1},
        }

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim]."""
        if self.faithful:
            graphs = _filled(graphs, self.nodes, self.cells)
        read = self.inputs.read(graphs, torch.ones_like(graphs.mask) if self.faithful else None)
        pooled = pool(self.rounds(read, read.op), read, self.cells)
        return pooled if self.combine is None else self.combine(pooled)


def _layer(kind: str, inputs: int, dim: int, op_dim: int, everywhere: bool) -> nn.Module:
    if kind == "dense":
        return NodeFlow(inputs, dim, op_dim)
    if kind == "ensemble":
        return MeanOf(NodeFlow(inputs, dim, op_dim), GatedAttention(inputs, dim, op_dim, everywhere))
    attentions = [GatedAttention(inputs, dim, op_dim, everywhere) for _ in range(HEADS if kind == "gat_mh" else 1)]
    return MeanOf(*attentions) if kind == "gat_mh" else attentions[0]


def _filled(graphs: Graphs, nodes: int, cells: int) -> Graphs:
    """Graphs of exactly `nodes` nodes, whose padding belongs to the cells that lack nodes up to an equal share of
    them."""
    missing = nodes - graphs.nodes
    ops, mask, cell = (nn.functional.pad(part, (0, missing)) for part in (graphs.ops, graphs.mask, graphs.cell))
    padding, lacking = ~mask, torch.zeros_like(ops[..., :1])
    for number in range(cells - 1):
        lacking = lacking + (nodes // cells - (mask & (cell == number)).sum(-1, keepdim=True)).clamp(min=0)
        cell = cell + (padding & (padding.cumsum(-1) > lacking)).to(cell.dtype)
    return Graphs(ops, nn.functional.pad(graphs.adj, (0, missing, 0, missing)), mask, cell)
