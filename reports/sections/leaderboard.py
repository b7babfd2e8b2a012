"""Section 3: the leaderboard of every group, with the data a page needs to recompute it."""

from __future__ import annotations

import math
from typing import Any

from archrank.eval.metrics import METRICS
from archrank.eval.statistics import Bootstrap, rounded
from archrank.reports.blocks import (
    Block,
    Bold,
    Cell,
    Column,
    Details,
    Figure,
    Heading,
    Leaderboard,
    Link,
    Panel,
    Section,
    Table,
    Text,
)
from archrank.reports.browser import page_data
from archrank.reports.cost import Cost, costs_by_machine
from archrank.reports.figures.ranking import IntervalRow, forest
from archrank.reports.sections import section
from archrank.reports.study import MAIN, Group, Study, View, intervals
from archrank.reports.words import FEW_LETTERS, count, join, missing_cell, rate, seconds, share

__all__ = ["boards"]

MOST_ROWS = 20


@section("leaderboard", order=30)
def boards(study: Study) -> Section:
    """One leaderboard per group; recipes and protocols are never mixed in one table."""
    blocks: list[Block] = [
        Text(
            (
                "Predictors that share a letter ",
                Bold("do not differ significantly"),
                " (paired tests at the 5 % level, Holm-adjusted over all pairs in the table). "
                "The rank interval holds every rank those tests leave open. Another metric, benchmark or budget, or fewer predictors, "
                "give a table of their own, with tests adjusted for it alone: choose before looking, or differences that are chance "
                "turn up in more than 5 % of tables. See ",
                Link("how each number is computed", "method"),
                ".",
            ),
            "note",
        )
    ]
    for group in study.groups:
        blocks.append(Heading(f"{group.title[0].upper()}{group.title[1:]}"))
        if group.problem:
            blocks.append(Text((f"No leaderboard: {group.problem}",), "warning"))
            continue
        # What the page opens with is what its first sentence is about.
        views = sorted(group.views, key=lambda view: view is not group.here)
        tables = tuple((view.title, _table(study, group, view)) for view in views)
        first = views[0]
        caption = f"Ordered by mean {METRICS[MAIN].description}. {first.covered.sentence()}"
        blocks.append(Leaderboard(f"board-{group.id}", caption, tables, page_data(first)))
        notes = list(first.boot.notes)
        if first is not group.views[0]:
            notes = [
                f"{view.title[0].upper()}{view.title[1:]}: {note}"
                for view in (first, group.views[0])
                for note in view.boot.notes
            ]
        if any("" in set(view.board["tier"]) for view in views):
            notes.append(FEW_LETTERS)
        notes += group.left_out
        blocks += [Text((note,), "note") for note in notes]
        blocks.append(Details("Every metric", (_metrics(group, first),)))
        blocks.append(Details("Every mean with its interval, as a figure", (_forest(study, group),)))
    return Section("leaderboard", "Leaderboard", blocks)


def _shown(view: View) -> list[str]:
    """The metrics in the main table: the first two shares and the first in the unit of the target."""
    present = view.others
    shares = [name for name in present if METRICS[name].unit == "share"][:2]
    return shares + [name for name in present if METRICS[name].unit == "target"][:1]


def _table(study: Study, group: Group, view: View) -> Table:
    shown = _shown(view)
    main = METRICS[MAIN]
    columns = (
        Column(
            "rank",
            "rank",
            "",
            help="place by the mean, equals share one; in brackets every rank the paired tests leave open",
        ),
        Column("label", "predictor", "", False),
        Column("value", "Kendall τ", "up", help=f"{main.description}, mean with 95 % interval"),
        Column(
            "tier",
            "tier",
            "",
            False,
            "predictors that share a letter do not differ significantly; a alone where letters do not suffice",
        ),
        Column("win", "win rate", "up", help="share of paired settings won against the others, ties half"),
        Column("first", "first", "up", help="share of the resampled comparisons in which it ranks first"),
        *(
            Column(f"m{i}", name, "up" if METRICS[name].direction == "max" else "down", help=METRICS[name].description)
            for i, name in enumerate(shown)
        ),
        Column("fit", "train", "down", help="seconds to train one trial at the largest budget (pre-training included)"),
        Column("rate", "arch./s", "up", help="architectures predicted per second"),
        Column(
            "size", "params", "down", help="parameters: weights trained by gradient; none in a scikit-learn regressor"
        ),
        Column("recipe", "recipe", "", False),
    )
    costs, _ = costs_by_machine(view, max(int(b) for b in view.boot.budgets))
    machine = next(iter(costs)) if len(costs) == 1 else ""
    rows = []
    for r in view.board.to_dict("records"):
        label = str(r["label"])
        value = view.boot.value(label)
        row = {
            "rank": Cell(f"{r['rank']} [{r['rank_low']}–{r['rank_high']}]", float(r["rank"])),
            "label": Cell(label, label=label),
            "tier": Cell(r["tier"], tone="best" if label in view.top else "normal"),
            "value": Cell(
                rounded(value),
                value.estimate,
                low=value.low if math.isfinite(value.low) else None,
                high=value.high if math.isfinite(value.low) else None,
            ),
            "win": Cell(_win(r), r["win_rate"]) if math.isfinite(r["win_rate"]) else missing_cell(),
            "first": Cell(share(r["first"]), r["first"]) if math.isfinite(r["first"]) else missing_cell(),
            "recipe": Cell(group.recipe),
        }
        for i, name in enumerate(shown):
            row[f"m{i}"] = _metric(view.other(name), label)
        row |= _price(costs[machine].get(label) if machine else None, bool(costs) and not machine)
        rows.append(row)
    columns = tuple(c for c in columns if not c.key.startswith("m") or any(row[c.key].sort is not None for row in rows))
    caption = f"{view.title[0].upper()}{view.title[1:]}. {intervals(view.boot.kind)}"
    return Table(f"{group.id}-{view.id}", caption, columns, tuple(rows), sortable=True, paper=True)


def _win(row: dict[Any, Any]) -> str:
    text = share(row["win_rate"])
    if math.isfinite(row["win_low"]):
        text += f" [{100 * row['win_low']:.0f}–{100 * row['win_high']:.0f}]"
    return text


def _metric(boot: Bootstrap | str, label: str) -> Cell:
    if isinstance(boot, str) or label not in boot.labels:
        return missing_cell()
    value = boot.value(label)
    return Cell(rounded(value, bare=True), value.estimate) if math.isfinite(value.estimate) else missing_cell()


def _price(cost: Cost | None, mixed: bool) -> dict[str, Cell]:
    if cost is None:
        text = "mixed" if mixed else "–"
        return {"fit": missing_cell(text), "rate": missing_cell(text), "size": missing_cell()}
    return {
        "fit": Cell(seconds(cost.fit_s), cost.fit_s),
        "rate": Cell(rate(cost.rate), cost.rate),
        "size": Cell(count(cost.parameters), cost.parameters) if cost.parameters > 0 else missing_cell(),
    }


def _metrics(group: Group, view: View) -> Table:
    names = list(view.others)
    columns = (
        Column("label", "predictor", "", False),
        *(
            Column(f"m{i}", n, "up" if METRICS[n].direction == "max" else "down", help=METRICS[n].description)
            for i, n in enumerate(names)
        ),
    )
    rows = []
    for label in view.order:
        row: dict[str, Cell] = {"label": Cell(label, label=label)}
        for i, name in enumerate(names):
            boot = view.other(name)
            value = None if isinstance(boot, str) or label not in boot.labels else boot.value(label)
            known = value is not None and math.isfinite(value.estimate)
            row[f"m{i}"] = Cell(rounded(value), value.estimate) if known and value is not None else missing_cell()
        rows.append(row)
    empty = {name: boot for name in names if isinstance(boot := view.other(name), str)}
    units = [name for name in empty if METRICS[name].unit == "target"]
    why = [f"{join(units)}, in the unit of their target and without a mean over several"] if units else []
    why += sorted({boot for name, boot in empty.items() if name not in units})
    caption = f"Every other metric, {view.title}. {intervals(view.boot.kind)}" + "".join(
        f" Left empty: {reason}." for reason in why
    )
    return Table(f"metrics-{group.id}", caption, columns, tuple(rows), sortable=True, compact=True)


def _forest(study: Study, group: Group) -> Figure:
    """Every mean with its interval for these benchmarks and, where there are several spaces, for spaces like them."""
    here, view = group.here, group.views[0]
    wide = {r["label"]: (r["low"], r["high"]) for r in view.board.to_dict("records")} if here is not view else {}
    rows = [
        IntervalRow(
            r["label"],
            r["mean"],
            r["low"],
            r["high"],
            r["tier"],
            rounded(here.boot.value(r["label"]), bare=True),
            wide.get(r["label"]),
        )
        for r in here.board.to_dict("records")
    ][:MOST_ROWS]
    ends = intervals(here.boot.kind)
    if wide:
        ends = f"Thick: {ends} Thin: {intervals('spaces')} They are cut at the edges."
    caption = f"Mean Kendall τ over {here.over}; {group.title}, with tier letters. {ends}"
    alt = "; ".join(f"{r.label} {r.text}, tier {r.tier}" for r in rows)
    return Figure(
        f"ranking-{group.id}", caption, (Panel(f"ranking-{group.id}", forest(rows, study.palette), alt),), 380
    )
