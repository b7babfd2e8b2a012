"""Predictors by benchmark and by label budget, with the best and the statistically tied of every column marked."""

from __future__ import annotations

import math

import numpy as np

from archrank.eval.statistics import rounded
from archrank.reports.blocks import Cell, Column, Table
from archrank.reports.study import Group, View
from archrank.reports.words import missing_cell

__all__ = ["BEST", "TIED", "matrix"]

BEST, TIED = "●", "○"


def matrix(group: Group) -> Table:
    """One row per predictor, best first: the mean, the mean on each benchmark (over all budgets) and at each budget
    (over all benchmarks)."""
    parts = [view for kind in "tb" for view in group.views if view.id[0] == kind]
    views = [("mean", group.here), *((view.title, view) for view in parts)]
    columns = (
        Column("label", "predictor", "", False),
        *(Column(f"c{i}", title) for i, (title, _) in enumerate(views)),
    )
    rows = [
        {"label": Cell(label, label=label)}
        | {f"c{i}": _cell(title, view, label) for i, (title, view) in enumerate(views)}
        for label in group.here.order
    ]
    several = len(parts) > 0
    what = " by benchmark (over its budgets) and by label budget (over the benchmarks)" if several else ""
    caption = (
        f"Mean Kendall τ{what}; {group.title}. {BEST} highest of its column; {TIED} no significant difference from it "
    )
    caption += "(paired tests at the 5 % level, Holm-adjusted over all pairs of the column)."
    if not group.here.testable:
        caption = f"Mean Kendall τ{what}; {group.title}. {BEST} highest of its column; one split allows no test."
    return Table(f"matrix-{group.id}", caption, columns, tuple(rows), sortable=True, paper=True, look="matrix")


def _cell(title: str, view: View, label: str) -> Cell:
    if label not in view.boot.labels:
        return missing_cell()
    value, leader = view.boot.value(label), view.order[0]
    best = label == leader
    tied = not best and view.testable and label in view.top
    known = math.isfinite(value.low)
    said = "highest mean"
    if not best:
        pair = view.comparison(leader, label)
        p = f"p = {pair.p_adjusted:.3f}" if math.isfinite(pair.p_adjusted) else "no test"
        said = f"{'differs significantly' if pair.significant else 'no significant difference'} from {leader} ({p})"
    mark = BEST if best else TIED if tied else ""
    low, high = float(np.min(view.boot.estimate)), float(np.max(view.boot.estimate))
    return Cell(
        f"{rounded(value, bare=True)} {mark}".strip(),
        value.estimate,
        low=value.low if known else None,
        high=value.high if known else None,
        tone="best" if best else "tied" if tied else "normal",
        shade=(value.estimate - low) / (high - low) if high > low else 0.0,
        tip=f"{label}, {title}: {rounded(value)}; {said}",
    )
