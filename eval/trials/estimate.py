"""How long a run will roughly take: a few optimiser steps of every kind that it has are timed, and multiplied."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from archrank.datasets import Benchmark
from archrank.datasets.graphs import Graphs
from archrank.eval.engine.batching import Member, steps_per_epoch
from archrank.eval.engine.recipes import resolve_recipe
from archrank.eval.engine.training import fit
from archrank.eval.trials.groups import compose
from archrank.eval.trials.trial import Plan

TIMED = 3


def training_seconds(plan: Plan, device: str = "cpu", steps: int = TIMED) -> float:
    """Rough seconds that training the learned encoders of a plan takes on one core (or on one GPU), without evaluation.

    For every ensemble of one batch size and width `steps` steps are timed with made-up labels; nothing is stored.
    """
    known: dict[tuple[str, str, int, int], float] = {}
    total = 0.0
    for items in compose([item for item in plan.trials if item.spec.info.learned], device):
        item, budget = items[0], items[0].trial.budget
        benchmark = plan.benchmarks[item.trial.benchmark]
        encoder = item.spec.info.load()
        recipe, config = resolve_recipe(item.recipe, encoder, item.trial.config, item.spec.layers(), benchmark.space)
        kind = (item.spec.label, benchmark.name, min(recipe.batch, budget), len(items))
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
            short = recipe.model_copy(update={"epochs": None, "warmup": 0.0, "schedule": "constant"})
            twins = encoder.twins(benchmark.graphs) if recipe.consistency else None

            def build(
                member: Member,
                probe: Graphs,
                encoder: Any = encoder,
                benchmark: Benchmark = benchmark,
                config: Any = config,
            ) -> nn.Module:
                made: nn.Module = encoder(benchmark.space, **config)
                return made

            for count in (1, steps):  # the first time, everything is slower
                timed = fit(
                    build,
                    benchmark.graphs,
                    members,
                    short.model_copy(update={"updates": count}),
                    device=device,
                    twins=twins,
                    pairs="compare" in item.spec.info.hooks,
                )
            known[kind] = timed.seconds / steps
        number = (
            recipe.updates if recipe.updates is not None else (recipe.epochs or 0) * steps_per_epoch(budget, recipe)
        )
        total += number * known[kind]
    return total
