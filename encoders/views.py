"""Learned encoders on other views of an architecture's graph, and how a learned encoder is built from its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Derivation, Graphs
from archrank.datasets.parallel_identities import canonical_graph, canonical_space
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.arrays import arrays
from archrank.encoders.reserved import split_options


def build(encoder: Any, space: SearchSpace, config: Mapping[str, Any]) -> nn.Module:
    """A learned encoder from its class and its options, the reserved ones (`encoders.reserved`) included."""
    own, reserved = split_options(config)
    if reserved["view"] == "drawn":
        made: nn.Module = encoder(space, **own)
        return made
    drawn = [encoder(space, **own)] if reserved["view"] == "both" else []
    return Viewed(drawn, encoder(canonical_space(space), **own), space)


class Viewed(nn.Module):
    """An encoder on the canonical graph, and with `drawn` a second one, of its own weights, on the graph as it is
    drawn; embeddings side by side.

    Hooks of an encoder are those of the two: auxiliary losses and log-odds of pairs add up.
    """

    def __init__(self, drawn: list[nn.Module], canonical: nn.Module, space: SearchSpace) -> None:
        """drawn: no or one encoder of `space`. canonical: one of `canonical_space(space)`."""
        super().__init__()
        self.space, self.widths = space, [0] * (len(drawn) + 1)
        self.parts = nn.ModuleList([*drawn, canonical])

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim], or [B, 2 dim] of both."""
        embeddings = [part(view) for part, view in zip(self.parts, self._views(graphs))]
        self.widths = [part.shape[-1] for part in embeddings]
        return torch.cat(embeddings, -1) if len(embeddings) > 1 else embeddings[0]

    def auxiliary_loss(self, graphs: Graphs, embeddings: Tensor) -> Tensor:
        """The sum of the encoders' own, 0 of those that have none."""
        loss = embeddings.new_zeros(())
        for part, view, embedding in zip(self.parts, self._views(graphs), self._split(embeddings)):
            own: Any = getattr(part, "auxiliary_loss", None)
            loss = loss + own(view, embedding) if own else loss
        return loss

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """The sum of the encoders' own log-odds that `first` beats `second`."""
        odds: Any = 0
        for part, a, b in zip(self.parts, self._split(first), self._split(second)):
            compare: Any = part.compare
            odds = odds + compare(a, b)
        return odds

    def _split(self, embeddings: Tensor) -> tuple[Tensor, ...]:
        return embeddings.split(self.widths, -1) if len(self.parts) > 1 else (embeddings,)

    def _views(self, graphs: Graphs) -> list[Graphs]:
        canonical = canonical_view(graphs, self.space)
        return [graphs, canonical] if len(self.parts) > 1 else [canonical]


@dataclass(frozen=True, eq=False)
class ViewOfGraphs(Graphs):
    """Graphs derived from others, which keep what is derived on these: it is gathered with their batches."""

    origin: Graphs | None = None
    space: SearchSpace | None = None

    def derive(self, name: str, function: Derivation) -> Tensor:
        """As `Graphs.derive`."""
        assert self.origin is not None and self.space is not None
        space = self.space
        return self.origin.derive(f"canonical/{name}", lambda origin: function(canonical_view(origin, space)))


def canonical_view(graphs: Graphs, space: SearchSpace) -> ViewOfGraphs:
    """The canonical graphs of graphs of `space`, as graphs of `canonical_space(space)` (see `canonical_graph`)."""
    packed = graphs.derive("canonical", lambda origin: _packed(origin, space))
    nodes = graphs.nodes
    mask = packed[..., nodes + 1] > 0
    # An identity stands where another operation was: the numbers of that one are not its own.
    attrs = None if graphs.attrs is None else graphs.attrs * (packed[..., nodes + 1] == 1).unsqueeze(-1)
    return ViewOfGraphs(
        packed[..., nodes].long(), packed[..., :nodes] > 0, mask, graphs.cell, attrs, origin=graphs, space=space
    )


def _packed(graphs: Graphs, space: SearchSpace) -> Tensor:
    """int16 [B, V, V + 2]: edges, operations, and of each node 0 (padding or removed), 1 (itself), 2 (an identity in
    the place of another)."""
    parts = []
    for ops, adj, mask, cell in arrays(graphs):
        form = canonical_graph(space, ops, adj, mask, cell)
        state = form.mask.astype(np.int16) + (form.mask & (form.ops != ops))
        parts.append(np.concatenate([form.adj, form.ops[..., None], state[..., None]], 2).astype(np.int16))
    packed = torch.from_numpy(np.concatenate(parts)).to(graphs.device)
    return packed.reshape(*graphs.ops.shape, graphs.nodes + 2)
