"""Training and scoring of many (cell, seed) members as one batched program.

The position of a digit is random: it stays, or moves one pixel up, down, left or right, with probabilities that fall
off as a Gaussian of the distance. Training draws shifts; scores are the exact expectation over them, so a score is
steadier than a plain accuracy and (as the centre weighs more than the sides) hardly ever tied.

A seed fixes the order of images and their shifts, the same for every cell, so cells are compared on the same data;
(cell hash, seed) fixes the initial weights. What is reproduced bit for bit, on one thread of the same machine and
software, is a cell with the same list of seeds in one program: convolution libraries choose their summation order by
the number of groups.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from archrank.datasets.digits101.network import SharedProgram, Skeleton
from archrank.datasets.digits101.task import DigitsTask
from archrank.datasets.errors import DataError
from archrank.datasets.nb101_cells import NB101Cell

SHIFTS = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]


@dataclass(frozen=True)
class DigitsRecipe:
    """How every member is trained. The learning rate rises linearly over `warmup` of the steps, then falls to 0 as a
    cosine.

    jitter: standard deviation, in pixels, of the Gaussian that weights the five shifts.
    """

    epochs: int = 9
    batch: int = 50
    learning_rate: float = 0.2
    momentum: float = 0.8
    weight_decay: float = 1e-3
    warmup: float = 0.2
    jitter: float = 0.8
    skeleton: Skeleton = field(default_factory=Skeleton)

    def digest(self, task: DigitsTask) -> str:
        """Names (recipe, task): trainings with the same digest belong in one table."""
        return hashlib.sha256(f"{sorted(asdict(self).items())}/{task.sha256}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class TrainingScores:
    """Scores of one cell, float64 [seeds]; accuracies are fractions, log-likelihoods mean nats per image."""

    val_accuracy: list[float]
    test_accuracy: list[float]
    val_log_likelihood: list[float]
    test_log_likelihood: list[float]
    seconds: float

    @property
    def finite(self) -> bool:
        """Whether every score is a number (a diverged training gives none)."""
        return bool(np.isfinite(np.array([v for v in asdict(self).values() if isinstance(v, list)])).all())


class Trainer:
    """Trains cells on a task. Making one prepares the training batches of every seed, which all cells then share."""

    def __init__(
        self, task: DigitsTask, recipe: DigitsRecipe, seeds: Sequence[int], device: str | torch.device = "cpu"
    ) -> None:
        if len(task.train) < recipe.batch:
            raise DataError(
                f"a batch of {recipe.batch} needs as many training images, task {task.name} has {len(task.train)}"
            )
        self.task, self.recipe, self.seeds, self.device = task, recipe, list(seeds), torch.device(device)
        self.steps = recipe.epochs * (len(task.train) // recipe.batch)
        self.weights = shift_weights(recipe.jitter)
        # Background is 0 before standardising, so shifting first fills with background.
        images = np.stack([shifted(task.images, dy, dx) for dy, dx in SHIFTS])
        mean, std = task.images[task.train].mean(), task.images[task.train].std()
        self.images = torch.from_numpy((images - mean) / std).to(self.device)
        self.labels = torch.from_numpy(task.labels).to(self.device)
        drawn = [_draw(task, recipe, self.weights, seed) for seed in self.seeds]
        which = torch.from_numpy(np.stack([image for image, _ in drawn], -1)).to(self.device)  # [steps, batch, seeds]
        shift = torch.from_numpy(np.stack([shift for _, shift in drawn], -1)).to(self.device)
        self.batches = self.images[shift, which]  # [steps, batch, seeds, H, W]
        self.targets = self.labels[which]

    def train(self, cells: Sequence[NB101Cell]) -> list[TrainingScores]:
        """Train and score every seed of every cell, all in one program. Seconds are CPU time shared out evenly."""
        started = time.process_time()
        program = SharedProgram(cells, self.seeds, self.task.classes, self.recipe.skeleton, self.device)
        self._fit(program)
        test, validation = self.score(program, self.task.test), self.score(program, self.task.validation)
        seconds = (time.process_time() - started) / len(cells)
        count = len(self.seeds)
        return [
            TrainingScores(
                val_accuracy=validation[0][first : first + count],
                test_accuracy=test[0][first : first + count],
                val_log_likelihood=validation[1][first : first + count],
                test_log_likelihood=test[1][first : first + count],
                seconds=seconds,
            )
            for first in range(0, count * len(cells), count)
        ]

    def _fit(self, program: SharedProgram) -> None:
        recipe, cells = self.recipe, len(program.cells)
        parameters = program.parameters()
        optimiser = torch.optim.SGD(
            parameters, lr=0.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True, fused=True
        )
        for step in range(self.steps):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * rate(step, self.steps, recipe.warmup)
            images, targets = self.batches[step], self.targets[step]
            if cells > 1:
                images, targets = images.repeat(1, cells, 1, 1), targets.repeat(1, cells)
            logits = program(images.contiguous(memory_format=torch.channels_last), training=True)
            # A sum over members of means over images: each member's gradient is what it would be alone.
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / len(images)
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = gradient
            optimiser.step()

    @torch.no_grad()
    def score(
        self, program: SharedProgram, part: NDArray[np.int64], chunk: int = 256
    ) -> tuple[list[float], list[float]]:
        """(accuracy, mean log-likelihood) of each member on `part`, expectations over the five shifts."""
        members = len(program.cells) * len(program.seeds)
        right = torch.zeros(len(SHIFTS), members, dtype=torch.float64, device=self.device)
        likelihood = torch.zeros_like(right)
        where = torch.from_numpy(part).to(self.device)
        for s in range(len(SHIFTS)):
            for piece in torch.split(where, chunk):
                images = self.images[s, piece][:, None].expand(-1, members, -1, -1)
                logits = program(images.contiguous(memory_format=torch.channels_last))
                labels = self.labels[piece][:, None].expand(-1, members)
                right[s] += (logits.argmax(-1) == labels).sum(0)
                likelihood[s] -= F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(
                    0, dtype=torch.float64
                )
        weights = torch.from_numpy(self.weights).to(self.device) / len(part)
        return (weights @ right).tolist(), (weights @ likelihood).tolist()


def rate(step: int, steps: int, warmup: float) -> float:
    """Learning rate at `step` as a fraction of its peak: linear up over `warmup`, then a cosine down to almost 0."""
    progress = (step + 1) / (steps + 1)
    if progress < warmup:
        return progress / warmup
    return float(0.5 + 0.5 * np.cos(np.pi * (progress - warmup) / (1.0 - warmup)))


def shift_weights(jitter: float) -> NDArray[np.float64]:
    """Probability of each of `SHIFTS`: a Gaussian of standard deviation `jitter` pixels cut to one pixel each way."""
    weights = np.array([np.exp(-(dy * dy + dx * dx) / (2.0 * jitter * jitter)) for dy, dx in SHIFTS])
    return weights / weights.sum()


def shifted(images: NDArray[np.float32], dy: int, dx: int) -> NDArray[np.float32]:
    """Images [N, H, W] moved down by dy and right by dx pixels (each -1, 0 or 1), background moving in."""
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    return padded[:, 1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]


def _draw(
    task: DigitsTask, recipe: DigitsRecipe, weights: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Image index and shift index of every training sample of a seed, each int64 [steps, batch]."""
    digest = hashlib.sha256(f"data/{seed}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    per_epoch = len(task.train) // recipe.batch
    order = np.concatenate(
        [generator.permutation(task.train)[: per_epoch * recipe.batch] for _ in range(recipe.epochs)]
    ).reshape(-1, recipe.batch)
    return order, generator.choice(len(SHIFTS), size=order.shape, p=weights)
