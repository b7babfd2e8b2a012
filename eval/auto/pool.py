"""Architectures that a portfolio is fitted to and asked about, and what is computed of them once for all parts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.pretexts import parse_pretext
from archrank.encoders.registry import Part, blocks_of
from archrank.encoders.reserved import split_options
from archrank.encoders.views import build
from archrank.eval.engine.batching import Rows
from archrank.eval.engine.pretraining import pretrain
from archrank.eval.engine.regressors import checked_features

Floats = NDArray[np.float64]
Weights = dict[str, Tensor]
Keep = Callable[[list[Any], Callable[[], Weights]], tuple[Weights, float]]


def trained_anew(identity: list[Any], train: Callable[[], Weights]) -> tuple[Weights, float]:
    """What `train` gives, kept nowhere, and the seconds that took. identity: what it stands for."""
    start = time.perf_counter()
    weights = train()
    return weights, time.perf_counter() - start


@dataclass(eq=False)
class Pool:
    """Architectures [N] that a portfolio is fitted to and asked about, by row.

    graphs: as learned encoders see them. costed: as fixed encodings do, which may know what the table says of costs.
    known: how many of the first are the first that the portfolio was fitted to. beside: numbers [N, S] that stand
    beside every fixed encoding, as a block of weight 1 where it has blocks. keep: gives what a pre-training gave before
    to the same identity (lists, texts and numbers), or runs it. seconds: what each fixed encoding took.
    """

    space: SearchSpace
    graphs: Graphs
    costed: Graphs
    known: int = 0
    beside: Floats | None = None
    keep: Keep = trained_anew
    seconds: dict[str, float] = field(default_factory=dict)
    _features: dict[str, tuple[Floats, Any]] = field(default_factory=dict)
    _starts: dict[str, tuple[Weights, float]] = field(default_factory=dict)

    def start(self, part: Part, seen: Rows | None, device: torch.device | str = "cpu") -> tuple[Weights | None, float]:
        """Weights that the networks of a part start from, by its pretext, None where it has none; and the seconds that
        took, also where it was done before. Trained once.

        Args:
            part: a learned encoder.
            seen: rows of the architectures that the pretext sees, without labels; None: all.
            device: where it trains.

        Raises:
            ArchrankError: a pretext that the encoder or the space does not allow.
        """
        own, reserved = split_options(part.options)
        if reserved["pretext"] is None:
            return None, 0.0
        task = parse_pretext(reserved["pretext"])
        if task.needs("proxy"):
            raise ArchrankError(f"pretext {task.text} reads a column of a table; a part of a portfolio has none")
        if task.needs("states") and (reserved["view"] != "drawn" or not hasattr(part.encoder, "states")):
            raise ArchrankError(
                f"pretext {task.text} asks for states of nodes, which {part.encoder_name} does not give here"
            )
        rows = "all" if seen is None else hashlib.sha256(np.sort(seen).tobytes()).hexdigest()
        identity = [part.encoder_name, own, reserved["view"], task.text, task.source, rows]
        key = json.dumps(identity, sort_keys=True)
        if key not in self._starts:
            graphs = self.costed if seen is None else self.costed[torch.from_numpy(np.sort(seen))]
            self._starts[key] = self.keep(
                identity,
                lambda: pretrain(
                    lambda space: build(part.encoder, space, part.options), task, graphs, self.space, device
                )[0],
            )
        return self._starts[key]

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
