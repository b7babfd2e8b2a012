"""TA-GATES: GATES whose operations change as in a short training."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import uniform
from archrank.encoders.gates.gates import ranking
from archrank.encoders.gates.inputs import inputs, pool
from archrank.encoders.gates.rounds import Rounds
from archrank.encoders.layers.laplacian import on_edges
from archrank.encoders.registry import encoder


@encoder("ta_gates", family="GATES")
class TAGATES(nn.Module):
    """GATES with a backward flow, by which equal operations in different places come to differ.

    Source: Ning et al., "TA-GATES: An Encoding Scheme for Neural Network Architectures", NeurIPS 2022, and its code
    (walkerning/aw_nas, 732a003). Each of T - 1 steps is a forward flow, a backward flow that starts from the output's
    state, and an update of every operation's embedding from what it sent in both; one more forward flow gives the
    embedding. With operations on nodes (NAS-Bench-101) they send their node's state, on edges (NAS-Bench-201,
    TransNAS-Bench-101 micro) their edge's message. Sees operations and edges; with operations on nodes invariant to
    their order.

    Shapes: graphs [B, V] -> [B, cells * dim]. Parameters at the published size: 306,992 on NAS-Bench-101, 215,040 on
    NAS-Bench-201 (the code counts 96 and 101 more, which are fixed or embed padding and `none`).

    dim: of states. layers: of either direction. steps: T. op_dim, node_dim, hidden, residual, self_loops, open_skip,
    readout, faithful: as of `gates`. back_dim: of backward states (0: dim). update_dim: hidden units of the update.
    update: `all` operations move, or those whose name has `conv` in it.
    symmetry: what tells equal operations apart before the first step. `noise` adds N(0, 0.1^2) to their embeddings, in
    training only. `add_attributes` adds `attribute_scale` times a perceptron of their numeric attributes, `attributes`
    shows these to the gates; both need a space with attributes, where the paper puts seven zero-cost scores of every
    operation.

    Departures: `paper` has no zero-cost scores of operations, which follow from no graph and which no table has. The
    code's noise also falls at prediction. The variant that predicts accuracies of several epochs is left out, and so is
    dropout of states, 0 as published.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 4,
        steps: int = 3,
        op_dim: int = 48,
        node_dim: int = 48,
        hidden: int = 96,
        back_dim: int = 0,
        update_dim: int = 64,
        residual: Literal["all", "ends"] = "ends",
        self_loops: bool = True,
        open_skip: bool = True,
        update: Literal["all", "conv"] = "all",
        symmetry: Literal["none", "noise", "attributes", "add_attributes"] = "none",
        attribute_scale: float = 0.1,
        readout: Literal["mean", "output"] = "mean",
        faithful: bool = False,
    ) -> None:
        super().__init__()
        if "attributes" in symmetry and not space.attrs:
            raise ArchrankError(
                f"ta_gates: symmetry={symmetry} needs numeric node attributes, which space '{space.name}' has not; "
                "choose symmetry=none or noise"
            )
        self.cells, self.readout, self.update, self.symmetry = space.cells, readout, update, symmetry
        self.size = space.max_nodes // space.cells if faithful and not on_edges(space) else None
        self.inputs = inputs(
            space, op_dim, node_dim, hidden, residual=residual, open_skip=open_skip, self_loops=self_loops
        )
        layer, back_dim = type(self.inputs).layer, back_dim or dim
        seen = op_dim + (len(space.attrs) if symmetry == "attributes" else 0)
        ahead = [layer(dim if number else hidden, dim, seen) for number in range(layers)]
        back = [layer(back_dim if number else dim, back_dim, seen) for number in range(layers if steps > 1 else 0)]
        self.rounds = Rounds(ahead, back, steps=steps, dim=dim, back_dim=back_dim, op_dim=op_dim, hidden=update_dim)
        self.attribute_scale = attribute_scale
        if symmetry == "add_attributes":
            self.attributes = nn.Sequential(
                nn.Linear(len(space.attrs), 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, op_dim)
            )

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size and form, without zero-cost scores."""
        if on_edges(space):
            return {
                "dim": 128,
                "layers": 3,
                "steps": 4,
                "update_dim": 128,
                "update": "conv",
                "readout": "output",
                "faithful": True,
            }
        if space.cells > 1:
            return {
                "dim": 64,
                "layers": 5,
                "steps": 4,
                "op_dim": 32,
                "node_dim": 32,
                "hidden": 32,
                "update_dim": 64,
                "update": "conv",
                "self_loops": False,
                "open_skip": False,
                "faithful": True,
            }
        return {"dim": 128, "layers": 5, "steps": 3, "update_dim": 128, "open_skip": False, "faithful": True}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """That of GATES, for 200 epochs."""
        if space.cells > 1:
            return ranking(200, [200], batch=128, pairs=16.0)
        return ranking(200, [300] * 5 if on_edges(space) else [200])

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, cells * dim]."""
        read = self.inputs.read(graphs)
        op, beside = read.op, read.attrs if self.symmetry == "attributes" else None
        if self.symmetry == "noise" and self.training:
            op = op + 0.1 * _normal(op)
        elif self.symmetry == "add_attributes":
            op = op + self.attribute_scale * self.attributes(read.attrs)
        state = self.rounds(read, op, beside=beside, moved=read.convs if self.update == "conv" else None)
        return pool(state, read, self.cells, self.readout, self.size)


def _normal(like: Tensor) -> Tensor:
    """Standard normal numbers in the shape of `like`, from the noise in force."""
    most = 1 - 2.0**-16
    return math.sqrt(2) * torch.erfinv((2 * uniform(like) - 1).clamp(-most, most))
