"""How long a run will roughly take: a few optimiser steps of every kind that it has are timed, and multiplied."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from archrank.eval.engine.batching import Member
from archrank.eval.engine.regressors import checked_features
from archrank.eval.trials.groups import compose
from archrank.eval.trials.job import Given, TrainingJob, make_job
from archrank.eval.trials.specs import Spec
from archrank.eval.trials.trial import Plan, Planned

TIMED = 3


def training_seconds(plan: Plan, device: str = "cpu", timed: int = TIMED) -> float:
    """Rough seconds that training the learned encoders of a plan takes on one core (or on one GPU), without evaluation.

    For every ensemble of one batch size and width `timed` steps are timed with made-up labels; nothing is stored.
    """
    known: dict[tuple[str, str, int, int], float] = {}
    total = 0.0
    for items in compose([item for item in plan.trials if item.spec.info.learned], device):
        job = _job(plan, items)
        batch = min(job.recipe.batch, items[0].trial.budget)
        kind = (items[0].spec.label, items[0].trial.benchmark, batch, len(items))
        if kind not in known:
            known[kind] = _step_seconds(job, device, timed)
        total += job.steps * known[kind]
    return total


def ensemble_seconds(plan: Plan, items: Sequence[Planned], device: str = "cpu") -> float:
    """Rough seconds that one ensemble of a plan takes: encoding or pre-training, and training, without evaluation."""
    job = _job(plan, items)
    if items[0].spec.info.learned:
        return job.steps * _step_seconds(job, device, TIMED)
    seconds = _encoding_seconds(job)
    brief = _job(plan, [replace(item, spec=_brief(item.spec, 2)) for item in items])
    features = checked_features(brief.spec.info.name, brief.encode(brief.graphs.plain()), len(brief.graphs))
    job = brief.with_features(features.double().numpy())
    if items[0].spec.neural:
        return seconds + job.steps * _step_seconds(job, device, TIMED)
    start = time.perf_counter()
    job.with_members(job.members[:1]).train()
    return seconds + (time.perf_counter() - start) * len(items)


def _job(plan: Plan, items: Sequence[Planned]) -> TrainingJob:
    """The ensemble with made-up labels."""
    rng, benchmark = np.random.default_rng(0), plan.benchmarks[items[0].trial.benchmark]
    members = []
    for item in items:
        rows = plan.splits[item.trial.split].train(item.trial.budget)
        members.append(Member(item.trial.seed, rows, rng.standard_normal(len(rows)), rows[:2]))
    return make_job(items[0].spec, items[0].recipe, benchmark.space, benchmark.graphs).with_members(members)


def _step_seconds(job: TrainingJob, device: str, timed: int) -> float:
    """Seconds of one step of the whole ensemble."""
    # Its pre-training is not timed.
    short = job.with_given(Given()).with_recipe(epochs=None, warmup=0.0, schedule="constant")
    for count in (1, timed):  # the first time, everything is slower
        seconds = short.with_recipe(updates=count).fit(device=device).seconds / count
    return seconds


def _encoding_seconds(job: TrainingJob) -> float:
    """Seconds of a fixed encoding of all architectures; a pre-training is timed for a few updates, and multiplied."""
    counts = {count: _brief(job.spec, count) for count in (2, 2 + TIMED)}
    if counts[2] is job.spec:
        return _timed(job)
    few, more = (_timed(replace(job, config=dict(spec.config))) for spec in counts.values())
    options = {name: option.default for name, option in job.spec.info.options.items()} | job.config
    updates = next(options[name] for name in ("updates", "epochs") if name in options)
    return few + max(more - few, 0.0) / TIMED * max(updates - 2, 0)


def _timed(job: TrainingJob) -> float:
    start = time.perf_counter()
    job.encode(job.graphs.plain())
    return time.perf_counter() - start


def _brief(spec: Spec, count: int) -> Spec:
    """The same encoder with so many updates of its pre-training, where it has one."""
    cut = next((name for name in ("updates", "epochs") if name in spec.info.options), None)
    if not spec.info.pretrained or cut is None:
        return spec
    return replace(spec, config=spec.config | {cut: count})
