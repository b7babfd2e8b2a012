"""Architectures that a portfolio is fitted to and asked about, and what is computed of them once for all parts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.pretexts import parse_pretext
from archrank.encoders.registry import Part, blocks_of
from archrank.encoders.reserved import check_states, split_options
from archrank.encoders.views import build
from archrank.eval.engine.batching import Rows
from archrank.eval.engine.pretraining import Weights, pretrain
from archrank.eval.engine.regressors import checked_features

Floats = NDArray[np.float64]
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
    beside every fixed encoding, as a block of weight 1 where it has blocks, and beside_s: the seconds that they took.
    unlabelled: the graphs that pretexts see (None: all of `costed`), and seen: what these are called in an identity.
    keep: gives what a pre-training gave before to the same identity (lists, texts and numbers), or runs it. seconds:
    what each fixed encoding took.
    """

    space: SearchSpace
    graphs: Graphs
    costed: Graphs
    known: int = 0
    beside: Floats | None = None
    beside_s: float = 0.0
    unlabelled: Graphs | None = None
    seen: str = "all"
    keep: Keep = trained_anew
    seconds: dict[str, float] = field(default_factory=dict)
    _features: dict[str, tuple[Floats, Any]] = field(default_factory=dict)
    _starts: dict[str, tuple[Weights, float]] = field(default_factory=dict)

    def seeing(self, rows: Rows) -> Pool:
        """The same pool, whose pretexts see the graphs of some rows alone. What is computed of either is of both."""
        graphs = self.costed[torch.from_numpy(rows)]
        return replace(self, unlabelled=graphs, seen=hashlib.sha256(rows.tobytes()).hexdigest())

    def start(self, part: Part, device: torch.device | str = "cpu") -> tuple[Weights | None, float]:
        """Weights that the networks of a part start from, by its pretext, None where it has none; and the seconds that
        took, also where it was done before. Trained once.

        Args:
            part: a learned encoder.
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
        check_states(task, part.encoder_name, hasattr(part.encoder, "states"), reserved["view"])

        def made(space: SearchSpace) -> nn.Module:
            return build(part.encoder, space, part.options)

        graphs = self.costed if self.unlabelled is None else self.unlabelled
        identity = [part.encoder_name, own, reserved["view"], task.text, task.source, self.seen]
        key = json.dumps(identity, sort_keys=True)
        if key not in self._starts:
            self._starts[key] = self.keep(identity, lambda: pretrain(made, task, graphs, self.space, device)[0])
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
