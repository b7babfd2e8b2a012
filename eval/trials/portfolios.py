"""Portfolios as a run and a search train them: one member after the other, on architectures that are encoded once."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.encoders.registry import Portfolio, columns_of
from archrank.eval.auto.parts import Networks
from archrank.eval.auto.pool import Pool
from archrank.eval.auto.portfolio import FittedPortfolio, fit_portfolio
from archrank.eval.engine.batching import Member
from archrank.eval.engine.network import parameters
from archrank.eval.engine.training import Outcome, Progress
from archrank.eval.trials.encodings import with_columns
from archrank.eval.trials.job import TrainingJob
from archrank.eval.trials.source_features import source_features
from archrank.eval.trials.sources import LabelSource


def pool_of(job: TrainingJob, benchmark: Benchmark, target: str, folder: Path) -> tuple[Pool, float]:
    """All architectures of a benchmark, with the columns that the portfolio's encodings read, never the target, and
    what trees trained on its source predict; and the seconds that the source took. folder: the store."""
    parts = [part for part in portfolio_of(job).parts if not part.learned]
    columns = tuple(sorted({name for part in parts for name in columns_of(part.encoder)}))
    return _pool(benchmark, columns, target, job.spec.additions.source, folder)


@lru_cache(maxsize=1)
def _pool(
    benchmark: Benchmark, columns: tuple[str, ...], target: str, source: LabelSource | None, folder: Path
) -> tuple[Pool, float]:
    beside, seconds = source_features(source, benchmark, target, folder) if source else (None, 0.0)
    return Pool(benchmark.space, benchmark.graphs, with_columns(benchmark, columns, target), beside=beside), seconds


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
    *,
    device: str = "cpu",
    compiled: bool = False,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Fit every member of a job and predict its test rows, all rows of a pool. The cost of a member has that of
    encoding the pool in it, also where an earlier one paid it."""
    outcomes = []
    for number, member in enumerate(job.members):
        share = None if progress is None else _part_of(progress, number, len(job.members))
        fitted = fit_member(job, pool, member, device=device, compiled=compiled, progress=share)
        start = time.perf_counter()
        predictions, half_width = fitted.interval(pool, member.test)
        predict_s = time.perf_counter() - start
        notes = _notes(fitted, member.labels)
        outcomes.append(
            Outcome(predictions, fitted.seconds, predict_s, _weights(fitted), 0, notes=notes, half_width=half_width)
        )
    return outcomes


def _part_of(progress: Progress, number: int, count: int) -> Progress:
    return lambda done: progress((number + done) / count)


def _weights(fitted: FittedPortfolio) -> int:
    """Trainable parameters of all networks."""
    networks = [part.models.trained.ensemble for part in fitted.parts if isinstance(part.models, Networks)]
    return sum(parameters(ensemble.skeleton) * ensemble.size for ensemble in networks)


def _notes(fitted: FittedPortfolio, labels: NDArray[np.float64]) -> list[str]:
    """What it is made of, and what was left out."""
    parts = ", ".join(f"{part.name} {part.weight:.2f}" for part in fitted.explain(labels) if part.weight > 0)
    said = [f"portfolio: {parts}; tau {fitted.tau:.3f} on held-out labels"]
    return said + [f"portfolio left out {name}: {why}" for name, why in fitted.refused.items()]
