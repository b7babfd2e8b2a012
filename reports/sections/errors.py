"""Section 6: error analysis, benchmark by benchmark."""

from __future__ import annotations

import numpy as np

from archrank.datasets import Benchmark
from archrank.reports.blocks import Block, Cell, Choice, Column, Details, Figure, Panel, Section, Table, Text
from archrank.reports.figures import truth as fig_truth
from archrank.reports.sections import section
from archrank.reports.study import MAIN, Group, Study, task_name
from archrank.reports.truth import Prediction, op_slopes, predictions, residual_by_depth
from archrank.reports.words import plural

__all__ = ["error_analysis"]

MOST_LABELS = 10
MOST_TASKS = 8


@section("errors", order=60)
def error_analysis(study: Study) -> Section:
    """Rank density, the truly best, residuals and single architectures for each task of the first group."""
    blocks: list[Block] = []
    groups = [g for g in study.groups if g.views][:1]
    for group in groups:
        blocks.append(
            Text(
                (
                    f"At the largest budget, {group.title}, all seeds together. Ranks are percentiles inside each test set; a "
                    "residual is the predicted minus the true percentile, so above 0 means over-rated.",
                ),
                "note",
            )
        )
        options: list[tuple[str, tuple[Block, ...]]] = []
        for number, (benchmark, target) in enumerate(group.tasks[:MOST_TASKS]):
            table = study.table(benchmark)
            said = (
                [Text((table,), "note")]
                if isinstance(table, str)
                else _task(study, group, table, benchmark, target, number)
            )
            options.append((task_name(benchmark, target), tuple(said)))
        blocks.append(Choice("errors-by-benchmark", "Benchmark", tuple(options)))
        if len(group.tasks) > MOST_TASKS:
            blocks.append(
                Text((f"{plural(len(group.tasks) - MOST_TASKS, 'more benchmark target')} not drawn here.",), "note")
            )
    if not groups:
        blocks.append(Text(("No group of trials could be ranked.",)))
    return Section("errors", "Error analysis", blocks, "Errors")


def _task(study: Study, group: Group, table: Benchmark, benchmark: str, target: str, number: int) -> list[Block]:
    rows = group.task(benchmark, target)
    order = group.views[0].order[:MOST_LABELS]
    done = rows[(rows["status"] == "done") & rows["label"].isin(order)]
    if done.empty:
        return [Text((f"No ranked predictor has a trial on {task_name(benchmark, target)}.",), "note")]
    budget = int(done["budget"].max())
    tested = study.tested(group, benchmark, target)
    predicted = predictions(study, table, rows[rows["budget"] == budget], order, tested)
    if not predicted:
        return [Text((f"No predictions are stored for {task_name(benchmark, target)} at {budget} labels.",), "note")]
    tau = rows[rows["budget"] == budget].groupby("label")[MAIN].mean()
    panels = []
    for i, (label, p) in enumerate(predicted.items()):
        note = f"τ {tau[label]:.2f}"
        svg = fig_truth.density(p.true, p.predicted, label, study.palette, note)
        panels.append(
            Panel(
                f"density-{number}-{i}",
                svg,
                f"{label}: predicted against true rank, mean tau {tau[label]:.2f}",
                label=label,
            )
        )
    seeds = max(len(np.unique(p.seed)) for p in predicted.values())
    name = task_name(benchmark, target) + (f", tested on {tested}," if tested != target else "")
    blocks: list[Block] = [
        Figure(
            f"density-{number}",
            f"Predicted against true rank on {name} at {budget} labels, "
            f"{plural(seeds, 'seed')}. The stronger the colour, the more architectures; the diagonal is perfect; the "
            "dashed square holds the best tenth of both.",
            tuple(panels),
            260 if len(panels) <= 3 else 190,
            pick=True,
        )
    ]
    folded: list[Block] = []
    depths, by_depth = residual_by_depth(table, predicted)
    ops, by_op = op_slopes(table, predicted)
    residuals = []
    if len(depths) > 1:
        svg = fig_truth.residual_by_depth(depths, by_depth, study.palette)
        residuals.append(Panel(f"depth-{number}", svg, f"Mean residual by depth on {name}"))
    if ops:
        chosen = dict(list(by_op.items())[:6])
        svg = fig_truth.residual_by_op(ops[:12], {label: v[:12] for label, v in chosen.items()}, study.palette)
        residuals.append(Panel(f"ops-{number}", svg, f"Residual per additional operation on {name}"))
    if residuals:
        folded.append(
            Figure(
                f"residuals-{number}",
                f"Residuals on {name}, in percentile points: mean by depth of the graph, and, in the same colours, slope on "
                "the number of nodes of each operation"
                + (f" (the first six predictors of {len(by_op)})." if len(by_op) > 6 else "."),
                tuple(residuals),
                400,
            )
        )
    blocks.append(
        Details("Where each predictor puts the best architectures", (_best(predicted, name, budget, number),))
    )
    blocks.append(Details("Residuals by depth and by operation", tuple(folded)))
    blocks.append(
        Details("Four architectures", tuple(_graphs(table, next(iter(predicted.values())), tested, name, number)))
    )
    return blocks


def _best(predicted: dict[str, Prediction], name: str, budget: int, number: int) -> Table:
    columns = (
        Column("label", "predictor", "", False),
        Column(
            "median", "median place of the true top 1 %", "down", help="per cent from the top of the predicted order"
        ),
        Column("worst", "worst place of the true top 1 %", "down"),
        Column(
            "first",
            "true place of the predicted best",
            "down",
            help="per cent from the top: the median seed, and the range of the seeds",
        ),
    )
    rows = []
    for label, p in predicted.items():
        median, worst = p.place_of_best(0.01)
        first, middle = p.first_predicted(), float(p.trial(p.typical_seed()).first_predicted()[0])
        rows.append(
            {
                "label": Cell(label, label=label),
                "median": Cell(_top(median), median),
                "worst": Cell(_top(worst), worst),
                "first": Cell(
                    _top(middle) + (f" [{first.min():.1f}–{first.max():.1f}]" if len(first) > 1 else ""),
                    middle,
                ),
            }
        )
    return Table(
        f"best-{number}",
        f"The truly best architectures on {name} at {budget} labels: where each predictor puts them (the median of the seeds; in brackets their range).",
        columns,
        tuple(rows),
        sortable=True,
        paper=True,
        compact=True,
    )


def _graphs(table: Benchmark, leader: Prediction, target: str, name: str, number: int) -> list[Block]:
    """Four architectures as the first predictor ranks them: its best, the true best, the most over- and under-rated.
    Of its seeds it is the one that the table of the best architectures names: with the median place."""
    seed = leader.typical_seed()
    trial = leader.trial(seed)
    chosen = {
        "Predicted best": trial.predicted,
        "Truly best": trial.true,
        "Most over-rated": trial.residual,
        "Most under-rated": -trial.residual,
    }
    score = table.target(target)
    unit = table.unit(target)
    unit = "" if unit == "fraction" else f" {unit}"
    panels, rows = [], []
    for i, (title, values) in enumerate(chosen.items()):
        place = int(values.argmax())
        row, equal = int(trial.index[place]), int((values == values.max()).sum())
        which = f"{title} (one of {equal})" if equal > 1 else title
        mask = table.mask[row]
        if mask.sum() > fig_truth.LARGEST_DRAWN:
            most = int(table.mask.sum(1).max())
            return [
                Text(
                    (f"Architectures of {table.name} have up to {most} nodes: too many to draw as small graphs.",),
                    "note",
                )
            ]
        ops = table.ops[row][mask]
        none = table.space.roles.get("none")
        names = [table.space.ops[op] for op in ops]
        true, predicted = (_top(100 * (1 - ranks[place])) for ranks in (trial.true, trial.predicted))
        note = f"true {true}, predicted {predicted}"
        svg = fig_truth.architecture(names, table.adj[row][np.ix_(mask, mask)], [op == none for op in ops], which, note)
        panels.append(Panel(f"arch-{number}-{i}", svg, f"{which}: {table.arch[row]}; operations {', '.join(names)}"))
        rows.append({"which": Cell(which), "score": Cell(f"{score[row]:.4g}{unit}", float(score[row])), "true": Cell(true),
                     "predicted": Cell(predicted), "arch": Cell(str(table.arch[row]))})  # fmt: skip
    columns = (Column("which", "", "", False), Column("score", target), Column("true", "true rank"), Column("predicted", "predicted rank"),
               Column("arch", "architecture", "", False))  # fmt: skip
    caption = f"Four architectures of {name} as {leader.label} ranks them in the test set of seed {seed}, the seed whose predicted best has the median true place."
    return [Figure(f"architectures-{number}", caption, tuple(panels), 200),
            Table(f"architecture-names-{number}", "", columns, tuple(rows), compact=True)]  # fmt: skip


def _top(percent: float) -> str:
    return "top 0.1 %" if percent < 0.1 else f"top {percent:.1f} %"
