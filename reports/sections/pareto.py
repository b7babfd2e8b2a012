"""The Pareto front: how much of the front of two targets (accuracy against latency, say) a predictor finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.eval.search.objectives import front
from archrank.eval.statistics import Bootstrap, Comparison, ComparisonError, bootstrap, pairs, rounded
from archrank.reports.blocks import Block, Bold, Cell, Column, Heading, Inline, Section, Table, Text
from archrank.reports.sections import section
from archrank.reports.study import Group, Study, intervals, task_name
from archrank.reports.words import bold_join, plural, share, slug

__all__ = ["FrontFound", "front_found", "hypervolume", "pareto_section"]

MOST_PAIRS = 6
RANDOM_DRAWS = 20
Floats = NDArray[np.float64]
Task = tuple[str, str]


@dataclass(frozen=True)
class FrontFound:
    """What a predicted front is worth. ratio: hypervolume of its architectures' true scores over that of the true
    front. random: the same of as many architectures drawn at random. size: architectures on it. hit: share of the true
    front that is on it."""

    ratio: float
    random: float
    size: int
    hit: float


def hypervolume(points: Floats, reference: Floats) -> float:
    """Area that points float [K, 2] dominate above a reference point [2]; higher is better in both."""
    above = points[(points > reference).all(1)]
    steps = np.unique(above[front(above)], axis=0)[::-1]  # first value falling, second rising
    heights = np.diff(np.concatenate([reference[1:], steps[:, 1]]))
    return float(((steps[:, 0] - reference[0]) * heights).sum())


def front_found(true: Floats, predicted: Floats, seed: int = 0) -> FrontFound | None:
    """Judge a predicted front; None where the true one has no area.

    Args:
        true, predicted: [N, 2] of the architectures that both predictions were tested on; higher is better. The
            reference point is the median of the true scores, so that only the better half of each counts, and no
            failed training stretches the scale.
        seed: of the random draws.
    """
    reference = np.median(true, 0)
    whole = hypervolume(true, reference)
    if not whole > 0:
        return None
    chosen, best = front(predicted), front(true)
    rng, size = np.random.default_rng(seed), len(chosen)
    drawn = [hypervolume(true[rng.choice(len(true), size, replace=False)], reference) for _ in range(RANDOM_DRAWS)]
    ratio = hypervolume(true[chosen], reference) / whole
    return FrontFound(ratio, float(np.mean(drawn)) / whole, size, float(np.isin(best, chosen).mean()))


@section("pareto", order=47)
def pareto_section(study: Study) -> Section | None:
    """Which predictor finds the front of a target to raise and one to lower; nothing where no space has both."""
    blocks: list[Block] = []
    for group in study.groups:
        for first, second in _pairs(study, group)[:MOST_PAIRS]:
            blocks += _pair(study, group, first, second)
    if not blocks:
        return None
    note = (
        "Both targets are predicted from as many labels each, and the architectures that no other beats in both "
        "predictions are the predicted front. Its worth is the area that these architectures truly dominate above the "
        "median of both targets, as a share of the area under the true front of the tested architectures: 100 % is the "
        "true front. Random draws have as many architectures as the predicted front. Two targets of one table are "
        "measured on the same architectures; those of two tables on others."
    )
    return Section("pareto", "Which predictor finds the Pareto front", [Text((note,), "note"), *blocks], "Pareto front")


def _pairs(study: Study, group: Group) -> list[tuple[Task, Task]]:
    """Tasks of one space, the first of which is to be raised and the second to be lowered."""
    known = {task: study.table(task[0]) for task in group.tasks}
    tables = {task: table for task, table in known.items() if not isinstance(table, str)}
    ways = {task: tables[task].direction(study.tested(group, *task)) for task in tables}
    return [
        (a, b)
        for a, b in product(tables, tables)
        if (ways[a], ways[b]) == ("max", "min") and tables[a].space.name == tables[b].space.name
    ]


def _pair(study: Study, group: Group, first: Task, second: Task) -> list[Block]:
    rows = _judged(study, group, first, second)
    blocks: list[Block] = []
    for budget, part in rows.groupby("budget") if len(rows) else []:
        try:
            whole = bootstrap(part, "front", scope="splits", better="higher", draws=0)
            compared = pairs(part, "front", scope="splits", better="higher") if len(whole.labels) > 1 else []
        except ComparisonError:
            continue
        blocks += [Text(_verdict(whole, compared, int(str(budget)))), _table(part, whole, first, second)]
    title = f"{task_name(*first)} against {task_name(*second)}, {group.title}"
    return [Heading(title), *blocks] if blocks else []


def _judged(study: Study, group: Group, first: Task, second: Task) -> pd.DataFrame:
    """A row for each predictor, budget and seed with both predictions: those of the first task, and what was found."""
    tables = study.table(first[0]), study.table(second[0])
    keys = ["label", "budget", "seed"]
    other = group.task(*second).query("status == 'done'").set_index(keys)["key"]
    results = []
    for _, row in group.task(*first).query("status == 'done'").iterrows():
        key = other.get(tuple(row[name] for name in keys))
        if key is None or isinstance(tables[0], str) or isinstance(tables[1], str):
            continue
        parts = [_scored(study, *pair) for pair in ((str(row["key"]), tables[0]), (str(key), tables[1]))]
        if parts[0] is None or parts[1] is None:
            continue
        both = parts[0].join(parts[1], how="inner", lsuffix="_a", rsuffix="_b")
        true, predicted = (both[[f"{what}_a", f"{what}_b"]].to_numpy() for what in ("true", "predicted"))
        if len(both) > 1 and (judged := front_found(true, predicted, int(row["seed"]))) is not None:
            results.append(
                {**row, "front": judged.ratio, "random": judged.random, "on": judged.size, "hit": judged.hit}
            )
    return pd.DataFrame(results)


def _scored(study: Study, key: str, table: Benchmark) -> pd.DataFrame | None:
    """True and predicted scores of a trial's test architectures by their names, higher is better."""
    if (stored := study.predictions(key, table)) is None:
        return None
    index, predictions = stored
    record = study.records[key]
    target = record.test.target or record.trial.target
    values = {"true": table.oriented(target)[index], "predicted": predictions}
    return pd.DataFrame(values, index=table.arch[index].astype(str))


def _verdict(whole: Bootstrap, compared: Sequence[Comparison], budget: int) -> tuple[Inline, ...]:
    order = sorted(whole.labels, key=lambda label: -whole.value(label).estimate)
    best = order[0]
    rivals = [
        comparison for comparison in compared if best in (comparison.a, comparison.b) and not comparison.significant
    ]
    beside = [comparison.b if comparison.a == best else comparison.a for comparison in rivals]
    said: tuple[Inline, ...] = (
        f"With {budget} labels ",
        Bold(best),
        f" finds {rounded(whole.value(best))} of the front",
    )
    if not beside:
        return (*said, ", significantly more than every other predictor." if compared else ".")
    return (*said, "; no significant difference from ", *bold_join(beside), ".")


def _table(rows: pd.DataFrame, whole: Bootstrap, first: Task, second: Task) -> Table:
    columns = (
        Column("label", "predictor", "", False),
        Column("front", "hypervolume", "up", help="share of that of the true front"),
        Column("random", "at random", "", help="as many architectures drawn at random"),
        Column("hit", "true front found", "up"),
        Column("on", "predicted front", "", help="architectures on it, mean over splits"),
    )
    shown = []
    for label in sorted(whole.labels, key=lambda each: -whole.value(each).estimate):
        value, own = whole.value(label), rows[rows["label"] == label]
        mean = {name: float(own[name].mean()) for name in ("random", "hit", "on")}
        shown.append(
            {
                "label": Cell(label, label=label),
                "front": Cell(rounded(value), value.estimate),
                "random": Cell(f"{mean['random']:.2f}", mean["random"]),
                "hit": Cell(share(mean["hit"]), mean["hit"]),
                "on": Cell(f"{mean['on']:.1f}", mean["on"]),
            }
        )
    budget = int(rows["budget"].iloc[0])
    caption = (
        f"Hypervolume of the predicted front relative to the true one, {task_name(*first)} against "
        f"{task_name(*second)}, {plural(budget, 'label')}. {intervals(whole.kind)}"
    )
    return Table(f"pareto-{slug(f'{first[1]} {second[1]} {budget}')}", caption, columns, tuple(shown), sortable=True)
