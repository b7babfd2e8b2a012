"""The baseline of fixed encodings: what can be told from a graph by counting."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from archrank.datasets.canonical import canonicalize, contract, roles_of
from archrank.datasets.costs import COSTS
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.features.graf import set_features
from archrank.encoders.layers.arrays import arrays
from archrank.encoders.layers.complexity import cost
from archrank.encoders.paths.canonical_path import canonical_path
from archrank.encoders.paths.limits import path_choices, supports_base
from archrank.encoders.registry import encoding

# Weight of the two costs: they carry much where channels are divided among branches, and mislead where a skip wins.
COST_WEIGHT = 0.5


def blocks(features: Tensor, space: SearchSpace) -> list[tuple[int, float]]:
    """Width and weight of each block of `base` features [B, F]: path counts, the two graph blocks together, costs."""
    graph = _graph_widths(space)
    paths = int(features.shape[1]) - 2 - sum(graph)
    return [(paths, 1.0), *((width, 1.0) for width in graph), (2, COST_WEIGHT)]


@encoding("base", family="features", supports=supports_base, head="gp", blocks=blocks, columns=COSTS)
def base(graphs: Graphs, space: SearchSpace) -> Tensor:
    """The baseline that every encoder has to beat: counted paths, graph features and costs, for a Gaussian process.

    archrank's own. Four blocks: log(1 + `canonical_path` counts); `graf` features of the cell without dead operations;
    the same once identities are contracted too; the logarithms of parameters and FLOPs, from the benchmark's own
    columns or, where it has none or they are the target, added up from the names of operations. A head that measures
    distances (`gp`, the default) sees each block centred and scaled to unit total variance over the training rows,
    costs to a quarter of that; trees and networks see features as they are.

    Blocks and weights were chosen on digits101, TransNAS-Bench-101 micro (class_scene, jigsaw) and NAS-Bench-Graph
    (Cora), on splits 0 to 4 at 78 and 390 labels, before any score on NAS-Bench-201 was seen.

    Shape: float32 [B, F]; 137 numbers on NAS-Bench-201. Parameters: none. Departures: none, there is no paper.
    ArchrankError where paths need too many features (see `canonical_path`).
    """
    counts = torch.log1p(canonical_path(graphs, space))
    costs = torch.stack([cost(graphs, space, metric).double() for metric in ("parameters", "flops")], 1)
    logs = torch.log(costs.clamp(min=1e-9)).float()
    return torch.cat([counts, *(_graph_block(graphs, *form) for form in _forms(space)), logs], 1)


def _forms(space: SearchSpace) -> list[tuple[SearchSpace, tuple[int, ...]]]:
    """The two forms in which graphs are read: with identities as operations, and without; and their operations."""
    roles = {role: op for role, op in space.roles.items() if not role.startswith("skip")}
    reduced = dataclasses.replace(space, roles=roles)
    return [(reduced, path_choices(reduced, canonical=True)), (space, path_choices(space, canonical=True))]


def _graph_block(graphs: Graphs, space: SearchSpace, op_choices: tuple[int, ...]) -> Tensor:
    roles = roles_of(space)
    parts = []
    for ops, adj, mask, cell in arrays(graphs):
        form = canonicalize(space, ops, adj, mask, cell)
        sums = form.mask & np.isin(form.ops, roles.sums)
        links = contract(form.links, sums) > 0
        parts.append(set_features(space, form.ops, links, form.mask & ~sums, form.cell, op_choices))
    return torch.from_numpy(np.concatenate(parts)).to(graphs.device)


def _graph_widths(space: SearchSpace) -> list[int]:
    none = np.zeros((1, space.max_nodes), np.int64)
    nothing = none.astype(bool), np.zeros((1, space.max_nodes, space.max_nodes), bool)
    return [
        set_features(form, none, nothing[1], nothing[0], none, op_choices).shape[1]
        for form, op_choices in _forms(space)
    ]
