"""How far a seed's score moves with the number of members it trains with, beside how far scores lie apart from seed to
seed.

`python -m tests.tools.stack_width --encoder gin --seeds 6 --widths 1 2 6`. Members are each other's equals to rounding;
a thousand updates of single precision amplify that. Every seed is trained in ensembles of each width, the others held
fixed, and scored on the same test set.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from archrank.datasets import load, make_split
from archrank.eval.engine.batching import Member
from archrank.eval.engine.recipes import RECIPES
from archrank.eval.metrics import kendall
from archrank.eval.trials.job import make_job
from archrank.eval.trials.specs import parse


def scores(encoder: str, benchmark: str, budget: int, seeds: int, width: int, recipe: str) -> np.ndarray:
    """Kendall's tau [seeds] on the clean test set, trained in ensembles of `width` members."""
    spec, table = parse(encoder)[0], load(benchmark)
    job = make_job(spec, RECIPES[recipe], table.space, table.graphs)
    truth, direction = table.target(), table.direction(table.default_target)
    members = []
    for seed in range(seeds):
        split = make_split(table, "clean", seed)
        rows = split.train(budget)
        members.append(Member(seed, rows, job.labels(truth[rows], direction), split.test))
    actual = []
    for start in range(0, seeds, width):
        part = members[start : start + width]
        outcomes = job.with_members(part).train()
        actual += [
            kendall(truth[member.test], outcome.predictions, direction) for member, outcome in zip(part, outcomes)
        ]
    return np.array(actual)


def main() -> None:
    """Print one line per width, and the two spreads."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--encoder", default="gin")
    arguments.add_argument("--benchmark", default="digits101")
    arguments.add_argument("--recipe", default="common")
    arguments.add_argument("--budget", type=int, default=20)
    arguments.add_argument("--seeds", type=int, default=6)
    arguments.add_argument("--widths", type=int, nargs="+", default=[1, 2, 6])
    given = arguments.parse_args()
    torch.set_num_threads(1)
    by_width = np.array(
        [
            scores(given.encoder, given.benchmark, given.budget, given.seeds, width, given.recipe)
            for width in given.widths
        ]
    )
    for width, row in zip(given.widths, by_width):
        print(f"ensembles of {width}: mean tau {row.mean():.4f}; by seed {' '.join(f'{value:.4f}' for value in row)}")
    print(
        f"by width, the same seed: at most {np.ptp(by_width, 0).max():.4f} apart, standard deviation {np.sqrt(by_width.var(0, ddof=1).mean()):.4f}; "
        f"means at most {np.ptp(by_width.mean(1)):.4f} apart"
    )
    print(f"over seeds: standard deviation {by_width.std(1, ddof=1).mean():.4f}")


if __name__ == "__main__":
    main()
