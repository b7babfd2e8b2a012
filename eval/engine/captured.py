"""Steps from fixed memory, which a GPU replays as one captured program (a CUDA graph) instead of thousands of launches.

Everything but the capture itself works on every device: what changes from step to step lies in tensors that stay where
they are (positions, learning rate, weights, averages, running statistics, counters of random numbers), and is written
in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor

from archrank.datasets.errors import one_line
from archrank.eval.engine.batching import BatchSampler
from archrank.eval.engine.packed import PackedUpdate
from archrank.eval.engine.random_numbers import HashedNoise
from archrank.eval.engine.update import Update

WARM_UP = 3
# Replayed and ordinary steps may differ by this share of the largest weight: they run the same kernels.
ROUNDING = 1e-5
Step = Callable[[], None]
_captures: ContextVar[bool] = ContextVar("captures", default=True)


@contextmanager
def no_capture() -> Iterator[None]:
    """Training inside launches its steps operation after operation, on a GPU too; for measuring."""
    token = _captures.set(False)
    try:
        yield
    finally:
        _captures.reset(token)


def captures(device: torch.device) -> bool:
    """Whether steps are captured on a device."""
    return device.type == "cuda" and _captures.get()


def capture(step: Step) -> Step:
    """A CUDA graph of `step`, as a function that replays it. It runs a few times before, which changes its tensors."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    replay: Step = graph.replay
    return replay


@dataclass(eq=False)
class PlainSteps:
    """Trains an update step by step, as it stands. Arguments as of `CapturedSteps`."""

    update: Update
    sampler: BatchSampler
    finite: Tensor
    notes: list[str] = field(default_factory=list)

    def __call__(self, chosen: Tensor, rate: float) -> None:
        """The next step, on the training architectures at `chosen` positions [M, B], at a learning rate."""
        self.finite.logical_and_(self.update(self.sampler(chosen), rate).isfinite())


@dataclass(eq=False)
class CapturedSteps:
    """Trains an update step by step, by one captured program for each size of batch.

    Args:
        update: what trains.
        sampler: gives its batches; its random numbers are hashed ones, whose counters move on in a replay.
        finite: bool [M], which members' losses have all been finite.
        capture: makes a program of a step; where it fails, or what it made does something else, steps run as ever and
            `notes` say why.
    """

    update: PackedUpdate
    sampler: BatchSampler
    finite: Tensor
    capture: Callable[[Step], Step] = capture
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        group = self.update.optimizer.param_groups[0]
        group["lr"] = self.rate = torch.zeros((), device=self.finite.device, dtype=torch.get_default_dtype())
        group["capturable"] = self.finite.device.type == "cuda"
        self.buffers = dict(self.update.ensemble.buffers)
        self._positions: dict[int, Tensor] = {}
        self._programs: dict[int, Step] = {}

    def __call__(self, chosen: Tensor, rate: float) -> None:
        """The next step, on the training architectures at `chosen` positions [M, B], at a learning rate."""
        size = chosen.shape[1]
        self.rate.fill_(rate)
        if size not in self._programs:
            self._positions[size] = chosen.clone()
            self._programs[size] = self._program(size)
        self._positions[size].copy_(chosen)
        self._programs[size]()

    def _program(self, size: int) -> Step:
        """The step at one size of batch, captured where that is possible. Leaves the training as it is."""

        def step() -> None:
            self._step(self._positions[size])

        if self.notes:
            return step
        if not self._programs:
            self._make_optimizer_state(step)
        before = self._kept()
        try:
            replay = self.capture(step)
            self._restore(before)
            replay()
            replayed = self.update.row.detach().clone()
        except Exception as error:  # whatever a capture objects to
            self.notes.append(f"steps were not captured: {one_line(error, 160)}")
            self._restore(before)
            return step
        self._restore(before)
        step()
        ordinary = self.update.row.detach().clone()
        self._restore(before)
        moved = (ordinary - before[0]).abs().max()
        if (replayed - ordinary).abs().max() > ROUNDING * moved + torch.finfo(
            ordinary.dtype
        ).eps * ordinary.abs().max():
            self.notes.append("steps were not captured: a replayed one does not do what it does as it stands")
            return step
        return replay

    def _step(self, positions: Tensor) -> None:
        loss = self.update.advance(self.sampler(positions))
        self.finite.logical_and_(loss.isfinite())
        if self.buffers:
            held = self.update.ensemble.buffers
            torch._foreach_copy_(list(self.buffers.values()), [held[name] for name in self.buffers])
            held.update(self.buffers)

    def _state(self) -> list[Tensor]:
        """Every tensor that a step changes, the weights first."""
        optimizer = [value for state in self.update.optimizer.state.values() for value in state.values()]
        average = [self.update.average_row] if self.update.average is not None else []
        noise = [self.sampler.noise.state] if isinstance(self.sampler.noise, HashedNoise) else []
        return [self.update.row.detach(), *optimizer, *average, *self.buffers.values(), *noise, self.finite]

    def _kept(self) -> list[Tensor]:
        return [tensor.clone() for tensor in self._state()]

    def _restore(self, state: list[Tensor]) -> None:
        for tensor, value in zip(self._state(), state, strict=True):
            tensor.copy_(value)

    def _make_optimizer_state(self, step: Step) -> None:
        """Have the optimiser make its tensors, which it does in its first step."""
        before = self._kept()
        step()
        self.update.optimizer.state, made = type(self.update.optimizer.state)(dict), self.update.optimizer.state
        self._restore(before)
        for state in made.values():
            for value in state.values():
                value.zero_()
        self.update.optimizer.state = made
