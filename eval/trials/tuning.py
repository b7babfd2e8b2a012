"""Tuning inside the labels of a budget: each network chooses fields of its recipe by cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from archrank.eval.auto.folds import assign_folds, same_computation
from archrank.eval.engine.batching import Member
from archrank.eval.engine.training import Outcome, Progress
from archrank.eval.metrics import kendall
from archrank.eval.trials.job import TrainingJob


def train_tuned(
    job: TrainingJob, *, device: str = "cpu", progress: Progress | None = None, compiled: bool = False
) -> list[Outcome]:
    """Train the members of a job, each with the candidate of its tuned recipe that ranks its held-out labels best.

    Every candidate trains all folds of all members as one ensemble. What was chosen is in an outcome's notes, and the
    seconds of choosing in its cost. progress: called with the share that is done.
    """
    candidates, reached, seconds = _compared(job, device, compiled, progress)
    chosen = reached.argmax(0)  # the first, which is the recipe itself, where several are best
    outcomes: dict[int, Outcome] = {}
    for number in np.unique(chosen):
        members = np.flatnonzero(chosen == number)
        alike = _with(job, candidates[number]).with_members([job.members[m] for m in members])
        outcomes |= dict(zip(members.tolist(), alike.train(device=device, compiled=compiled)))
    for m, outcome in outcomes.items():
        said = ", ".join(f"{name}={value:g}" for name, value in candidates[chosen[m]].items()) or "nothing changed"
        outcome.notes.append(
            f"tuned: {said} (tau {reached[chosen[m], m]:.3f} on held-out labels, {reached[0, m]:.3f} as it was)"
        )
        outcome.fit_s += seconds
    return [outcomes[m] for m in range(len(job.members))]


def best_candidate(job: TrainingJob, device: str = "cpu", progress: Progress | None = None) -> TrainingJob:
    """The job with the one candidate of its tuned recipe that ranks the held-out labels of its members best on
    average, so that they train as one ensemble."""
    candidates, reached, _ = _compared(job, device, False, progress)
    return replace(_with(job, candidates[int(reached.mean(1).argmax())]), tuned=None)


def _compared(
    job: TrainingJob, device: str, compiled: bool, progress: Progress | None
) -> tuple[list[Mapping[str, float]], NDArray[np.float64], float]:
    """Candidates, first the recipe itself; the tau on held-out labels [candidates, members]; and seconds per member."""
    assert job.tuned is not None
    candidates: list[Mapping[str, float]] = [{}, *(fields for fields in job.tuned.candidates if _fits(job, fields))]
    folds = [_folds(job, member, job.tuned.folds) for member in job.members]
    reached, seconds = np.empty((len(candidates), len(job.members))), 0.0
    for number, fields in enumerate(candidates):
        reached[number], spent = _tried(_with(job, fields), folds, device, compiled)
        seconds += spent / len(job.members)
        if progress is not None:
            progress((number + 1) / (len(candidates) + 1))
    return candidates, reached, seconds


def _fits(job: TrainingJob, fields: Mapping[str, float]) -> bool:
    """Whether a candidate is one for this encoder."""
    return "dropout" not in fields or (job.spec.info.learned and "dropout" in job.spec.info.options)


def _with(job: TrainingJob, fields: Mapping[str, float]) -> TrainingJob:
    """The job with a candidate's fields in its recipe, or in the encoder's options."""
    recipe = {name: value for name, value in fields.items() if name != "dropout"}
    options = {name: value for name, value in fields.items() if name == "dropout"}
    return replace(job.with_recipe(**recipe), config={**job.config, **options})


def _folds(job: TrainingJob, member: Member, count: int) -> NDArray[np.int64]:
    graphs = job.graphs[torch.as_tensor(member.train)].plain()
    return assign_folds(member.labels, same_computation(graphs, job.space), count, member.seed)


def _tried(
    job: TrainingJob, folds: list[NDArray[np.int64]], device: str, compiled: bool
) -> tuple[NDArray[np.float64], float]:
    """Mean tau over the folds of each member's held-out labels, and the seconds that took."""
    inner, held = [], []
    least = min(int((fold != k).sum()) for fold in folds for k in np.unique(fold))
    for member, fold in zip(job.members, folds):
        for k in np.unique(fold):
            training = np.flatnonzero(fold != k)[:least]  # members of one ensemble have equally many labels
            out = np.flatnonzero(fold == k)
            inner.append(Member(member.seed, member.train[training], member.labels[training], member.train[out]))
            held.append(member.labels[out])
    smaller = job.with_recipe(batch=min(job.recipe.batch, least)).with_members(inner)
    outcomes = smaller.train(device=device, compiled=compiled)
    taus = [kendall(labels, outcome.predictions, "max") for labels, outcome in zip(held, outcomes)]
    counts = [len(np.unique(fold)) for fold in folds]
    means = [float(np.nan_to_num(part, nan=-1.0).mean()) for part in np.split(taus, np.cumsum(counts)[:-1])]
    return np.array(means), sum(outcome.fit_s + outcome.predict_s for outcome in outcomes)
