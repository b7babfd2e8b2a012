"""Section 1: who leads, by how much, and whether that is real, in generated plain English."""

from __future__ import annotations

import math

from archrank.eval.statistics import (
    KINDS,
    ComparisonError,
    Interval,
    friedman,
    label_efficiency,
    noise_ceiling,
    rounded,
    sentence,
)
from archrank.reports import fig_ranking
from archrank.reports.blocks import Block, Bold, Figure, Heading, Inline, Panel, Section, Text
from archrank.reports.cost import cheapest
from archrank.reports.study import MAIN, Group, Study, View
from archrank.reports.words import bold_join, join, plural, share

__all__ = ["headline", "verdict"]


def verdict(study: Study) -> Section:
    """The section; the first group in full, the others in their headline."""
    blocks: list[Block] = []
    for number, group in enumerate(study.groups):
        if number == 1:
            blocks.append(Heading("The other protocols and recipes, each on its own"))
        if not group.views:
            blocks.append(Text((Bold(group.title), f": no ranking. {group.problem}"), "warning"))
        elif number == 0:
            blocks += _full(study, group)
        else:
            view = group.views[0]
            blocks.append(Text((Bold(f"{group.title[0].upper()}{group.title[1:]}. "), *headline(view)), "item"))
    return Section("verdict", "Verdict", blocks)


def headline(view: View) -> tuple[Inline, ...]:
    """One sentence: the leader, or those who cannot be told apart."""
    order = view.order
    if len(order) == 1:
        return (Bold(order[0]), " is the only predictor here, so there is nothing to compare it with.")
    top = [label for label in order if "a" in view.tier[label]]
    if len(top) == 1:
        second = view.comparison(order[0], order[1])
        return (Bold(f"{order[0]} leads"), f": it is separably better than every other, by τ {_gap(view, order[1])} over ",
                Bold(order[1]), f" ({_scope(second.difference)}).")
    if len(top) == len(order):
        return (Bold("Nobody leads"), ": no difference among all ", plural(len(order), "predictor"),
                " is larger than its uncertainty. ", Bold("Not separable."))
    return (Bold("No single winner"), ": ", *bold_join(top), " share the top tier, ", Bold("not separable"),
            f" from one another or from {order[0]}'s lead." if len(top) > 2 else " from each other.")


def _gap(view: View, other: str) -> str:
    comparison = view.comparison(view.order[0], other)
    difference = comparison.difference
    if comparison.a != view.order[0]:
        difference = Interval(-difference.estimate, -difference.high, -difference.low, difference.kind, difference.units)
    return rounded(difference, signed=True)


def _scope(interval: Interval) -> str:
    if interval.kind == "spaces":
        return f"95 % interval over {plural(interval.units, 'search space')}"
    if interval.kind == "splits":
        return f"95 % interval over {plural(interval.units, 'paired split')}, for these benchmarks"
    return KINDS[interval.kind]


def _full(study: Study, group: Group) -> list[Block]:
    view = group.views[0]
    rows = view.board.to_dict("records")
    intervals = [fig_ranking.Interval(r["label"], r["mean"], r["low"], r["high"], r["tier"],
                                      rounded(view.boot.value(r["label"]), bare=True)) for r in rows]
    forest = fig_ranking.forest(intervals[:20], study.palette)
    alt = "; ".join(f"{r.label} {r.text}, tier {r.tier}" for r in intervals[:20])
    caption = (f"Mean Kendall τ with 95 % interval, {group.title}, {view.title}. Predictors that share a letter are not "
               f"separable. Intervals: {KINDS[view.boot.kind]}.")
    blocks: list[Block] = [Text(headline(view), "lead"), *(Text(t, "item") for t in _findings(study, group, view)),
                           Figure("ranking", caption, (Panel(f"ranking-{group.id}", forest, alt),), 380)]
    return blocks


def _findings(study: Study, group: Group, view: View) -> list[tuple[Inline, ...]]:
    """Sentences below the headline, each with its number."""
    order = view.order
    leader = order[0]
    row = view.board.iloc[0]
    out: list[tuple[Inline, ...]] = []
    ranks = f"{int(row['rank_low'])}" if row["rank_low"] == row["rank_high"] else \
        f"{int(row['rank_low'])} to {int(row['rank_high'])}"
    odds = f"; it is first in {share(row['first'])} of the resampled comparisons" if math.isfinite(row["first"]) else ""
    out.append((Bold(leader), f" has the highest mean: τ {rounded(view.boot.value(leader))}, rank {ranks} of {len(order)}"
                f"{odds}."))
    if len(order) > 1:
        out.append((sentence(view.comparison(leader, order[1])),))
    out.append((view.covered.sentence(),))
    out += _per_task(group)
    out += _labels_needed(study, view)
    out += _ceiling(study, group, view)
    saving = cheapest(study, group, view)
    if saving:
        out.append((saving,))
    try:
        test = friedman(view.frame, MAIN, view.order)
        out.append((test.reason,))
    except ComparisonError as error:
        out.append((str(error),))
    return out


def _per_task(group: Group) -> list[tuple[Inline, ...]]:
    """Who leads each benchmark, where there are several."""
    out: list[tuple[Inline, ...]] = []
    for view in group.views:
        if not view.id.startswith("t") or len(view.order) < 2:
            continue
        top = [label for label in view.order if "a" in view.tier[label]]
        value = rounded(view.boot.value(view.order[0]))
        if len(top) == 1:
            out.append((f"On {view.title}, ", Bold(view.order[0]), f" leads alone (τ {value}; {_gap(view, view.order[1])}"
                        f" over {view.order[1]})."))
        else:
            others = join([label for label in top if label != view.order[0]], 4)
            out.append((f"On {view.title}, ", Bold(view.order[0]), f" has the highest mean (τ {value}), not separable from "
                        f"{others}."))
    return out


def _labels_needed(study: Study, view: View) -> list[tuple[Inline, ...]]:
    """What the lead is worth in labels: against the runner-up and against the best baseline."""
    budgets = sorted(int(b) for b in view.boot.budgets)
    if len(budgets) < 2 or len(view.order) < 2:
        return []
    family = dict(zip(study.frame["label"], study.frame["family"]))
    baselines = [label for label in view.order[1:] if family[label] in ("baseline", "path", "adjacency")]
    others = dict.fromkeys([view.order[1], *baselines[:1]])
    out: list[tuple[Inline, ...]] = []
    for other in others:
        try:
            out.append((label_efficiency(view.frame, view.order[0], other, budgets[len(budgets) // 2 - 1]).sentence(),))
        except ComparisonError:
            continue
    return out


def _ceiling(study: Study, group: Group, view: View) -> list[tuple[Inline, ...]]:
    """How far the best predictor stays below what the benchmark's own noise allows."""
    out: list[tuple[Inline, ...]] = []
    for benchmark, target in group.tasks:
        table = study.table(benchmark)
        repeats = None if isinstance(table, str) else table.repeats(target)
        task = next((v for v in group.views if v.title == f"{benchmark}/{target}"), view if len(group.tasks) == 1 else None)
        if repeats is None or repeats.shape[1] < 2 or task is None:
            continue
        limit = noise_ceiling(repeats).oracle
        best = task.boot.value(task.order[0])
        out.append((f"On {benchmark}/{target} the training noise of the scores themselves caps τ at {rounded(limit)}; the best "
                    f"predictor has {rounded(best, bare=True)} on average over the budgets.",))
    return out
