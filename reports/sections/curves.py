"""Sections 4 and 5: sample-efficiency curves, and the matrix of paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from archrank.eval.statistics import (
    ComparisonError,
    area_under_curve,
    compare_each,
    digits,
    friedman,
    label_efficiency,
    rounded,
    values,
)
from archrank.reports.blocks import (
    Block,
    Bold,
    Cell,
    Column,
    Details,
    Figure,
    Heading,
    Link,
    Live,
    Panel,
    Section,
    Table,
    Text,
)
from archrank.reports.figures import ranking as fig_ranking
from archrank.reports.figures.critical import critical_difference
from archrank.reports.published import matching
from archrank.reports.sections import section
from archrank.reports.study import MAIN, Group, Study, View, interval, intervals, task_name
from archrank.reports.words import join, missing_cell, plural

__all__ = ["pairwise", "sample_efficiency"]


@section("curves", order=40)
def sample_efficiency(study: Study) -> Section:
    """Sample efficiency: small panels per benchmark and group, the area under the curves and the labels others need."""
    blocks: list[Block] = []
    for group in study.groups:
        blocks.append(Heading(f"{group.title[0].upper()}{group.title[1:]}"))
        if group.problem:
            blocks.append(Text((f"No curves: {group.problem}",), "warning"))
            continue
        if len(group.budgets) < 2:
            blocks.append(
                Text(
                    (
                        "One budget only, so there is no curve; the points are in the ",
                        Link("leaderboard", f"board-{group.id}"),
                        ".",
                    )
                )
            )
            continue
        panels, sources = [], list[str]()
        for number, (benchmark, target) in enumerate(group.tasks):
            panels.append(_panel(study, group, benchmark, target, number, sources))
        caption = "Mean τ with 95 % band over splits and seeds against the number of labelled architectures."
        if any(study.ceiling(group, b, t) is not None for b, t in group.tasks):
            caption += " Dashed: the noise ceiling, what the training noise of the scores lets any predictor reach."
        if sources:
            caption += " Hollow marks are published values under the same protocol and target: " + " ".join(sources)
        else:
            caption += " No published value has this protocol and target, so none is shown."
        blocks.append(Figure(f"curves-{group.id}", caption, tuple(panels), 400))
        blocks += _tables(group)
    return Section("curves", "Sample efficiency", blocks, "Curves")


def _panel(study: Study, group: Group, benchmark: str, target: str, number: int, sources: list[str]) -> Panel:
    means = values(group.task(benchmark, target), MAIN)
    order = group.views[0].order
    known = sorted(
        means["label"].unique(), key=lambda label: (order.index(label) if label in order else len(order), label)
    )
    series = []
    for label in known:
        rows = means[means["label"] == label].sort_values("budget")
        columns = (rows[c].to_numpy(float) for c in ("budget", "mean", "low", "high"))
        series.append(fig_ranking.Series(label, *columns))
    marks = []
    for row in matching(benchmark, group.protocol, target).to_dict("records"):
        source = f"{row['encoder']} in {row['paper']} ({row['source']});"
        if source not in sources:
            sources.append(source)
        marks.append(
            fig_ranking.Published(
                row["label"] or None, float(row["budget"]), float(row["value"]), sources.index(source) + 1
            )
        )
    title = task_name(benchmark, target)
    limit = study.ceiling(group, benchmark, target)
    svg = fig_ranking.curves(
        series, study.palette, title, ceiling=None if limit is None else limit.estimate, published=marks
    )
    alt = f"Curves for {title}: " + "; ".join(
        f"{s.label} {s.value[np.isfinite(s.value)][-1]:.3f} at {s.budgets[np.isfinite(s.value)][-1]:g} labels"
        for s in series
        if np.isfinite(s.value).any()
    )
    return Panel(f"curve-{group.id}-{number}", svg, alt, title)


def _tables(group: Group) -> list[Block]:
    """Every point as a table, the areas, and the labels others need to reach the leader."""
    view = group.here
    budgets = sorted(int(b) for b in view.boot.budgets)
    out: list[Block] = []
    if len(budgets) > 1:
        out.append(Details("Area under the curves, and the labels others need", (_needed(group, view, budgets),)))
    means = values(group.frame[group.frame["label"].isin(view.order)], MAIN)
    tables = tuple(
        _points(means[(means["benchmark"] == b) & (means["target"] == t)], view, group, b, t, number)
        for number, (b, t) in enumerate(group.tasks)
    )
    out.append(Details("Every point of the curves", tables))
    return out


def _needed(group: Group, view: View, budgets: list[int]) -> Table:
    at = budgets[max(0, (len(budgets) - 1) // 2)]
    leader = view.order[0]
    try:
        areas = area_under_curve(view.frame, MAIN, view.order, scope=view.scope)
    except ComparisonError:
        areas = None
    columns = (
        Column("label", "predictor", "", False),
        Column("area", "area under the curve", "up", help="mean of τ over the logarithm of the budget"),
        Column("need", f"labels to reach {leader} at {at}", "down", help="read off the curves, 95 % interval"),
    )
    rows = []
    for label in view.order:
        row = {"label": Cell(label, label=label), "area": missing_cell(), "need": missing_cell()}
        if areas is not None and math.isfinite(areas.value(label).estimate):
            row["area"] = Cell(rounded(areas.value(label)), areas.value(label).estimate)
        if label == leader:
            row["need"] = Cell(str(at), float(at))
        else:
            try:
                need = label_efficiency(view.frame, leader, label, at, scope=view.scope, draws=1000)
                row["need"] = Cell(_labels(need.labels, need.low, need.high, need.smallest, need.largest), need.labels)
            except ComparisonError:
                pass
        rows.append(row)
    caption = f"Label efficiency, {group.title}: area under the curve, and how many labels each predictor needs to reach what {leader} has at {at}. {intervals(view.boot.kind)}"
    return Table(f"efficiency-{group.id}", caption, columns, tuple(rows), sortable=True, paper=True)


def _labels(value: float, low: float, high: float, smallest: int, largest: int) -> str:
    def one(x: float) -> str:
        if math.isnan(x):
            return "unknown"
        return f"< {smallest}" if x <= 0 else f"> {largest}" if math.isinf(x) else f"{x:.0f}"

    return one(value) if math.isnan(low) else f"{one(value)} [{one(low)}, {one(high)}]"


def _points(means: pd.DataFrame, view: View, group: Group, benchmark: str, target: str, number: int) -> Table:
    budgets = sorted(int(b) for b in means["budget"].unique())
    columns = (Column("label", "predictor", "", False), *(Column(f"b{b}", f"{b} labels", "up") for b in budgets))
    rows = []
    for label in view.order:
        row = {"label": Cell(label, label=label)}
        for b in budgets:
            rows_here = means[(means["label"] == label) & (means["budget"] == b)]
            if len(rows_here) != 1 or not math.isfinite(rows_here["mean"].iloc[0]):
                row[f"b{b}"] = missing_cell()
                continue
            row[f"b{b}"] = Cell(rounded(interval(rows_here.iloc[0])), rows_here["mean"].iloc[0])
        rows.append(row)
    name = task_name(benchmark, target)
    return Table(
        f"points-{group.id}-{number}",
        f"τ on {name}, {group.title}: mean over all seeds. {' '.join(map(intervals, sorted(means['kind'].unique())))}",
        columns,
        tuple(rows),
        sortable=True,
        paper=True,
        compact=True,
    )


@section("pairwise", order=50)
def pairwise(study: Study) -> Section:
    """Paired differences: the matrices of each group and, folded, their tables: for the benchmarks shown, and on
    average over search spaces like these."""
    blocks: list[Block] = []
    for group in study.groups:
        blocks.append(Heading(f"{group.title[0].upper()}{group.title[1:]}"))
        if not group.views or len(group.views[0].order) < 2:
            blocks.append(Text((group.problem or "One predictor only: nothing to compare.",)))
            continue
        blocks += _over_spaces(study, group, group.views[0])
        here = group.here
        views = [here] + ([group.views[0]] if group.views[0] is not here else [])
        panels = tuple(_matrix(study, group, view, here.order, number, len(views)) for number, view in enumerate(views))
        caption = (
            f"Paired difference in mean τ, row minus column, over {here.over}. Blue: the row is better; orange: worse; "
            "hatched: no significant difference (paired tests at the 5 % level, Holm-adjusted over all pairs). "
        ) + "; ".join(
            f"{_significant(view)} of {plural(len(view.pairs), 'pair')} differ significantly{_where(view) if len(views) > 1 else ''}"
            for view in views
        )
        board = f"board-{group.id}"
        duel = _duel(group, here)
        blocks.append(
            Live("pairs", board, f"all-{group.id}", (Figure(f"pairwise-{group.id}", f"{caption}.", panels, 400),))
        )
        blocks.append(
            Text(
                (
                    Bold("Two predictors, setting by setting. "),
                    "Holm-adjusted over the settings; hatched: no significant difference.",
                ),
                "note",
            )
        )
        blocks.append(Live("duel", board, duel.id, (duel,)))
        blocks.append(Details("Every pair", tuple(_pairs(group, view, number) for number, view in enumerate(views))))
    return Section("pairwise", "Pair by pair", blocks, "Pairs")


def _duel(group: Group, view: View) -> Table:
    """The first two predictors on each benchmark at each budget."""
    a, b = view.order[:2]
    comparisons = {(f"{c.benchmarks[0]}", c.budgets[0]): c for c in compare_each(view.frame, a, b)}
    budgets = sorted({budget for _, budget in comparisons})
    columns = (Column("task", "benchmark", numeric=False), *(Column(f"b{n}", f"{n} labels") for n in budgets))
    rows = []
    for task in sorted({task for task, _ in comparisons}):
        row = {"task": Cell(task)}
        for n in budgets:
            comparison = comparisons.get((task, n))
            row[f"b{n}"] = (
                missing_cell()
                if comparison is None
                else Cell(
                    rounded(comparison.difference, signed=True),
                    comparison.difference.estimate,
                    tone="best" if comparison.significant else "normal",
                )
            )
        rows.append(row)
    return Table(f"duel-{group.id}", f"{a} minus {b}, mean Kendall τ.", columns, tuple(rows), compact=True)


def _significant(view: View) -> int:
    return sum(pair.significant for pair in view.pairs)


def _where(view: View) -> str:
    return " on average over search spaces like these" if view.boot.kind == "spaces" else " on these benchmarks"


def _matrix(study: Study, group: Group, view: View, order: Sequence[str], number: int, many: int) -> Panel:
    """One matrix; all of a group have their rows in one order."""
    labels = tuple(order)[:30]
    n = len(labels)
    difference = np.full((n, n), np.nan)
    covers = np.zeros((n, n), bool)
    text: dict[tuple[int, int], str] = {}
    for i, a in enumerate(labels):
        for j, b in enumerate(labels):
            if i != j:
                gap, _ = view.boot.difference(a, b)
                difference[i, j] = gap.estimate
                covers[i, j] = not view.comparison(a, b).significant
                text[i, j] = _bare(gap.estimate, gap.half_width)
    title = ("These\nbenchmarks" if number == 0 else "Spaces like\nthese") if many > 1 else ""
    shown = fig_ranking.pairwise(labels, difference, covers, study.palette, text, title)
    alt = (
        f"{_significant(view)} of {len(view.pairs)} pairs differ significantly{_where(view)}; order: {join(labels, 30)}"
    )
    return Panel(f"pairwise-{group.id}" + (f"-{number}" if number else ""), shown, alt)


def _pairs(group: Group, view: View, number: int) -> Table:
    """Every pair of a view with its interval and p-value."""
    columns = (
        Column("a", "a", "", False),
        Column("b", "b", "", False),
        Column("difference", "a − b, 95 % interval"),
        Column("p", "p (Holm)"),
        Column("significant", "significant", "", False),
    )
    rows = [
        {
            "a": Cell(c.a, label=c.a),
            "b": Cell(c.b, label=c.b),
            "difference": Cell(rounded(c.difference, signed=True), c.difference.estimate),
            "p": Cell(_p(c.p_adjusted), c.p_adjusted if math.isfinite(c.p_adjusted) else None),
            "significant": Cell("yes" if c.significant else "no", tone="normal" if c.significant else "missing"),
        }
        for c in view.pairs[: 30 * 29 // 2]
    ]
    caption = f"Paired differences{_where(view)}, {group.title}."
    return Table(
        f"pairs-{group.id}" + (f"-{number}" if number else ""),
        caption,
        columns,
        tuple(rows),
        sortable=True,
        paper=True,
        compact=True,
    )


def _bare(value: float, half_width: float) -> str:
    """A signed number without its leading zero, so that it fits a square of the matrix."""
    return f"{value:+.{min(3, digits(half_width))}f}".replace("-", "−").replace("0.", ".", 1)


def _over_spaces(study: Study, group: Group, view: View) -> list[Block]:
    """Friedman's test over search spaces with its diagram, or the sentence that says why there is none."""
    try:
        test = friedman(view.frame, MAIN, view.order)
    except ComparisonError as error:
        return [Text((str(error),), "note")]
    if not test.possible:
        return [Text((test.reason,), "note")]
    drawn = critical_difference(test.ranks, test.groups, test.critical_difference, study.palette)
    alt = "; ".join(f"{label} mean rank {rank:.2f}" for label, rank in test.ranks.items())
    caption = (
        f"{test.reason} A bar joins predictors without a significant difference (Nemenyi's test at the 5 % level)."
    )
    return [Figure(f"critical-{group.id}", caption, (Panel(f"critical-{group.id}", drawn, alt),), 380)]


def _p(value: float) -> str:
    return "–" if not math.isfinite(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
