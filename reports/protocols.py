"""The same predictors under several protocols, side by side: how much the way of splitting alone moves a score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from archrank.datasets.splits import PROTOCOLS
from archrank.eval.metrics import METRICS
from archrank.reports.blocks import Block, Cell, Code, Column, Section, Table, Text
from archrank.reports.words import join

METRIC = "kendall"


def protocols_section(frame: pd.DataFrame, protocols: Sequence[str], command: str) -> Section:
    """One row per predictor and label budget, one column per protocol, and how far these are apart; per budget, how
    many pairs of predictors change places between the first protocol and another.

    Args:
        frame: done trials of one benchmark, target and recipe (columns: docs/store.md).
        protocols: names, in the order of the columns; a predictor without trials under one has an empty cell there.
        command: what repeats it.
    """
    grouped = frame.groupby(["label", "budget", "protocol"], sort=False)[METRIC]
    mean, spread, count = (getattr(grouped, name)() for name in ("mean", "std", "count"))
    columns = [Column("label", "predictor", numeric=False), Column("budget", "labels")]
    columns += [Column(name, name, "up") for name in protocols] + [Column("apart", "highest - lowest")]
    rows, said = [], []
    for budget, means in mean.unstack("protocol").reindex(columns=list(protocols)).groupby("budget"):
        means = means.droplevel("budget").sort_values(protocols[0], ascending=False, kind="stable")
        apart = means.max(axis=1) - means.min(axis=1)
        for label in means.index:
            row = {"label": Cell(str(label)), "budget": Cell(str(budget))}
            row["apart"] = Cell(f"{apart[label]:.3f}", apart[label])
            for name in protocols:
                row[name] = Cell("not run", tone="missing")
                if (label, budget, name) in mean.index:
                    at = (label, budget, name)
                    row[name] = Cell(_with_error(mean[at], spread[at], int(count[at])), mean[at])
            rows.append(row)
        said.append(
            f"With {budget} labels the protocol alone moves a predictor by {_between(apart)}.{_reversed(means)}"
        )
    trained, target = frame.iloc[0], frame.iloc[0]["target"]
    caption = (
        f"{METRICS[METRIC].description} on {trained['benchmark']} ({target}), recipe {trained['recipe']}: mean over seeds "
        "± standard error (number of seeds)"
    )
    rules = [Text((f"{name}: {PROTOCOLS[name].summary}. {_leaks(name)}",), "item") for name in protocols]
    blocks: list[Block] = [Table("protocols", caption, tuple(columns), tuple(rows))]
    blocks += [Text((sentence,), "item") for sentence in said]
    blocks += [Text(("What differs",), "lead"), *rules, Text(("Repeated by",)), Code(command)]
    return Section("protocols", "One predictor, several protocols", tuple(blocks))


def _with_error(mean: float, spread: float, count: int) -> str:
    error = "" if math.isnan(spread) else f" ± {spread / math.sqrt(count):.3f}"
    return f"{mean:.3f}{error} ({count})"


def _between(gaps: pd.Series) -> str:
    median = f", half of them by at least {gaps.median():.3f}" if len(gaps) > 2 else ""
    return f"{gaps.min():.3f}" if len(gaps) == 1 else f"{gaps.min():.3f} to {gaps.max():.3f}{median}"


def _reversed(means: pd.DataFrame) -> str:
    """How many pairs of predictors (rows of `means`) a protocol (column) orders otherwise than the first one does."""
    means = means.dropna()
    first, *others = means.columns
    if len(means) < 3 or not others:
        return ""
    i, j = np.triu_indices(len(means), 1)
    gaps = means.to_numpy()[i] - means.to_numpy()[j]  # [pairs, protocols]
    counts = [f"{other} under {name}" for name, other in zip(others, (gaps[:, :1] * gaps[:, 1:] < 0).sum(axis=0))]
    return (
        f" Of {len(gaps):,} pairs of predictors, means over these seeds stand the other way round than under {first} for "
        f"{join(counts)} (not tested)."
    )


def _leaks(name: str) -> str:
    leaks = PROTOCOLS[name].leaks
    return f"Lets through: {leaks}." if leaks else "Lets nothing through."
