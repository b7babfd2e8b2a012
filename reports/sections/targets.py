"""Several targets of one benchmark, such as latencies on devices: rank correlation and relative error on each, and how
alike the targets order architectures."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from archrank.datasets import Benchmark
from archrank.eval.metrics import kendall
from archrank.eval.statistics import ComparisonError, bootstrap, rounded
from archrank.reports.blocks import Block, Cell, Column, Heading, Section, Table, Text
from archrank.reports.sections import section
from archrank.reports.study import MAIN, Group, Study, intervals
from archrank.reports.words import missing_cell, plural

__all__ = ["targets_section"]

LEAST, MOST_PAIRED = 2, 2_000


@section("targets", order=46)
def targets_section(study: Study) -> Section | None:
    """Target by target, for each benchmark of which several were predicted; nothing where there is none."""
    blocks: list[Block] = []
    for group in study.groups:
        targets = defaultdict(list)
        for benchmark, target in group.tasks if group.views else []:
            targets[benchmark].append(target)
        for benchmark, names in targets.items():
            if len(names) >= LEAST:
                blocks += _benchmark(study, group, benchmark, names)
    if not blocks:
        return None
    note = (
        "MAPE is the mean absolute error relative to the true score. Predictors that learn an order alone are given it "
        "for costs only: the architecture at some quantile of the predictions gets that quantile of the labels it was "
        "trained on."
    )
    return Section("targets", "Target by target", [Text((note,), "note"), *blocks], "Targets")


def _benchmark(study: Study, group: Group, benchmark: str, names: list[str]) -> list[Block]:
    out: list[Block] = [Heading(f"{benchmark}, {group.title}")]
    for budget in group.budgets:
        out += _budget(group, benchmark, names, budget)
    table = study.table(benchmark)
    return out if isinstance(table, str) else [*out, _alike(table, names)]


def _budget(group: Group, benchmark: str, names: list[str], budget: int) -> list[Block]:
    labels, rows, kind = list(group.here.order), [], "none"
    for target in names:
        part = group.task(benchmark, target)
        part = part[part["budget"] == budget]
        row = {"target": Cell(target)}
        for number, label in enumerate(labels):
            for key, metric in (("tau", MAIN), ("mape", "mape")):
                try:
                    boot = bootstrap(part, metric, [label], scope="splits", draws=0)
                    kind, value = boot.kind if metric == MAIN else kind, boot.value(label)
                    row[f"{key}{number}"] = Cell(rounded(value), value.estimate)
                except ComparisonError:
                    row[f"{key}{number}"] = missing_cell()
        rows.append(row)
    columns = [Column("target", "target", "", False)]
    for number, label in enumerate(labels):
        columns += [Column(f"tau{number}", f"{label}: τ", "up"), Column(f"mape{number}", "MAPE", "down")]
    columns = [
        column
        for column in columns
        if not column.key.startswith("mape") or any(r[column.key].sort is not None for r in rows)
    ]
    caption = f"Kendall τ and relative error by target, {benchmark}, {plural(budget, 'label')}. {intervals(kind)}"
    return [Table(f"targets-{group.id}-{benchmark}-{budget}", caption, tuple(columns), tuple(rows), sortable=True)]


def _alike(table: Benchmark, names: list[str]) -> Table:
    """Kendall's tau between the measured scores of every two targets, turned so that good is high in both."""
    scores = np.stack([table.oriented(name) for name in names])
    rows = np.random.default_rng(0).permutation(np.flatnonzero(np.isfinite(scores).all(0)))[:MOST_PAIRED]
    shown = []
    for a, name in enumerate(names):
        agreement = [kendall(scores[a, rows], scores[b, rows]) if len(rows) > 1 else np.nan for b in range(len(names))]
        cells = {
            f"c{b}": Cell(f"{tau:.2f}", tau, shade=abs(tau)) if np.isfinite(tau) else missing_cell()
            for b, tau in enumerate(agreement)
        }
        shown.append({"target": Cell(name)} | cells)
    columns = (Column("target", "", "", False), *(Column(f"c{b}", name) for b, name in enumerate(names)))
    caption = f"How alike the targets of {table.name} order {plural(len(rows), 'architecture')}: Kendall τ of measured scores."
    return Table(f"alike-{table.name}", caption, columns, tuple(shown), compact=True)
