"""Section 8: what it costs, one machine at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping

from archrank.eval.statistics import rounded
from archrank.reports.blocks import Block, Cell, Column, Details, Figure, Heading, Panel, Section, Table, Text
from archrank.reports.cost import Cost, costs_by_machine
from archrank.reports.figures import cost_map as fig_cost_map
from archrank.reports.sections import section
from archrank.reports.study import Group, Study, View, intervals
from archrank.reports.words import count, missing_cell, rate, seconds

__all__ = ["cost_section"]

MOST_DRAWN = 16


@section("cost", order=80)
def cost_section(study: Study) -> Section:
    """What it costs: Pareto panels and the table, per group and hardware string."""
    blocks: list[Block] = [
        Text(
            (
                "Seconds are a trial's share of the ensemble it trained in, without evaluation and compilation, with unsupervised pre-training "
                "added; the median over seeds, the geometric mean over benchmarks. Machines are never averaged.",
            ),
            "note",
        )
    ]
    for group in study.groups:
        blocks.append(Heading(f"{group.title[0].upper()}{group.title[1:]}"))
        if not group.views:
            blocks.append(Text((group.problem,), "warning"))
            continue
        view = next((v for v in reversed(group.views) if v.id.startswith("b")), group.here)
        budget = max(int(b) for b in view.boot.budgets)
        by_machine, refused = costs_by_machine(view, budget)
        for number, (machine, costs_here) in enumerate(by_machine.items()):
            blocks += _machine(study, group, view, machine, costs_here, budget, number)
        blocks += [Text((sentence,), "warning") for sentence in refused]
        if not by_machine and not refused:
            blocks.append(Text(("The trials record no timings.",)))
    return Section("cost", "Cost", blocks)


def _machine(
    study: Study, group: Group, view: View, machine: str, costs: Mapping[str, Cost], budget: int, number: int
) -> list[Block]:
    panels = []
    for kind, axis, unit, cheap in (
        ("fit_s", "time to train one trial  (cheaper ←)", "s", "low"),
        ("rate", "architectures predicted per second  (faster →)", "", "high"),
    ):
        points = []
        for label, cost in list(costs.items())[:MOST_DRAWN]:
            value = view.boot.value(label)
            price = getattr(cost, kind)
            if math.isfinite(price) and price > 0:
                low, high = (value.low, value.high) if math.isfinite(value.low) else (value.estimate, value.estimate)
                points.append(fig_cost_map.Price(label, value.estimate, low, high, price))
        if points:
            svg = fig_cost_map.pareto(
                points, study.palette, "Training" if kind == "fit_s" else "Prediction", axis, cheap=cheap, unit=unit
            )
            alt = "; ".join(f"{p.label}: tau {p.value:.3f} at {p.cost:.3g}" for p in points)
            panels.append(Panel(f"{kind.replace('_', '')}-{group.id}-{number}", svg, alt))
    columns = (
        Column("label", "predictor", "", False),
        Column("value", "Kendall τ", "up"),
        Column("fit", "train one trial", "down"),
        Column("rate", "architectures/s", "up"),
        Column("size", "parameters", "down"),
    )
    rows = []
    for label, cost in costs.items():
        value = view.boot.value(label)
        rows.append(
            {
                "label": Cell(label, label=label),
                "value": Cell(rounded(value), value.estimate),
                "fit": Cell(seconds(cost.fit_s), cost.fit_s) if math.isfinite(cost.fit_s) else missing_cell(),
                "rate": Cell(rate(cost.rate), cost.rate) if math.isfinite(cost.rate) else missing_cell(),
                "size": Cell(count(cost.parameters), cost.parameters)
                if math.isfinite(cost.parameters)
                else missing_cell(),
            }
        )
    ends = f"τ: {intervals(view.boot.kind)}"
    caption = f"On {machine}, {budget} labels, {group.title}. Dashed: Pareto front. {ends}"
    out: list[Block] = [Figure(f"cost-{group.id}-{number}", caption, tuple(panels), 400)] if panels else []
    table = Table(
        f"cost-table-{group.id}-{number}",
        f"Cost on {machine}, {budget} labels, {group.title}. {ends}",
        columns,
        tuple(rows),
        sortable=True,
        paper=True,
        compact=True,
    )
    return [*out, Details(f"The same as a table, {machine}", (table,))]
