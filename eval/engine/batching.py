"""Batches of an ensemble, step by step: every member's own order of its training architectures, and its own random
numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archrank.datasets.graphs import Graphs
from archrank.encoders.ensembling.noise import NoiseSource
from archrank.eval.engine.random_numbers import Noise, derive_seed, noise_on
from archrank.eval.engine.recipes import Recipe

Rows = NDArray[np.int64]
# Positions in batches that are sent to the device at once.
MOST_SENT = 2**22


@dataclass(frozen=True, eq=False)
class Member:
    """One predictor to be trained: its seed, training rows [n] with labels [n] (higher is better), rows to predict, and
    rows to encode."""

    seed: int
    train: Rows
    labels: NDArray[np.float64]
    test: Rows
    encode: Rows | None = None


@dataclass(frozen=True, eq=False)
class GraphView:
    """Architectures as M networks see them: graphs [M, B] and random numbers, for the network (`noise`) and for a loss
    that draws pairs (`pairs`, float [M, B, B]); None where none are taken. noise: float [M, n] (see
    `Ensemble.count_noise`), or for members that are called one after the other a source each."""

    graphs: Graphs
    noise: Tensor | Sequence[NoiseSource] | None
    pairs: Tensor | None

    def tensors(self) -> list[Tensor]:
        """Every tensor, in an order that depends on nothing but which there are."""
        return [
            *self.graphs.tensors().values(),
            *(part for part in (self.noise, self.pairs) if isinstance(part, Tensor)),
        ]

    def with_tensors(self, tensors: Iterator[Tensor]) -> GraphView:
        """A view like this one of `tensors`, ordered as by `tensors()`."""
        graphs = self.graphs.with_tensors({name: next(tensors) for name in self.graphs.tensors()})
        return GraphView(graphs, *(None if part is None else next(tensors) for part in (self.noise, self.pairs)))


@dataclass(frozen=True, eq=False)
class Batch:
    """What M members train on in one step: labels [M, B] (higher is better) of the architectures in the first view; in
    a second one, where a recipe has a consistency loss, the same architectures in an equivalent form."""

    labels: Tensor
    views: tuple[GraphView, ...]

    def tensors(self) -> list[Tensor]:
        """Every tensor, the labels first."""
        return [self.labels, *(tensor for view in self.views for tensor in view.tensors())]

    def with_tensors(self, tensors: Sequence[Tensor]) -> Batch:
        """A batch like this one of `tensors`, ordered as by `tensors()`."""
        rest = iter(tensors)
        return Batch(next(rest), tuple(view.with_tensors(rest) for view in self.views))


class BatchSampler:
    """Makes batches. spaces: graphs [N] of the space, and where a recipe has a consistency loss their equivalents.

    numbers: how many random numbers a network takes for a batch, by its architectures; None: as many as each member
    asks for.
    """

    def __init__(
        self, members: Sequence[Member], spaces: Sequence[Graphs], recipe: Recipe, numbers: Mapping[int, int] | None
    ) -> None:
        # What is trained on is laid close together: a whole space does not fit into a processor's caches.
        used, places = np.unique(np.concatenate([member.train for member in members]), return_inverse=True)
        self.spaces = [space[torch.from_numpy(used).to(space.device)] for space in spaces]
        self.members, self.numbers = members, numbers
        self.device, self.dtype = spaces[0].device, torch.get_default_dtype()
        rows = np.split(places, np.cumsum([len(member.train) for member in members])[:-1])
        self.rows = _side_by_side(rows).to(self.device)
        self.labels = _side_by_side([member.labels for member in members]).to(self.device, self.dtype)
        self.noise = self._noise()
        self.draws_pairs = recipe.pairs_per_item is not None or recipe.difference > 0

    def __call__(self, chosen: Tensor) -> Batch:
        """The batch of the training architectures at each member's `chosen` positions, int64 [M, B] on the device."""
        return self._batch(chosen, self.noise)

    def sample(self, count: int) -> Batch:
        """A batch of each member's first `count` training architectures, which takes nothing from the random numbers of
        training."""
        return self._batch(torch.arange(count, device=self.device).expand(len(self.members), -1), self._noise())

    def _noise(self) -> Noise:
        return noise_on(self.device, [member.seed for member in self.members])

    def _batch(self, chosen: Tensor, noise: Noise) -> Batch:
        rows, count = self.rows.gather(1, chosen), chosen.shape[1]
        views = (
            GraphView(
                space[rows], self._network_noise(noise, count), noise.fine(count, count) if self.draws_pairs else None
            )
            for space in self.spaces
        )
        return Batch(self.labels.gather(1, chosen), tuple(views))

    def _network_noise(self, noise: Noise, count: int) -> Tensor | Sequence[NoiseSource] | None:
        if self.numbers is None:
            return noise.sources()
        return noise.coarse(self.numbers[count]) if self.numbers[count] else None


def _side_by_side(rows: Sequence[NDArray]) -> Tensor:
    """Rows of any lengths as [M, longest], filled with zeros."""
    longest = max(map(len, rows))
    return torch.from_numpy(np.stack([np.pad(row, (0, longest - len(row))) for row in rows]))


def batches(size: int, recipe: Recipe, seed: int) -> Iterator[Rows]:
    """Positions 0..size-1 of each step's batch, in the member's own order.

    With `updates` every batch is full and epochs run into each other; with `epochs` each epoch ends in a partial batch
    (dropped if it is a single architecture).
    """
    rng = np.random.default_rng(derive_seed(seed, "order"))
    batch = min(recipe.batch, size)
    if recipe.updates is not None:
        ahead = np.empty(0, np.int64)
        for _ in range(recipe.updates):
            while len(ahead) < batch:
                ahead = np.concatenate([ahead, rng.permutation(size)])
            yield ahead[:batch]
            ahead = ahead[batch:]
        return
    assert recipe.epochs is not None
    for _ in range(recipe.epochs):
        order = rng.permutation(size)
        for start in range(0, size, batch):
            if size - start > 1 or size == 1:
                yield order[start : start + batch]


def positions(members: Sequence[Member], recipe: Recipe, device: torch.device) -> Iterator[Tensor]:
    """The `batches` of all members, int64 [M, B] each, sent to the device many steps at a time."""
    walk = zip(*(batches(len(member.train), recipe, member.seed) for member in members))
    together = max(1, MOST_SENT // (len(members) * recipe.batch))
    while portion := list(islice(walk, together)):
        sizes = [len(step[0]) for step in portion]
        yield from torch.from_numpy(np.concatenate([np.stack(step) for step in portion], 1)).to(device).split(sizes, 1)


def steps_per_epoch(size: int, recipe: Recipe) -> int:
    """Batches in one epoch of `size` architectures."""
    batch = min(recipe.batch, size)
    return max(1, size // batch + (1 if size % batch > 1 else 0))


def steps(size: int, recipe: Recipe) -> int:
    """Updates that a recipe makes on `size` training architectures, which is the number of `batches`."""
    if recipe.updates is not None:
        return recipe.updates
    assert recipe.epochs is not None
    return recipe.epochs * steps_per_epoch(size, recipe)


def sizes(size: int, recipe: Recipe) -> list[int]:
    """Architectures in a batch, all numbers that occur: of a full one, and of a last partial one."""
    batch = min(recipe.batch, size)
    return [batch, size % batch] if recipe.updates is None and size % batch > 1 else [batch]
