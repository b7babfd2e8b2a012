"""A case made ready: a predictor, its architectures, its members with their labels, its recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from archrank.datasets import load, make_split
from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.eval.bench.case import Case
from archrank.eval.bench.synthetic import random_cells, random_dags
from archrank.eval.engine.batching import Member, Rows
from archrank.eval.engine.recipes import COMMON, RECIPES
from archrank.eval.trials.job import TrainingJob, brief_pretraining, make_job
from archrank.eval.trials.specs import parse_list


@dataclass(eq=False)
class PreparedCase:
    """A case made ready: what trains, the rows [P] to predict, and what a reader must know.

    encode: for a fixed encoding, computes it for the predicted rows, which belongs to the cost of prediction.
    """

    case: Case
    job: TrainingJob
    rows: Rows
    encode: Callable[[], Any] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def dim(self) -> int:
        """The width of the network's matrices, as far as its options say."""
        spec = self.job.spec
        option = spec.info.options.get("dim")
        return int(spec.config.get("dim", option.default if option else 128))


def prepare(case: Case) -> PreparedCase:
    """Load or make the architectures and everything else; ArchrankError if the case cannot be."""
    specs = parse_list(case.encoder, "here")
    if len(specs) != 1:
        raise ArchrankError(f"encoder '{case.encoder}' names {len(specs)} encoders; a case is about one")
    spec = specs[0]
    if spec.info.portfolio:
        raise ArchrankError(f"'{case.encoder}' is a portfolio; bench measures one encoder")
    if not spec.neural:
        raise ArchrankError(
            f"encoder '{case.encoder}' is trained by scikit-learn; bench measures the harness: leave +{spec.head} out"
        )
    space, graphs, members, rows = _architectures(case)
    choice, notes = RECIPES[case.recipe], []
    if case.pretraining:
        if not spec.info.pretrained:
            raise ArchrankError(f"encoder '{case.encoder}' has no pre-training of its own")
        return PreparedCase(case, make_job(spec, COMMON, space, graphs).with_members(members), rows)
    if not spec.info.learned:
        choice, notes = COMMON, ["a fixed encoding: its head trains under common"]
        if spec.info.pretrained:
            notes.append("pre-training is cut to two steps and not measured; prediction is the head's alone")
    elif case.recipe != "common" and "paper_recipe" not in spec.info.hooks:
        choice, notes = COMMON, [f"{spec.info.name} publishes no recipe of its own: common"]
    job = make_job(brief_pretraining(spec), choice, space, graphs)
    if case.batch is not None:
        job = job.with_recipe(batch=case.batch)
    # A `unit` is taken from the scores themselves: what labels are does not change the cost.
    job = job.with_members([replace(member, labels=job.labels(member.labels, unit="")) for member in members])
    if spec.info.learned:
        return PreparedCase(case, job, rows, notes=notes)
    predicted = graphs.plain()[torch.as_tensor(rows)]
    encode = None if spec.info.pretrained else lambda: torch.as_tensor(job.encode(predicted.plain()))
    features = torch.as_tensor(job.encode(graphs)).detach().double().numpy()
    return PreparedCase(case, job.with_features(features), rows, encode, notes)


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
    worth = benchmark.oriented(benchmark.default_target)
    rows = splits[0].test[: case.predicted]
    members = [Member(seed, train := split.train(case.budget), worth[train], rows) for seed, split in enumerate(splits)]
    return benchmark.space, benchmark.graphs.plain(), members, rows
