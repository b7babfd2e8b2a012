"""Trials: what is trained once, scored once and stored once, and what makes two of them the same. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from numbers import Integral
from typing import Any

from pydantic import ConfigDict

from archrank.datasets import Benchmark, Split, load, make_split
from archrank.datasets.errors import ArchrankError
from archrank.datasets.splits import LEAST_TRAINED
from archrank.encoders import catalog
from archrank.eval.engine.recipes import COMMON, PublishedRecipe, RecipeChoice, training_hash
from archrank.eval.trials.additions import check_additions
from archrank.eval.trials.fields import LARGEST_COUNT, Count, Name, Values
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import Spec

# Raise when a change to the harness changes results: every stored trial is then trained again.
HARNESS_VERSION = 3
MOST_SEEDS = 1_000
MOST_TRIALS = 500_000


def key_of(fields: Mapping[str, Any]) -> str:
    """The key of a trial with these fields: sha256 over them as sorted JSON."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Trial:
    """One (predictor, benchmark, target, protocol, budget, seed, recipe). Its key names these and nothing else."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True, strict=True)

    encoder: Name
    """its name"""
    config: Values
    """options of the encoder that differ from the defaults"""
    head: Name
    """`linear`, `mlp`, ... of a trained predictor; `ridge`, `gp`, `forest`, ...; `none`"""
    source: Name
    """sha256 of the encoder's file and of what it is built on"""
    benchmark: Name
    """its name"""
    table: Name
    """sha256 of what the benchmark's table holds (not of its file), of its space, and of each metric's direction and
    unit"""
    target: Name
    """the score it predicts"""
    protocol: Name
    """how its split is drawn"""
    budget: Count
    """number of labelled architectures"""
    split: Name
    """sha256 of the train, validation and test rows"""
    seed: Count
    """which split, and every random number of the training"""
    recipe: Name
    """how it is trained"""
    numerics: Count = HARNESS_VERSION
    """of the harness; raised when a change to it changes results"""
    training: Name = ""
    """sha256 of the recipe's fields and the head's layers; empty in trials of earlier versions"""

    @cached_property
    def key(self) -> str:
        """`key_of` its fields."""
        # Not `asdict`: it copies every value, which took most of the time of a large plan.
        return key_of({name: getattr(self, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class Planned:
    """A trial with what it takes to run it. encode: whether encodings of test architectures are kept, as they are for a
    plan's first seed."""

    trial: Trial
    spec: Spec
    space: str
    encode: bool = False
    recipe: RecipeChoice = COMMON


@dataclass
class Plan:
    """The trials of a run, in a fixed order, the benchmarks and splits they use, and what is left out: (what, why)."""

    trials: list[Planned] = field(default_factory=list)
    benchmarks: dict[str, Benchmark] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def make_plan(
    specs: Sequence[Spec],
    *,
    benchmarks: Iterable[str | Benchmark],
    budgets: Sequence[int],
    seeds: int | Sequence[int] = 5,
    targets: Sequence[str] | None = None,
    protocol: str = "clean",
    recipe: str | RecipeChoice = "common",
    optional: Collection[str] = (),
) -> Plan:
    """All combinations, checked before anything is trained.

    benchmarks: names or objects. targets: metrics that every benchmark has (None: each benchmark's default). seeds: how
    many, from 0, or which.
    optional: benchmarks that are left out where they lack a target or a split cannot give the budgets. An encoder that
    is known not to hold a benchmark's architectures is left out of it. ArchrankError for an unknown name, a budget that
    a split cannot give, an empty list, anything given twice, or when nothing is left. recipe: a name, a YAML file or a
    recipe.
    """
    choice = find_recipe(recipe)
    benchmarks = list(benchmarks)
    _check_size(specs, benchmarks, budgets, seeds, targets)
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    for what, values in (("budget", budgets), ("seed", numbers)):
        if not values:
            raise ArchrankError(f"no {what} given")
        if wrong := [value for value in values if not isinstance(value, Integral)]:
            raise ArchrankError(f"{what} {wrong[0]!r} is no whole number")
        if len(set(values)) != len(values):
            raise ArchrankError(f"a {what} is given twice: {', '.join(map(str, values))}")
    if numbers and min(numbers) < 0:
        raise ArchrankError(f"seed {min(numbers)}: seeds are whole numbers from 0 on")
    if numbers and max(numbers) > LARGEST_COUNT:
        raise ArchrankError(f"a seed is larger than {LARGEST_COUNT:,}, which no store can hold")
    plan = Plan()
    for item in benchmarks:
        benchmark = load(item) if isinstance(item, str) else item
        if not isinstance(benchmark, Benchmark):
            raise ArchrankError(f"a benchmark is a name or a Benchmark, not {benchmark!r}")
        if benchmark.name in plan.benchmarks:
            same = plan.benchmarks[benchmark.name].content_hash == benchmark.content_hash
            raise ArchrankError(
                f"benchmark '{benchmark.name}' is given twice"
                if same
                else f"two tables are called '{benchmark.name}'; results are stored by name, so give one of them another"
            )
        plan.benchmarks[benchmark.name] = benchmark
        for target in targets or [benchmark.default_target]:
            try:
                benchmark.check_target(target)
                drawn = {seed: make_split(benchmark, protocol, seed, target) for seed in numbers}
                for budget in budgets:
                    for split in drawn.values():
                        _check_budget(split, budget, benchmark.name)
            except ArchrankError as error:
                if item not in optional:
                    raise
                plan.left_out.append((benchmark.name, str(error)))
                continue
            plan.splits |= {split.digest: split for split in drawn.values()}
            for spec in specs:
                if reason := catalog.unsupported(spec.info, spec.config, benchmark):
                    plan.left_out.append((f"{spec.label} on {benchmark.name}", reason))
                    continue
                try:
                    check_additions(spec.additions, spec.info, spec.config, benchmark, target)
                except ArchrankError as error:
                    plan.left_out.append((f"{spec.label} on {benchmark.name}/{target}", str(error)))
                    continue
                if (
                    isinstance(choice, PublishedRecipe)
                    and "paper_recipe" not in spec.info.hooks
                    and spec.neural
                    and not spec.info.open
                ):
                    raise ArchrankError(
                        f"encoder {spec.info.name} publishes no recipe of its own; leave it out or use --recipe common"
                    )
                source, training = spec.source, training_hash(choice, spec.layers())
                plan.trials += [
                    Planned(
                        Trial(
                            spec.info.name,
                            spec.config,
                            spec.head_identity,
                            source,
                            benchmark.name,
                            benchmark.content_hash,
                            target,
                            protocol,
                            budget,
                            drawn[seed].digest,
                            seed,
                            choice.name,
                            training=training,
                        ),
                        spec,
                        benchmark.space.name,
                        seed == numbers[0],
                        choice,
                    )
                    for budget in budgets
                    for seed in numbers
                ]
    if not plan.benchmarks:
        raise ArchrankError("no benchmark given")
    if not plan.trials:
        raise ArchrankError("nothing is left to run: " + "; ".join(f"{what}: {why}" for what, why in plan.left_out))
    return plan


def _check_size(
    specs: Sequence[Spec],
    benchmarks: Sequence[str | Benchmark],
    budgets: Sequence[int],
    seeds: int | Sequence[int],
    targets: Sequence[str] | None,
) -> None:
    """Refuse, before anything is made, what is more than memory holds: every seed keeps its split, every trial its
    key."""
    drawn = seeds if isinstance(seeds, int) else len(seeds)
    parts = {
        "encoder": len(specs),
        "benchmark": len(benchmarks),
        "target": len(targets or [""]),
        "budget": len(budgets),
        "seed": max(drawn, 0),
    }
    total = prod(parts.values())
    listed = (
        " x ".join(f"{count:,} {name}{'s' if count != 1 else ''}" for name, count in parts.items() if count != 1)
        or "1 seed"
    )
    if drawn > MOST_SEEDS:
        raise ArchrankError(f"{total:,} trials asked for ({listed}): a plan has at most {MOST_SEEDS:,} seeds")
    if total > MOST_TRIALS:
        raise ArchrankError(
            f"{total:,} trials asked for ({listed}): a plan has at most {MOST_TRIALS:,}; split it over several runs into one store"
        )


def _check_budget(split: Split, budget: int, benchmark: str) -> None:
    if budget < LEAST_TRAINED:
        raise ArchrankError(f"budget {budget}: fewer than {LEAST_TRAINED} labelled architectures cannot be ranked")
    try:
        split.train(budget)
    except ArchrankError as error:
        raise ArchrankError(f"benchmark {benchmark}: {error}") from None
