"""What can be told from a graph by counting, as a pretext."""

from __future__ import annotations

import torch
from torch import nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.features.base import base, blocks
from archrank.encoders.pretexts import pretext
from archrank.encoders.pretexts.regression import Regression

TARGETS = "pretext/counts"  # kept on the graphs, since counting takes longest


@pretext("counts")
class Counts(Regression):
    """Predict what `base` counts: canonical paths, features of the graph, and the logarithms of its costs.

    archrank's own: the encoder learns, without a label, to tell what the strongest fixed encoding tells. Every block of
    `base` has its weight there (paths and graphs 1, costs 1/4), shared by the columns that vary.

    Source: none. The costs are the table's own columns, unless one is the target (see `base`).
    """

    def __init__(self, encoder: nn.Module, graphs: Graphs, space: SearchSpace) -> None:
        targets = graphs.derive(TARGETS, lambda these: base(these, space))
        varies = (targets.std(0, correction=0) > 1e-9).double()
        shares, column = [], 0
        for count, weight in blocks(targets, space):
            part = varies[column : column + count]
            shares.append(part * weight**2 / part.sum().clamp(min=1))
            column += count
        super().__init__(encoder, graphs, targets, torch.cat(shares))
