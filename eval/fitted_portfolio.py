"""A portfolio as one fitted predictor: what `Predictor` holds for `auto`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.eval.auto.parts import KNOWN
from archrank.eval.auto.pool import Pool
from archrank.eval.auto.portfolio import FittedPortfolio, fit_portfolio
from archrank.eval.engine.training import Progress
from archrank.eval.fitted import Opinions, joined
from archrank.eval.trials.job import TrainingJob, check_without_table
from archrank.eval.trials.portfolios import portfolio_of
from archrank.eval.trials.specs import Spec

Floats = NDArray[np.float64]
LEVEL, QUANTILE = 0.9, 1.6448536269514722
"""Of the interval whose half width stands for a standard deviation, and of the standard normal distribution."""


def interval_beside(
    fitted: FittedPortfolio, space: SearchSpace, known: Graphs, graphs: Graphs, level: float
) -> tuple[Floats, Floats]:
    """Mean and half width [n] of intervals for new architectures.

    Args:
        fitted: to the architectures `known`.
        space: of both.
        known: what it was fitted to; a few are encoded beside the new ones, which shows encodings that depend on
            company.
        graphs: the new architectures [n].
        level: share of true labels that the intervals hold.

    Raises:
        ArchrankError: an encoding gives the known ones other features than before.
    """
    count = min(KNOWN, len(known))
    together = joined(known[:count].to("cpu"), graphs.to("cpu"))
    return fitted.interval(Pool(space, together, together, count), count + np.arange(len(graphs)), level)


def pool_without_table(spec: Spec, space: SearchSpace, graphs: Graphs, others: Graphs | None) -> Pool:
    """What a portfolio is fitted to where there are architectures and labels alone.

    Args:
        spec: the portfolio; by `unlabelled=train` its pretexts see the labelled architectures alone.
        space: of all architectures.
        graphs: [n] the labelled architectures.
        others: [m] those without a label, whose graphs pretexts see beside these.
    """
    graphs = graphs.plain()
    seen = None if others is None or spec.additions.unlabelled == "train" else joined(graphs, others)
    return Pool(space, graphs, graphs, unlabelled=seen)


class CombinedModel:
    """Parts of a portfolio with their weights, asked as one member.

    job: with the portfolio and its space. fitted: to the architectures of the job.
    """

    def __init__(self, job: TrainingJob, fitted: FittedPortfolio) -> None:
        self.job, self.fitted = job, fitted

    @classmethod
    def fit(
        cls,
        job: TrainingJob,
        others: Graphs | None,
        labels: Floats,
        seed: int,
        device: str,
        progress: Progress | None = None,
    ) -> CombinedModel:
        """Fit to the architectures of a job with labels [n], higher is better. others: those without a label, whose
        graphs pretexts see too. ArchrankError if they are too few to hold some out."""
        check_without_table(job.spec)
        pool, rows = pool_without_table(job.spec, job.space, job.graphs, others), np.arange(len(job.graphs))
        return cls(
            job,
            fit_portfolio(portfolio_of(job), pool, rows, labels, job.recipe, seed, device=device, progress=progress),
        )

    def opinions(self, graphs: Graphs) -> Opinions:
        """See `Model`; the standard deviation is that of a normal distribution with the portfolio's 90 % interval."""
        mean, half = interval_beside(self.fitted, self.job.space, self.job.graphs, graphs, LEVEL)
        return Opinions(mean[None], half[None] / QUANTILE)

    def encode(self, graphs: Graphs) -> NDArray[np.float32]:
        """Raises ArchrankError: several encoders have no common encoding."""
        raise ArchrankError(f"{self.job.spec.label} combines several encoders and has no encoding of its own")
