"""What an ensemble is fed, step by step: every member's own order of its training architectures, and its own random
numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archrank.datasets.graphs import Graphs
from archrank.encoders.ensembling.noise import Source
from archrank.eval.engine.recipes import Recipe

Rows = NDArray[np.int64]


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
class View:
    """Architectures as M networks see them: graphs [M, B] and random numbers, for the network (`drawn`) and for a loss
    that draws pairs (`matches`, float [M, B, B]); None where none are taken. drawn: float [M, n] (see
    `Ensemble.count_noise`), or for members that are called one after the other a source each."""

    graphs: Graphs
    drawn: Tensor | Sequence[Source] | None
    matches: Tensor | None

    def tensors(self) -> list[Tensor]:
        """Every tensor, in an order that depends on nothing but which there are."""
        return [
            *self.graphs.tensors().values(),
            *(part for part in (self.drawn, self.matches) if isinstance(part, Tensor)),
        ]

    def with_tensors(self, tensors: Iterator[Tensor]) -> View:
        """A view like this one of `tensors`, ordered as by `tensors()`."""
        graphs = self.graphs.with_tensors({name: next(tensors) for name in self.graphs.tensors()})
        return View(graphs, *(None if part is None else next(tensors) for part in (self.drawn, self.matches)))


@dataclass(frozen=True, eq=False)
class Batch:
    """What M members see in one step: labels [M, B] (higher is better) of the architectures in the first view; in a
    second one, where a recipe has a consistency loss, the same architectures in an equivalent form."""

    labels: Tensor
    views: tuple[View, ...]

    def tensors(self) -> list[Tensor]:
        """Every tensor, the labels first."""
        return [self.labels, *(tensor for view in self.views for tensor in view.tensors())]

    def with_tensors(self, tensors: Sequence[Tensor]) -> Batch:
        """A batch like this one of `tensors`, ordered as by `tensors()`."""
        rest = iter(tensors)
        return Batch(next(rest), tuple(view.with_tensors(rest) for view in self.views))


class Feed:
    """Makes batches. spaces: graphs [N] of the space, and where a recipe has a consistency loss their equivalents.

    numbers: how many random numbers a network takes for a batch, by its architectures; None: as many as each member
    asks for.
    """

    def __init__(
        self, members: Sequence[Member], spaces: Sequence[Graphs], recipe: Recipe, numbers: Mapping[int, int] | None
    ) -> None:
        # What is trained on is laid close together: a whole space does not fit into a processor's caches.
        used, places = np.unique(np.concatenate([member.train for member in members]), return_inverse=True)
        self.rows = np.split(places, np.cumsum([len(member.train) for member in members])[:-1])
        self.spaces = [space[torch.from_numpy(used).to(space.device)] for space in spaces]
        self.members, self.numbers = members, numbers
        self.device, self.dtype = spaces[0].device, torch.get_default_dtype()
        self.noise = Noise([member.seed for member in members], self.device)
        self.matched = recipe.pairs_per_item is not None or recipe.difference > 0

    def __call__(self, chosen: Sequence[Rows]) -> Batch:
        """The batch of the training architectures at each member's `chosen` positions [B]."""
        return self._batch(chosen, self.noise)

    def sample(self, count: int) -> Batch:
        """A batch of each member's first `count` training architectures, which takes nothing from the random numbers of
        training."""
        return self._batch(
            [np.arange(count)] * len(self.members), Noise([member.seed for member in self.members], self.device)
        )

    def _batch(self, chosen: Sequence[Rows], noise: Noise) -> Batch:
        index = np.stack([rows[positions] for rows, positions in zip(self.rows, chosen)])
        labels = np.stack([member.labels[positions] for member, positions in zip(self.members, chosen)])
        rows, count = torch.from_numpy(index).to(self.device), index.shape[1]
        views = (
            View(space[rows], self._drawn(noise, count), noise.fine(count, count) if self.matched else None)
            for space in self.spaces
        )
        return Batch(torch.from_numpy(labels).to(self.device, self.dtype), tuple(views))

    def _drawn(self, noise: Noise, count: int) -> Tensor | Sequence[Source] | None:
        if self.numbers is None:
            return noise.sources()
        return noise.coarse(self.numbers[count]) if self.numbers[count] else None


class Noise:
    """Every member's own stream of uniform numbers in [0, 1)."""

    def __init__(self, seeds: Sequence[int], device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.streams = [torch.Generator(device).manual_seed(derive_seed(seed, "noise")) for seed in seeds]
        self.words = (
            [np.random.SFC64(derive_seed(seed, "coarse noise")) for seed in seeds] if self.device.type == "cpu" else []
        )

    def fine(self, *shape: int) -> Tensor:
        """float [M, *shape], of single precision's 2^24 values."""
        return torch.stack([torch.rand(shape, generator=stream, device=self.device) for stream in self.streams])

    def coarse(self, count: int) -> Tensor:
        """float [M, count]: on a CPU multiples of 2^-16, four to a random word. Dropout takes so many that PyTorch's
        would be a tenth of a small network's time."""
        if not self.words:
            return self.fine(count)
        return _uniform(np.stack([_quarters(words, count) for words in self.words])[:, :count])

    def sources(self) -> list[Source]:
        """For one step a source for each member, which draws what is asked of it: on a CPU the numbers that `coarse`
        gives."""
        return [_Words(words) for words in self.words] or [_Fine(stream) for stream in self.streams]


class _Words:
    """A member's coarse numbers for one step, drawn when they are taken; what is left of the last word is not used
    again."""

    def __init__(self, words: np.random.SFC64) -> None:
        self.words, self.left = words, np.empty(0, np.int16)

    def take(self, like: Tensor) -> Tensor:
        count = math.prod(like.shape)
        if count > len(self.left):
            self.left = np.concatenate([self.left, _quarters(self.words, count - len(self.left))])
        part, self.left = self.left[:count], self.left[count:]
        return _uniform(part).reshape(like.shape)


class _Fine:
    """A member's numbers from a torch generator."""

    def __init__(self, stream: torch.Generator) -> None:
        self.stream = stream

    def take(self, like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=self.stream, device=self.stream.device, dtype=torch.get_default_dtype())


def _quarters(words: np.random.SFC64, count: int) -> NDArray[np.int16]:
    """At least `count` random numbers of 16 bits, as many as whole words of 64 hold."""
    return words.random_raw(-(-count // 4)).view(np.int16)


def _uniform(drawn: NDArray[np.int16]) -> Tensor:
    return torch.from_numpy(drawn).to(torch.get_default_dtype()).add_(2**15).mul_(2**-16)


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


def derive_seed(seed: int, purpose: str) -> int:
    """A seed of its own for every purpose (63 bits), the same on every machine."""
    entropy = [seed, *purpose.encode()]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
