"""The variants of a case's work that are measured side by side.

Every runner has `train(steps, began)`, which runs at least `steps` optimiser steps, to the end of an epoch, calls
`began` once the first is done and returns how many came after it (the first one warms up and is not measured), and
`predict()`, which returns how many scores it made.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.eval.bench.prepared_case import PreparedCase
from archrank.eval.bench.pretraining import Pretraining
from archrank.eval.engine.captured import no_capture
from archrank.eval.engine.predicting import predict
from archrank.eval.engine.training import Trained, synchronize
from archrank.eval.trials.job import TrainingJob


class VariantRunner(Protocol):
    """See the top of this module."""

    members: int

    def train(self, steps: int, began: Callable[[], None]) -> int:
        """Train from the start; returns the measured steps."""

    def predict(self) -> int:
        """Predict with what was last trained; returns the number of scores."""

    def apart(self) -> float:
        """The largest difference of its scores from those of the ensemble's network with the same weights, as a share
        of the largest score."""


class Engine:
    """archrank's own harness."""

    def __init__(
        self,
        prepared: PreparedCase,
        members: int,
        one_program: bool = True,
        compiled: bool = False,
        eager: bool = False,
    ) -> None:
        self.prepared, self.members, self.one_program, self.compiled = prepared, members, one_program, compiled
        self.launching = no_capture if eager else nullcontext
        self.job = prepared.job.with_members(prepared.job.members[:members])
        self.trained: Trained | None = None

    def train(self, steps: int, began: Callable[[], None]) -> int:
        """See `VariantRunner`."""
        device, job = self.prepared.case.device, shortened(self.job, steps)
        heard: list[int] = []

        def progress(share: float) -> None:
            if not heard:
                heard.append(job.steps - round(share * job.steps) - 1)
                synchronize(device)
                began()

        with self.launching():
            self.trained = job.fit(
                device=device, progress=progress, one_program=self.one_program, compiled=self.compiled
            )
        # What was derived for the whole space stays, so that setting up again costs nothing.
        self.job = replace(self.job, graphs=self.trained.graphs)
        return heard[0]

    def predict(self) -> int:
        """See `VariantRunner`."""
        assert self.trained is not None
        if self.prepared.encode is not None:
            self.prepared.encode()
        rows = [self.prepared.rows] * self.members
        scores = predict(self.trained.ensemble, self.trained.graphs, rows, self.trained.pairs, self.trained.average)
        synchronize(self.prepared.case.device)
        return sum(map(len, scores))

    def apart(self) -> float:
        """0: it is that network."""
        return 0.0

    def predict_space(self, graphs: Graphs) -> int:
        """The same for architectures of which nothing is derived yet, which is part of the work: [P] plain graphs."""
        assert self.trained is not None
        ready = graphs.plain().to(self.prepared.case.device).prepare(self.trained.graphs)
        rows = torch.arange(len(graphs)).numpy()
        scores = predict(self.trained.ensemble, ready, [rows] * self.members, self.trained.pairs, self.trained.average)
        synchronize(self.prepared.case.device)
        return sum(map(len, scores))


def shortened(job: TrainingJob, steps: int) -> TrainingJob:
    """The job cut to about `steps` steps: so many updates, or epochs up to the next whole one."""
    if job.recipe.updates is not None:
        return job.with_recipe(updates=steps)
    return job.with_recipe(epochs=-(-steps // job.steps_per_epoch))


def make_runner(prepared: PreparedCase, variant: str, folder: Path | None = None) -> VariantRunner:
    """The runner of a variant; ArchrankError where the case has no such form. folder: of checkouts."""
    if variant == "official":
        if folder is None:
            raise ArchrankError("variant 'official' needs a checkout: --against FOLDER")
        from archrank.eval.bench.official.runner import OfficialCode

        return OfficialCode(prepared, folder)
    if prepared.case.pretraining:
        return Pretraining(prepared)
    if variant == "torch-geometric":
        # Only where it is measured: importing the library takes as much memory as all the rest.
        from archrank.eval.bench.conventional import Conventional

        return Conventional(prepared)
    if variant == "alone":
        return Engine(prepared, 1)
    return Engine(prepared, len(prepared.job.members), variant != "loop", variant == "compiled", variant == "eager")
