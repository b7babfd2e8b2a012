"""Portfolios as a run and a search train them: one member after the other, on architectures that are encoded once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets import Benchmark, Split
from archrank.encoders.registry import Portfolio, columns_of
from archrank.eval.auto.parts import Networks
from archrank.eval.auto.pool import Pool
from archrank.eval.auto.portfolio import FittedPortfolio, fit_portfolio
from archrank.eval.engine.batching import Member
from archrank.eval.engine.network import parameters
from archrank.eval.engine.pretraining import Weights
from archrank.eval.engine.training import Outcome, Progress
from archrank.eval.trials.encodings import with_columns
from archrank.eval.trials.job import TrainingJob
from archrank.eval.trials.pretrained import path_of
from archrank.eval.trials.pretraining import kept_weights, unlabelled_rows
from archrank.eval.trials.source_features import source_features
from archrank.eval.trials.sources import LabelSource
from archrank.eval.trials.trial import HARNESS_VERSION


def pool_of(job: TrainingJob, benchmark: Benchmark, target: str, folder: Path) -> Pool:
    """All architectures of a benchmark, with the columns that the portfolio's encodings read, never the target, and
    what trees trained on its source predict. What pretexts gave its networks is kept in the store. folder: the
    store."""
    parts = [part for part in portfolio_of(job).parts if not part.learned]
    columns = tuple(sorted({name for part in parts for name in columns_of(part.encoder)}))
    return _pool(benchmark, columns, target, job.spec.additions.source, job.spec.info.source, folder)


@lru_cache(maxsize=1)
def _pool(
    benchmark: Benchmark,
    columns: tuple[str, ...],
    target: str,
    source: LabelSource | None,
    code: str,
    folder: Path,
) -> Pool:
    """code: sha256 of the portfolio's source and all that it is built on."""
    beside, seconds = source_features(source, benchmark, target, folder) if source else (None, 0.0)
    costed = with_columns(benchmark, columns, target)
    about = [code, benchmark.content_hash, sorted(costed.columns), HARNESS_VERSION]

    def keep(identity: list[Any], train: Callable[[], Weights]) -> tuple[Weights, float]:
        return kept_weights(path_of(folder, ["part", *identity, *about]), train)

    return Pool(benchmark.space, benchmark.graphs, costed, beside=beside, beside_s=seconds, keep=keep)


def portfolio_of(job: TrainingJob) -> Portfolio:
    """The portfolio that a job's function and options mean."""
    made: Portfolio = job.encoder(job.space, **job.spec.own_config)
    return made


def fit_member(
    job: TrainingJob,
    pool: Pool,
    member: Member,
    *,
    device: str = "cpu",
    compiled: bool = False,
    progress: Progress | None = None,
) -> FittedPortfolio:
    """A portfolio fitted to one member's labels."""
    return fit_portfolio(
        portfolio_of(job),
        pool,
        member.train,
        member.labels,
        job.recipe,
        member.seed,
        device=device,
        compiled=compiled,
        progress=progress,
    )


def train_portfolio(
    job: TrainingJob,
    pool: Pool,
    splits: Sequence[Split],
    *,
    device: str = "cpu",
    compiled: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Outcome], list[float]]:
    """Fit every member of a job, each on its split, and predict its test rows, all rows of a pool; and the seconds that
    its pre-training took. The cost of a member has that of encoding the pool in it, also where an earlier one paid
    it."""
    outcomes, pretrain_s = [], []
    for number, (member, split) in enumerate(zip(job.members, splits)):
        share = None if progress is None else _part_of(progress, number, len(job.members))
        given = pool.seeing(unlabelled_rows(split)) if job.spec.additions.unlabelled == "train" else pool
        fitted = fit_member(job, given, member, device=device, compiled=compiled, progress=share)
        start = time.perf_counter()
        predictions, half_width = fitted.interval(pool, member.test)
        predict_s, fit_s = time.perf_counter() - start, fitted.seconds - fitted.pretrain_s
        notes = _notes(fitted, member.labels, job.spec.additions.seen)
        outcomes.append(Outcome(predictions, fit_s, predict_s, _weights(fitted), 0, notes=notes, half_width=half_width))
        pretrain_s.append(fitted.pretrain_s)
    return outcomes, pretrain_s


def _part_of(progress: Progress, number: int, count: int) -> Progress:
    return lambda done: progress((number + done) / count)


def _weights(fitted: FittedPortfolio) -> int:
    """Trainable parameters of all networks."""
    networks = [part.models.trained.ensemble for part in fitted.parts if isinstance(part.models, Networks)]
    return sum(parameters(ensemble.skeleton) * ensemble.size for ensemble in networks)


def _notes(fitted: FittedPortfolio, labels: NDArray[np.float64], seen: str) -> list[str]:
    """What it is made of, what was left out, and what pretexts saw."""
    parts = ", ".join(f"{part.name} {part.weight:.2f}" for part in fitted.explain(labels) if part.weight > 0)
    said = [f"portfolio: {parts}; tau {fitted.tau:.3f} on held-out labels"]
    tasks = {part.part.options["pretext"] for part in fitted.parts if "pretext" in part.part.options}
    said += [f"networks of the portfolio were pre-trained on {task}: {seen}" for task in sorted(tasks)]
    return said + [f"portfolio left out {name}: {why}" for name, why in fitted.refused.items()]
