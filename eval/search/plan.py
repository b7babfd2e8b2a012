"""Searches: what is run once and stored once. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from archrank.datasets import Benchmark, load
from archrank.datasets.errors import ArchrankError
from archrank.datasets.splits import PROTOCOLS, make_split, validation_pair
from archrank.eval.engine.heads import HEADS
from archrank.eval.engine.recipes import SEARCH, RecipeChoice, training_hash
from archrank.eval.search.guided import ROLES, split_guides
from archrank.eval.search.pool import Pool
from archrank.eval.search.strategies import STRATEGIES
from archrank.eval.trials.additions import check_additions
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import Spec, named_options

# Raise when a change to the search changes results: every stored search is then run again.
SEARCH_VERSION = 2


@dataclass(frozen=True)
class SearchTask:
    """One strategy with one predictor (or none) on one benchmark, all repeats. Its key names these fields and nothing
    else.

    encoder: the predictor's label, empty for a strategy that needs none. target: the metric that is queried; test: the
    metric that judges what was found. queries: budget of each repeat. repeats: repeats, with seeds 0, 1, ... within: a
    protocol, of whose test architectures the search is (empty: of the whole table). training: see `training_of`
    (empty in searches of earlier versions).
    """

    strategy: str
    options: dict[str, Any]
    encoder: str
    source: str
    benchmark: str
    table: str
    target: str
    test: str
    queries: int
    repeats: int
    recipe: str
    version: int = SEARCH_VERSION
    within: str = ""
    training: str = ""

    @cached_property
    def key(self) -> str:
        """sha256 over the fields; `within` and `training` only where they say something."""
        fields = {name: value for name, value in asdict(self).items() if name not in ("within", "training") or value}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def pool(self, benchmark: Benchmark) -> Pool:
        """Its candidates: of the whole table, or the test architectures of a protocol's first split."""
        scored = [benchmark.oriented(self.target), benchmark.oriented(self.test)]
        tested = make_split(benchmark, self.within, 0, self.target).test if self.within else None
        return Pool.of(benchmark, scored, tested)

    @property
    def own_options(self) -> dict[str, Any]:
        """The strategy's options without the encodings that guide it."""
        return {name: value for name, value in self.options.items() if name not in ROLES}

    @property
    def label(self) -> str:
        """What tables call it: the strategy with its options, and its predictor."""
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return self.strategy + (f"[{options}]" if options else "") + (f" / {self.encoder}" if self.encoder else "")


@dataclass
class SearchPlan:
    """The searches of a command in a fixed order, the benchmarks they run on, the predictors by label, and the
    encodings that guide strategies (`sample`, `perturb`) by theirs."""

    tasks: list[SearchTask] = field(default_factory=list)
    benchmarks: dict[str, Benchmark] = field(default_factory=dict)
    specs: dict[str, Spec] = field(default_factory=dict)
    guides: dict[str, Spec] = field(default_factory=dict)
    recipe: RecipeChoice = SEARCH


def plan_searches(
    specs: Sequence[Spec],
    *,
    benchmarks: Sequence[str | Benchmark],
    strategies: Sequence[str],
    queries: int = 150,
    repeats: int = 30,
    target: str | None = None,
    test: str | None = None,
    recipe: str | RecipeChoice = "search",
    within: str = "",
) -> SearchPlan:
    """Every strategy on every benchmark, those that predict once for every predictor; checked before anything runs.

    Args:
        specs: predictors.
        benchmarks: names or objects.
        strategies: as written, `bo[acquisition=ucb]`.
        queries, repeats: both 2 or more.
        target: the metric that is queried (default: the benchmark's validation score where it has one).
        test: the metric that judges (default: the test score of the same data set, else the target itself).
        recipe: how networks are trained: a name, a YAML file or a recipe.
        within: a protocol whose test architectures are searched, such as `cate-outside`; empty: the whole table.

    Raises:
        ArchrankError: an unknown name, no predictor for a strategy that needs one, too many queries for a table.
    """
    choice = find_recipe(recipe)
    if within:
        PROTOCOLS.find(within)
    if queries < 2 or repeats < 2:
        raise ArchrankError(f"a search needs 2 queries and 2 repeats or more, not {queries} and {repeats}")
    plan = SearchPlan(specs={spec.label: spec for spec in specs}, recipe=choice)
    for item in benchmarks:
        benchmark = load(item) if isinstance(item, str) else item
        plan.benchmarks[benchmark.name] = benchmark
        queried, judged = metrics_of(benchmark, target, test)
        if within:
            make_split(benchmark, within, 0, queried)
        for predictor in specs:
            check_given(predictor, benchmark, queried)
        for text in strategies:
            name, options = named_options(text, "strategy")
            entry = STRATEGIES.find(name)
            own, guides = split_guides(options)
            options = entry.validate(own) | {role: guide.label for role, guide in guides.items()}
            plan.guides |= {guide.label: guide for guide in guides.values()}
            predicts = STRATEGIES[name].predicts
            if predicts and not specs:
                raise ArchrankError(
                    f"strategy {name} needs a predictor: say --encoders canonical_path+gp,gin (see `archrank list`)"
                )
            for spec in specs if predicts else [None]:
                plan.tasks.append(
                    SearchTask(
                        name,
                        options,
                        spec.label if spec else "",
                        source_of(spec, entry.source, guides),
                        benchmark.name,
                        benchmark.content_hash,
                        queried,
                        judged,
                        queries,
                        repeats,
                        choice.name if spec and spec.neural else "",
                        within=within,
                        training=training_of(spec, choice) if spec else "",
                    )
                )
    if not plan.tasks:
        raise ArchrankError("nothing to search: name a benchmark and a strategy")
    return plan


def check_given(spec: Spec, benchmark: Benchmark, target: str) -> None:
    """ArchrankError where what a predictor is given cannot be had in a search, or would hand it a label."""
    added = spec.additions
    if added.unlabelled == "train" or (added.source and (added.source.zero_shot or added.source.devices)):
        raise ArchrankError(
            f"{spec.label}: a search has no split, so that unlabelled=train, zero_shot and devices mean nothing in it"
        )
    check_additions(added, spec.info, spec.config, benchmark, target)


def source_of(spec: Spec | None, strategy: str, guides: Mapping[str, Spec]) -> str:
    """What the key of a search says of code: of the predictor, or of the strategy, and of the encodings that guide
    it."""
    return "+".join([spec.source if spec else strategy, *(guide.info.source for guide in guides.values())])


def training_of(spec: Spec, choice: RecipeChoice) -> str:
    """What the key of a search says of training: the content of a network's recipe, or the source of a regressor from
    outside archrank (empty for a built-in one)."""
    return training_hash(choice, spec.layers()) if spec.neural else HEADS.find(spec.head).source


def metrics_of(benchmark: Benchmark, target: str | None, test: str | None) -> tuple[str, str]:
    """The metric that is queried and the one that judges (see `plan_searches`)."""
    queried = benchmark.check_target(target)
    pairs = [(valid, tested) for valid in benchmark.targets if (tested := validation_pair(benchmark, valid))]
    if target is None and test is None:
        # A table whose default is its test score is searched by the validation score that belongs to it.
        queried = next((valid for valid, tested in pairs if tested == queried), queried)
    return queried, benchmark.check_target(test) if test is not None else validation_pair(benchmark, queried) or queried
