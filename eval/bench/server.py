"""What a measuring process does when it is asked: each method measures one thing and returns plain numbers."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from archrank.eval.bench.case import Case
from archrank.eval.bench.clock import Stopwatch, peak_memory
from archrank.eval.bench.prepared_case import PreparedCase, prepare
from archrank.eval.bench.pretraining import options
from archrank.eval.bench.roofline import roofline
from archrank.eval.bench.runners import Engine, VariantRunner, make_runner
from archrank.eval.bench.synthetic import random_cells


class MeasurementServer:
    """Keeps the prepared case between questions. threads: of PyTorch in this process."""

    def __init__(self, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self.prepared: PreparedCase | None = None
        self.runner: VariantRunner | None = None
        self.enough = 0  # steps that take about the wanted time, once tried
        self.warm = False  # whether the runner has predicted before

    def prepare(self, case: dict[str, Any], variant: str, folder: Path | None = None) -> dict[str, Any]:
        """Make a case ready in one variant. folder: of checkouts, for `official`.

        `idle`: peak memory after the imports that the variant needs, before any architecture is loaded (right for the
        first case of a process).
        `steps`: optimiser steps of the recipe in full. `apart`: see `Conventional.apart`.
        """
        self.prepared, self.runner, self.enough, self.warm = None, None, 0, False
        if variant == "torch-geometric":
            import_module("archrank.eval.bench.conventional")
        idle = peak_memory()
        self.prepared = prepare(Case(**case))
        self.runner = make_runner(self.prepared, variant, folder)
        recipe = self.prepared.job.recipe
        answer: dict[str, Any] = {
            "idle": idle,
            "steps": self.prepared.job.steps,
            "per_epoch": self.prepared.job.steps_per_epoch,
            "recipe": recipe.name,
            "batch": recipe.batch,
            "notes": self.prepared.notes,
            "members": self.runner.members,
        }
        if self.prepared.case.pretraining:
            chosen = options(self.prepared)
            answer |= {"steps": chosen["updates"], "recipe": "pre-training", "batch": chosen["batch"]}
        return answer if isinstance(self.runner, Engine) else answer | {"apart": self.runner.apart()}

    def train(self, updates: int | None = None, seconds: float = 1.0) -> dict[str, Any]:
        """Train from the start for `updates` measured steps, or for about so many seconds; the first step is not
        measured.

        `wall` and `cpu`: seconds a step of one member.
        """
        runner, prepared = self._ready()
        cycle = prepared.job.steps_per_epoch if prepared.job.recipe.updates is None else 1
        watch = Stopwatch()
        if updates is None:
            if not self.enough:
                done = runner.train(cycle + 1, watch.start)
                self.enough = max(done, round(seconds / (watch.read()[0] / done)))
            updates = self.enough
        # Whole epochs, so that full and partial batches are there in their shares.
        steps = math.ceil(updates / cycle) * cycle + (1 if cycle == 1 else 0)
        done = runner.train(steps, watch.start)
        wall, cpu = watch.read()
        return {
            "wall": wall / done / runner.members,
            "cpu": cpu / done / runner.members,
            "measured": done,
            "members": runner.members,
            "peak": self._peak(),
        }

    def predict(self) -> dict[str, Any]:
        """Predict with what was trained last, after once to warm up. `wall` and `cpu`: seconds an architecture and
        member."""
        runner, _ = self._ready()
        if not self.warm:
            runner.predict()
            self.warm = True
        watch = Stopwatch()
        watch.start()
        count = runner.predict()
        wall, cpu = watch.read()
        return {
            "wall": wall / count,
            "cpu": cpu / count,
            "measured": count,
            "members": runner.members,
            "peak": self._peak(),
        }

    def predict_cells(self, cells: int) -> dict[str, Any]:
        """Predict so many random NAS-Bench-101-sized cells, deriving their structure included. `wall` and `cpu`:
        seconds for all of them."""
        runner, _ = self._ready()
        assert isinstance(runner, Engine)
        graphs = random_cells(cells, seed=1)[1]
        watch = Stopwatch()
        watch.start()
        count = runner.predict_space(graphs)
        wall, cpu = watch.read()
        return {"wall": wall, "cpu": cpu, "measured": count, "members": runner.members, "peak": self._peak()}

    def python_share(self, updates: int = 1) -> dict[str, Any]:
        """Share of training time outside every operator that `torch.profiler` records, from the second step on.

        1 - (sum of the operators' self CPU time) / (wall time of the profiled steps). Operators are ATen's and the
        nodes of the backward pass; the profiler's marks of Python functions (their names hold a #) are none. Recording
        lengthens every operator by about a microsecond, so the share without the profiler is somewhat larger.
        """
        runner, _ = self._ready()
        recorder = profile(activities=[ProfilerActivity.CPU])
        watch = Stopwatch()

        def began() -> None:
            recorder.start()
            watch.start()

        runner.train(updates + 1, began)
        wall, cpu = watch.read()
        recorder.stop()
        inside = sum(event.self_cpu_time_total for event in recorder.key_averages() if "#" not in event.key) / 1e6
        # CPU time where a busy machine made the process wait; both are the same where it did not.
        return {"share": max(0.0, 1 - inside / wall), "inside": inside, "wall": wall, "cpu": cpu}

    def roofline(self) -> dict[str, Any]:
        """See `roofline.Roofline`."""
        _, prepared = self._ready()
        return roofline(prepared).as_dict()

    def _ready(self) -> tuple[VariantRunner, PreparedCase]:
        assert self.runner is not None and self.prepared is not None, "prepare comes first"
        return self.runner, self.prepared

    def _peak(self) -> int:
        assert self.prepared is not None
        device = self.prepared.case.device
        return peak_memory() if device == "cpu" else int(torch.cuda.max_memory_allocated(device))
