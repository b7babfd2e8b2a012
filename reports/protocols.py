"""The same predictors under several protocols, side by side: how much the way of splitting alone moves a score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from archrank.datasets.splits import PROTOCOLS
from archrank.eval.metrics import METRICS
from archrank.reports.blocks import Block, Cell, Code, Column, Section, Table, Text

METRIC = "kendall"


def protocols_section(frame: pd.DataFrame, protocols: Sequence[str], command: str) -> Section:
    """One row per predictor and label budget, one column per protocol, and how far these are apart.

    Args:
        frame: done trials of one benchmark, target and recipe (columns: docs/store.md).
        protocols: names, in the order of the columns; a predictor without trials under one has an empty cell there.
        command: what repeats it.
    """
    grouped = frame.groupby(["label", "budget", "protocol"], sort=False)[METRIC]
    mean, spread, count = (getattr(grouped, name)() for name in ("mean", "std", "count"))
    columns = [Column("label", "predictor", numeric=False), Column("budget", "labels")]
    columns += [Column(name, name, "up") for name in protocols] + [Column("apart", "highest - lowest")]
    rows, moved = [], dict[int, list[float]]()
    for budget in sorted(frame["budget"].unique()):
        for label in frame["label"].unique():
            means_here = {name: mean[label, budget, name] for name in protocols if (label, budget, name) in mean.index}
            if not means_here:
                continue
            apart = max(means_here.values()) - min(means_here.values())
            moved.setdefault(budget, []).append(apart)
            row = {"label": Cell(label), "budget": Cell(str(budget)), "apart": Cell(f"{apart:.3f}", apart)}
            for name in protocols:
                row[name] = Cell("not run", tone="missing")
                if name in means_here:
                    at = (label, budget, name)
                    row[name] = Cell(_with_error(mean[at], spread[at], int(count[at])), mean[at])
            rows.append(row)
    trained, target = frame.iloc[0], frame.iloc[0]["target"]
    caption = (
        f"{METRICS[METRIC].description} on {trained['benchmark']} ({target}), recipe {trained['recipe']}: mean over seeds "
        "± standard error (number of seeds)"
    )
    said = [
        Text((f"With {budget} labels the protocol alone moves a predictor by {_between(gaps)}.",), "item")
        for budget, gaps in moved.items()
    ]
    rules = [Text((f"{name}: {PROTOCOLS[name].summary}. {_leaks(name)}",), "item") for name in protocols]
    blocks: list[Block] = [Table("protocols", caption, tuple(columns), tuple(rows)), *said]
    blocks += [Text(("What differs",), "lead"), *rules, Text(("Repeated by",)), Code(command)]
    return Section("protocols", "One predictor, several protocols", tuple(blocks))


def _with_error(mean: float, spread: float, count: int) -> str:
    error = "" if math.isnan(spread) else f" ± {spread / math.sqrt(count):.3f}"
    return f"{mean:.3f}{error} ({count})"


def _between(gaps: Sequence[float]) -> str:
    return f"{min(gaps):.3f}" if len(gaps) == 1 else f"{min(gaps):.3f} to {max(gaps):.3f}"


def _leaks(name: str) -> str:
    leaks = PROTOCOLS[name].leaks
    return f"Lets through: {leaks}." if leaks else "Lets nothing through."
