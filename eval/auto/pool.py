"""Architectures that a portfolio is fitted to and asked about, and what is computed of them once for all parts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.registry import Part, blocks_of
from archrank.eval.engine.regressors import checked_features

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Pool:
    """Architectures [N] that a portfolio is fitted to and asked about, by row.

    graphs: as learned encoders see them. costed: as fixed encodings do, which may know what the table says of costs.
    known: how many of the first are the first that the portfolio was fitted to. beside: numbers [N, S] that stand
    beside every fixed encoding, as a block of weight 1 where it has blocks. seconds: what each fixed encoding took.
    """

    space: SearchSpace
    graphs: Graphs
    costed: Graphs
    known: int = 0
    beside: Floats | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _features: dict[str, tuple[Floats, Any]] = field(default_factory=dict)

    def features(self, part: Part) -> tuple[Floats, list[tuple[int, float]] | None]:
        """A fixed encoding of all architectures, float64 [N, F], and its blocks (see `blocks_of`), with what stands
        beside it. Computed once."""
        name = f"{part.encoder_name}{sorted(part.options.items())}"
        if name not in self._features:
            start = time.perf_counter()
            given = part.encoder(self.costed, self.space, **part.options)
            features = checked_features(part.encoder_name, given, len(self.costed)).double()
            self._features[name] = self._with_beside(features.numpy(), blocks_of(part.encoder, features, self.space))
            self.seconds[name] = time.perf_counter() - start
        return self._features[name]

    def _with_beside(self, features: Floats, blocks: list[tuple[int, float]] | None) -> tuple[Floats, Any]:
        if self.beside is None:
            return features, blocks
        width = self.beside.shape[1]
        return np.concatenate([features, self.beside], 1), None if blocks is None else [*blocks, (width, 1.0)]
