"""A case made ready: its architectures, its members with their labels, its recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archrank.datasets import load, make_split
from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.eval.bench.case import Case
from archrank.eval.bench.made_up import random_cells, random_dags
from archrank.eval.engine.batching import Member, Rows
from archrank.eval.engine.labels import transform
from archrank.eval.engine.network import FixedEncoding
from archrank.eval.engine.recipes import COMMON, RECIPES, Recipe, resolve_recipe
from archrank.eval.trials.specs import Spec, parse_list


@dataclass(eq=False)
class Subject:
    """A case made ready: everything that `fit` takes, the rows [P] to predict, and what a reader must know.

    encode: for a fixed encoding, computes it for the predicted rows, which belongs to the cost of prediction.
    """

    case: Case
    spec: Spec
    space: SearchSpace
    graphs: Graphs
    members: list[Member]
    recipe: Recipe
    build: Callable[[Member, Graphs], nn.Module]
    rows: Rows
    pairs: bool = False
    twins: Graphs | None = None
    encode: Callable[[], Tensor] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def dim(self) -> int:
        """The width of the network's matrices, as far as its options say."""
        option = self.spec.info.options.get("dim")
        return int(self.spec.config.get("dim", option.default if option else 128))


def prepare(case: Case) -> Subject:
    """Load or make the architectures and everything else; ArchrankError if the case cannot be."""
    specs = parse_list(case.encoder, "here")
    if len(specs) != 1:
        raise ArchrankError(f"encoder '{case.encoder}' names {len(specs)} encoders; a case is about one")
    spec = specs[0]
    if not spec.neural:
        raise ArchrankError(
            f"encoder '{case.encoder}' is trained by scikit-learn; bench measures the harness: leave +{spec.head} out"
        )
    space, graphs, members, rows = _architectures(case)
    target = spec.info.load()
    if not spec.info.learned:
        return _fixed(case, spec, target, space, graphs, members, rows)
    published = case.recipe == "common" or "paper_recipe" in spec.info.hooks
    recipe, config = resolve_recipe(
        RECIPES[case.recipe if published else "common"], target, spec.config, spec.layers(), space
    )
    notes = [] if published else [f"{spec.info.name} publishes no recipe of its own: common"]
    subject = Subject(
        case,
        spec,
        space,
        graphs,
        members,
        _with_batch(recipe, case.batch),
        lambda member, probe: target(space, **config),
        rows,
        "compare" in spec.info.hooks,
        notes=notes,
    )
    if recipe.consistency:
        subject.twins = target.twins(graphs)
    return _labelled(subject)


def _architectures(case: Case) -> tuple[SearchSpace, Graphs, list[Member], Rows]:
    """Space, graphs, members with raw scores for labels, and rows to predict."""
    if case.nodes or case.cells:
        space, graphs = (
            random_dags(case.budget + 32, case.nodes) if case.nodes else random_cells(max(case.cells, case.budget))
        )
        scores = np.random.default_rng(0).standard_normal(len(graphs))
        rows = np.arange(min(case.cells or case.predicted, len(graphs)), dtype=np.int64)
        order = [np.random.default_rng(seed).permutation(len(graphs)) for seed in range(case.members)]
        return (
            space,
            graphs,
            [Member(seed, o[: case.budget], scores[o[: case.budget]], rows) for seed, o in enumerate(order)],
            rows,
        )
    benchmark = load(case.benchmark)
    splits = [make_split(benchmark, "clean", seed) for seed in range(case.members)]
    worth = benchmark.target() * (1 if benchmark.direction(benchmark.default_target) == "max" else -1)
    rows = splits[0].test[: case.predicted]
    members = [Member(seed, train := split.train(case.budget), worth[train], rows) for seed, split in enumerate(splits)]
    return benchmark.space, benchmark.graphs.plain(), members, rows


def _labelled(subject: Subject) -> Subject:
    """The same with the labels the recipe trains on. A `unit` is taken from the scores themselves: what labels are does
    not change the cost."""
    subject.members = [
        Member(m.seed, m.train, transform(m.labels, subject.recipe.labels, unit=""), m.test) for m in subject.members
    ]
    return subject


def _with_batch(recipe: Recipe, batch: int | None) -> Recipe:
    return recipe if batch is None else recipe.model_copy(update={"batch": batch})


def _fixed(
    case: Case, spec: Spec, target: Any, space: SearchSpace, graphs: Graphs, members: list[Member], rows: Rows
) -> Subject:
    """A fixed encoding with a head of two hidden layers, under the common recipe."""
    config = dict(spec.config)
    notes = ["a fixed encoding: its head trains under common"]
    if spec.info.pretrained:
        config |= {name: 2 for name in ("updates", "epochs") if name in spec.info.options and name not in spec.config}
        notes.append("pre-training is cut to two steps and not measured; prediction is the head's alone")
    features = torch.as_tensor(target(graphs, space, **config)).detach().float()
    name = f"encoding/{spec.label}"
    graphs = graphs.plain()
    graphs.derive(name, lambda _: features)
    recipe = _with_batch(COMMON.model_copy(update={"head": spec.layers()}), case.batch)
    subject = Subject(
        case,
        spec,
        space,
        graphs,
        members,
        recipe,
        lambda m, probe: FixedEncoding(name, _unused, features[m.train].double().numpy()),
        rows,
        notes=notes,
    )
    if not spec.info.pretrained:
        predicted = graphs.plain()[torch.as_tensor(rows)]
        subject.encode = lambda: torch.as_tensor(target(predicted.plain(), space, **config))
    return _labelled(subject)


def _unused(_: Graphs) -> Tensor:
    raise RuntimeError("the encoding of every architecture is there already")
