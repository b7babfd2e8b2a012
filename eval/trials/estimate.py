"""How long a run will roughly take: a few optimiser steps of every kind that it has are timed, and multiplied."""

from __future__ import annotations

import numpy as np

from archrank.eval.engine.batching import Member, steps
from archrank.eval.trials.groups import compose
from archrank.eval.trials.job import Given, make_job
from archrank.eval.trials.trial import Plan

TIMED = 3


def training_seconds(plan: Plan, device: str = "cpu", timed: int = TIMED) -> float:
    """Rough seconds that training the learned encoders of a plan takes on one core (or on one GPU), without evaluation.

    For every ensemble of one batch size and width `timed` steps are timed with made-up labels; nothing is stored.
    """
    known: dict[tuple[str, str, int, int], float] = {}
    total = 0.0
    for items in compose([item for item in plan.trials if item.spec.info.learned], device):
        item, budget = items[0], items[0].trial.budget
        benchmark = plan.benchmarks[item.trial.benchmark]
        job = make_job(item.spec, item.recipe, benchmark.space, benchmark.graphs)
        kind = (item.spec.label, benchmark.name, min(job.recipe.batch, budget), len(items))
        if kind not in known:
            rng = np.random.default_rng(0)
            members = [
                Member(
                    i.trial.seed,
                    plan.splits[i.trial.split].train(budget),
                    rng.standard_normal(budget),
                    np.empty(0, np.int64),
                )
                for i in items
            ]
            short = job.with_members(members).with_recipe(epochs=None, warmup=0.0, schedule="constant")
            short = short.with_given(Given())  # pre-training is not timed
            for count in (1, timed):  # the first time, everything is slower
                known[kind] = short.with_recipe(updates=count).fit(device=device).seconds / count
        total += steps(budget, job.recipe) * known[kind]
    return total
