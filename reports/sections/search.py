"""Search: which strategy and predictor find a good architecture soonest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.datasets.errors import ArchrankError
from archrank.eval.search.compare import (
    Difference,
    Estimate,
    Standing,
    compare_searches,
    digits_of,
    mean_curve,
    rounded,
)
from archrank.eval.search.traces import Judge, Regret, SearchRecord, read_searches
from archrank.eval.search.verdict import agreement, by_predictor, published_order, sentences, strategy_order
from archrank.reports.blocks import Block, Cell, Column, Details, Figure, Heading, Panel, Section, Table, Text
from archrank.reports.figures.ranking import pairwise
from archrank.reports.figures.search import RegretCurve, regret_curves
from archrank.reports.sections import section
from archrank.reports.sections.search_subroutines import subroutines
from archrank.reports.study import Study
from archrank.reports.style import Palette
from archrank.reports.words import FEW_LETTERS, plural, seconds

__all__ = ["search", "search_section"]

MOST_PAIRS = 60
MOST_SHOWN = 30


@section("search", order=85)
def search(study: Study) -> Section | None:
    """The searches of the study's stores; nothing where there are none."""
    return search_section(study.stores, study.load, study.frame)


def search_section(
    stores: Sequence[Path], load: Callable[[str], Benchmark], frame: pd.DataFrame | None = None
) -> Section | None:
    """A figure, a table and a verdict for every benchmark, metric and budget that was searched.

    frame: trials of the same stores, whose ranking is compared with the search.
    """
    records, problems = read_searches(stores)
    if not records and not problems:
        return None
    blocks: list[Block] = [
        Text(
            (
                "Test regret is the gap between the best test score of the table and the test score of the architecture with the best validation "
                "score so far. Searches are ranked by mean log10 regret from the tenth query on; repeats are paired by their first random "
                "architectures, differences tested by paired t tests with Holm's correction at the 5 % level; searches that share a tier letter do "
                "not differ significantly. An isomorphic duplicate of a queried architecture spends no query. Intervals are 95 %.",
            ),
            "note",
        )
    ]
    comparable: dict[tuple[str, str, str, str, int, int], list[SearchRecord]] = {}
    for record in records:
        task = record.planned
        group = (task.benchmark, task.within, task.target, task.test, task.queries, task.repeats)
        comparable.setdefault(group, []).append(record)
    for number, ((benchmark, within, target, test, queries, repeats), repeated) in enumerate(
        sorted(comparable.items())
    ):
        where = f"{benchmark}, test architectures of protocol {within}" if within else benchmark
        blocks.append(Heading(f"{where}: {target}, judged by {test}; {queries} queries, {repeats} repeats"))
        try:
            table = load(benchmark)
            if {record.planned.table for record in repeated} != {table.content_hash}:
                raise ArchrankError("the table available is not the one these searches were made on")
            blocks += _benchmark(table, repeated, number, frame)
        except (ArchrankError, OSError) as error:
            blocks.append(Text((f"Left out: {error}.",), "warning"))
    blocks += [Text((f"{line}.",), "warning") for line in problems]
    return Section("search", "Search", blocks, "Search")


def _benchmark(
    table: Benchmark, records: Sequence[SearchRecord], number: int, frame: pd.DataFrame | None
) -> list[Block]:
    task = records[0].planned
    judge = Judge.of(table, task)
    newest = {record.label: record for record in records}
    regrets = {label: judge.regret(record) for label, record in newest.items()}
    standings, differences = compare_searches(judge, list(regrets.values()))
    unit = f" ({table.unit(task.test)})" if table.unit(task.test) else ""
    curves = list(regrets.values())
    said = [
        *sentences(standings, differences, unit),
        strategy_order(judge, curves),
        published_order(judge, curves),
    ]
    if frame is not None and (agreed := agreement(_ranking(frame, table.name), by_predictor(judge, curves))):
        said.append(str(agreed))
    if judge.out_of_reach > 0:
        gap = f"{judge.out_of_reach:.{digits_of(standings)}f}{unit}"
        said.append(f"Regret is the gap to the best of these; the best of the whole table is better by {gap}.")
    blocks: list[Block] = [
        Text((sentence,), "lead" if place == 0 else "normal") for place, sentence in enumerate(said) if sentence
    ]
    blocks.append(
        _figure(
            judge, [regrets[item.label] for item in standings], task.queries, f"{table.name}, {task.test}", unit, number
        )
    )
    blocks.append(_table(standings, table.name, unit, number))
    if not all(item.tier for item in standings):
        blocks.append(Text((FEW_LETTERS,), "note"))
    if (apart := subroutines(standings, number)) is not None:
        blocks.append(apart)
    if differences:
        matrix = _matrix([item.label for item in standings], differences, number)
        blocks.append(Details("Every pair of searches", (matrix, _pairs(differences, number))))
    return blocks


def _ranking(frame: pd.DataFrame, benchmark: str) -> dict[str, NDArray[np.float64]]:
    """Kendall's tau per seed [S] of each predictor on a benchmark, mean over budgets, by the protocol `clean`; of those
    that have all seeds and budgets."""
    part = frame[(frame["benchmark"] == benchmark) & (frame["protocol"] == "clean") & (frame["status"] == "done")]
    if part.empty:
        return {}
    table = part.pivot_table("kendall", "label", ["seed", "budget"]).dropna()
    means = table.T.groupby(level="seed").mean().T
    return {str(label): row.to_numpy(np.float64) for label, row in means.iterrows()}


def _figure(judge: Judge, regrets: Sequence[Regret], queries: int, title: str, unit: str, number: int) -> Figure:
    curves = [RegretCurve(regret.label, *mean_curve(regret.curve)) for regret in regrets]
    drawing = regret_curves(
        curves, judge.expected_random(queries), judge.floor, Palette([curve.label for curve in curves]), title, unit
    )
    alt = "; ".join(f"{curve.label}: {curve.mean[-1]:.3g} after {queries} queries" for curve in curves)
    caption = (
        "Mean test regret after each query with its pointwise 95 % band over repeats, on a logarithmic scale. The dashed line is what "
        "random search expects, exactly, from the table."
    )
    return Figure(f"search-{number}", caption, (Panel(f"search-{number}", drawing, alt),), 560)


def _estimate(value: Estimate, digits: int) -> Cell:
    return Cell(rounded(value, digits), value.value)


def _table(standings: Sequence[Standing], benchmark: str, unit: str, number: int) -> Table:
    budgets = list(standings[0].at)
    digits = digits_of(standings)
    columns = (
        Column("label", "search", "", False),
        Column("tier", "tier", "", False),
        *(Column(f"at{n}", f"regret at {n}", "down") for n in budgets),
        Column("log", "mean log10 regret", "down"),
        Column(
            "saved",
            "queries saved",
            "up",
            help="Queries before the last after which mean regret is what random search expects of all of them.",
        ),
        Column(
            "reached",
            "found a top 0.1 %",
            "up",
            help="Repeats that found an architecture of the best 0.1 % by its test score; median queries of those.",
        ),
        Column("seconds", "predictor per query", "down"),
    )
    rows = []
    for item in standings:
        reached = f"{item.reached:.0%}" + (f", at {item.median_queries:.0f}" if item.reached else "")
        rows.append(
            {
                "label": Cell(item.label),
                "tier": Cell(item.tier),
                **{f"at{n}": _estimate(item.at[n], digits) for n in budgets},
                "log": _estimate(item.log_regret, 2),
                "saved": _estimate(item.saved, 0),
                "reached": Cell(reached, item.reached),
                "seconds": Cell(seconds(item.seconds) if item.seconds else "0", item.seconds),
            }
        )
    return Table(
        f"search-table-{number}",
        f"Searches on {benchmark}, best first; test regret{unit} after some numbers of queries.",
        columns,
        tuple(rows),
        sortable=True,
        paper=True,
        compact=True,
    )


def _matrix(order: Sequence[str], differences: Sequence[Difference], number: int) -> Figure:
    """Paired differences of the first MOST_SHOWN searches, turned so that above 0 the row is better."""
    shown = [*order[:MOST_SHOWN]]
    gaps = np.full((len(shown), len(shown)), np.nan)
    open_ = np.zeros_like(gaps, bool)
    text: dict[tuple[int, int], str] = {}
    for item in differences:
        if item.first in shown and item.second in shown:
            i, j = shown.index(item.first), shown.index(item.second)
            gaps[i, j], gaps[j, i] = -item.difference.value, item.difference.value
            open_[i, j] = open_[j, i] = not item.significant
            text |= {at: f"{gaps[at]:+.2f}".replace("-", "−").replace("0.", ".", 1) for at in ((i, j), (j, i))}
    significant = sum(item.significant for item in differences)
    drawing = pairwise(shown, gaps, open_, Palette(shown), text, most=34)
    caption = (
        "Paired difference in mean log10 regret, column minus row. Blue: the row is better; orange: worse; hatched: no "
        f"significant difference. {significant} of {plural(len(differences), 'pair')} differ significantly."
    )
    panel = Panel(f"search-matrix-{number}", drawing, f"Order: {'; '.join(shown)}")
    return Figure(f"search-matrix-{number}", caption, (panel,), 560)


def _pairs(differences: Sequence[Difference], number: int) -> Table:
    columns = (
        Column("first", "better", "", False),
        Column("second", "than", "", False),
        Column("gap", "difference in mean log10 regret", "down"),
        Column("p", "p (Holm)"),
        Column("verdict", "verdict", "", False),
    )
    rows = tuple(
        {
            "first": Cell(item.first),
            "second": Cell(item.second),
            "gap": _estimate(item.difference, 3),
            "p": Cell(f"{item.p:.3g}", item.p),
            "verdict": Cell("significantly better" if item.significant else "no significant difference"),
        }
        for item in differences[:MOST_PAIRS]
    )
    left = f" The first {MOST_PAIRS} of {len(differences)}." if len(differences) > MOST_PAIRS else ""
    return Table(
        f"search-pairs-{number}", f"Paired differences; below 0 the first is better.{left}", columns, rows, compact=True
    )
