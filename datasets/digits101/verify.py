"""Retrains some cells of a table and compares: the proof that a shipped score can be made again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets.benchmark import Benchmark
from archrank.datasets.digits101.builder import BuildProgress, single_thread
from archrank.datasets.digits101.card import SCORES, software
from archrank.datasets.digits101.task import DigitsTask
from archrank.datasets.digits101.training import DigitsRecipe, Trainer
from archrank.datasets.errors import DataError
from archrank.datasets.nb101_cells import NB101Cell

# Retrained and stored means of the same cell differ like two draws of the same noise: the root mean square of the
# standardised differences is 1 on average. 20 cells put 99.9 % of honest tables below this.
LARGEST_RMS = 1.7


@dataclass(frozen=True)
class Verdict:
    """Result of `verify`.

    equal: cells whose every score is bit-equal. changed: what differs between this machine and the card's, by name.
    largest: largest absolute difference of a mean test accuracy. rms: root mean square of the differences of mean test
    accuracy, in standard errors of the difference (estimated from the spread of the seeds).
    """

    cells: int
    equal: int
    changed: dict[str, tuple[str, str]]
    largest: float
    rms: float

    @property
    def passed(self) -> bool:
        """Bit-equal where machine and software are those of the card, else equal within the noise between seeds."""
        return self.equal == self.cells or (bool(self.changed) and self.rms <= LARGEST_RMS)

    def __str__(self) -> str:
        line = f"{self.equal} of {self.cells} retrained cells are bit-equal"
        if self.equal < self.cells:
            line += f"; mean test accuracy differs by {self.largest:.4f} at most, {self.rms:.2f} standard errors (rms)"
        if self.changed:
            line += "; not as when the table was made: " + ", ".join(
                f"{k} {a} -> {b}" for k, (a, b) in self.changed.items()
            )
        return line


def verify(
    benchmark: Benchmark, task: DigitsTask, recipe: DigitsRecipe, count: int, seed: int = 0, quiet: bool = False
) -> Verdict:
    """Retrain `count` random cells of a benchmark on the CPU and compare every score of every seed.

    Raises DataError when the benchmark was made with another task or recipe.
    """
    card, scores_of = benchmark.card.as_dict(), benchmark.scores
    if recipe.digest(task) != card.get("digest"):
        raise DataError(f"{card['name']}: the table was made with another task or recipe; verify it with those")
    # Only what a CPU made can be bit-equal on one; where nothing is, the comparison is one within the noise.
    places = benchmark.scores["made_on"].astype(str).to_numpy()
    candidates = np.flatnonzero(places == "cpu") if (places == "cpu").any() else np.arange(len(places))
    if count < 1:
        raise DataError(f"{card['name']}: verify at least one cell, not {count}")
    count = min(count, len(candidates))
    rows = np.sort(np.random.default_rng(seed).choice(candidates, count, replace=False))
    seeds = len(card["metrics"]["test_accuracy"]["repeats"])
    trainer = Trainer(task, recipe, range(seeds))
    equal, differences = 0, []
    with single_thread(), BuildProgress("retraining cells", count, 0, quiet) as advance:
        for index in rows.tolist():
            row, real = scores_of.iloc[index], benchmark.mask[index]
            cell = NB101Cell.from_matrix(benchmark.adj[index][np.ix_(real, real)], benchmark.ops[index][real].tolist())
            scores = trainer.train([cell])[0]
            fresh = {metric: np.array(getattr(scores, metric)).astype(np.float32) for metric in SCORES}
            stored = {metric: _stored(row, metric, seeds) for metric in SCORES}
            equal += all(np.array_equal(fresh[metric], stored[metric]) for metric in SCORES)
            old, new = stored["test_accuracy"].astype(np.float64), fresh["test_accuracy"].astype(np.float64)
            error = np.sqrt((old.var(ddof=1) + new.var(ddof=1)) / seeds) if seeds > 1 else np.nan
            differences.append((abs(new.mean() - old.mean()), error))
            advance(1)
    gap, error = np.array(differences).T
    rms = float(np.sqrt(np.mean((gap / np.maximum(error, 1e-6)) ** 2)))
    here = software()
    made = card.get("made", {})
    changed = {key: (str(made.get(key)), value) for key, value in here.items() if made.get(key) != value}
    if places[rows[0]] != "cpu":
        changed["device"] = (str(places[rows[0]]), "cpu")
    return Verdict(count, equal, changed, float(gap.max()), rms)


def _stored(row: pd.Series, metric: str, seeds: int) -> NDArray[np.float32]:
    return np.array([row[f"{metric}/{seed}"] for seed in range(seeds)], np.float32)
