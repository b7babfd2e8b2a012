"""Section 1: who leads, by how much, and whether that is real, in generated plain English."""

from __future__ import annotations

import math

from archrank.eval.engine.recipes import QUICK_UPDATES
from archrank.eval.statistics import (
    LEFT_OUT,
    ComparisonError,
    label_efficiency,
    rounded,
    values,
)
from archrank.reports.blocks import Block, Bold, Figure, Heading, Inline, Panel, Section, Text
from archrank.reports.cost import cheapest
from archrank.reports.figures import ranking as fig_ranking
from archrank.reports.sections import section
from archrank.reports.study import MAIN, Group, Study, View, interval, intervals, task_name
from archrank.reports.words import bold_join, join, plural, share

__all__ = ["baselines", "headline", "verdict"]

SIMPLE = ("baseline", "path", "adjacency")
"""Families a learned encoder has to beat."""


@section("verdict", order=10)
def verdict(study: Study) -> Section:
    """Who ranks first, by how much and whether that is real: the first group in full, the others in their headline."""
    blocks: list[Block] = []
    for number, group in enumerate(study.groups):
        if number == 1:
            blocks.append(Heading("The other protocols and recipes, each on its own"))
        if not group.views:
            blocks.append(Text((Bold(group.title), f": no ranking. {group.problem}"), "warning"))
        elif number == 0:
            blocks += _full(study, group)
        else:
            lead = headline(group.here)
            blocks.append(Text((Bold(f"{group.title[0].upper()}{group.title[1:]}. "), *lead), "item"))
    return Section("verdict", "Verdict", blocks)


def _top(view: View) -> list[str]:
    return [label for label in view.order if "a" in view.tier[label]]


def headline(view: View) -> tuple[Inline, ...]:
    """One sentence about the benchmarks shown: the leader, or those who cannot be told apart."""
    order, top = view.order, _top(view)
    where = f"on {'this benchmark' if len(view.boot.benchmarks) == 1 else f'these {len(view.boot.benchmarks)} benchmarks'}"
    if len(order) == 1:
        return (Bold(order[0]), " is the only predictor here, so there is nothing to compare it with.")
    if len(top) == 1:
        return (Bold(f"{order[0]} leads"), f" {where}: separably better than every other, by τ {gap(view, order[1])} over ", Bold(order[1]), ".")
    if len(top) == len(order):
        number = plural(len(order), "predictor")
        why = f"no paired test, adjusted for all pairs, tells any two of {number} apart" if view.testable else f"one split cannot tell any two of {number} apart"
        return (Bold("Nobody leads"), f" {where}: {why}. They are ", Bold("not separable"), ".")
    return (
        Bold("No single winner"),
        f" {where}: ",
        *bold_join(top),
        " share the top tier. They are ",
        Bold("not separable"),
        f"; {order[0]} has the highest mean, by τ {gap(view, order[1])} over {order[1]}{_alone(view, order[0], order[1])}.",
    )


def _alone(view: View, a: str, b: str, form: str = " ({})") -> str:
    """A remark where a pair's own interval excludes 0 but the test adjusted for all pairs does not call it real."""
    one = view.comparison(a, b)
    if one.real or one.difference.covers(0.0):
        return ""
    return form.format(f"as one pair alone; among {one.family} pairs compared at once that is not enough")


def _beyond(view: View, here: View) -> tuple[Inline, ...]:
    """Whether what holds here carries over to other search spaces."""
    order, top = view.order, _top(view)
    spaces = plural(view.boot.units, "search space")
    if len(top) == 1:
        better = f"separably better than every other (τ {gap(view, order[1])} over {order[1]})"
        if _top(here) == top:
            return (Bold("It carries over on average"), f": taken over {spaces} as the unit, {order[0]} is still {better}. A single further space may differ.")
        return (Bold("On average over search spaces like these"), f": taken over {spaces} as the unit, {order[0]} is {better}, which the splits of these benchmarks alone do not show.")
    return (
        Bold("Beyond them it is open"),
        f": {spaces} {'are' if view.boot.units > 1 else 'is'} too few to tell {'any of them' if len(top) == len(order) else join(top, 6)} apart "
        f"on average over spaces like these ({order[0]} over {order[1]}: τ {gap(view, order[1])}{_alone(view, order[0], order[1], ', {}')}).",
    )


def gap(view: View, other: str) -> str:
    """The leader's paired difference to another predictor, with its interval."""
    return _difference(view, view.order[0], other)


def _difference(view: View, a: str, b: str) -> str:
    return rounded(view.boot.difference(a, b)[0], signed=True)


def _full(study: Study, group: Group) -> list[Block]:
    view = group.views[0]
    here = group.here
    blocks: list[Block] = [Text(headline(here), "lead")]
    if group.recipe == "quick":
        blocks.append(Text((f"Recipe quick stops after {QUICK_UPDATES} updates, to see that everything runs: who leads here says nothing about the encoders.",), "warning"))
    if view.boot.kind == "spaces" and here.testable and len(view.order) > 1:
        blocks.append(Text(_beyond(view, here), "lead"))
    wide = {r["label"]: (r["low"], r["high"]) for r in view.board.to_dict("records")} if here is not view else {}
    rows = [
        fig_ranking.Interval(r["label"], r["mean"], r["low"], r["high"], r["tier"], rounded(here.boot.value(r["label"]), bare=True), wide.get(r["label"]))
        for r in here.board.to_dict("records")
    ][:20]
    alt = "; ".join(f"{r.label} {r.text}, tier {r.tier}" for r in rows)
    ends = intervals(here.boot.kind)
    if wide:
        ends = f"Thick: {ends} Thin: {intervals('spaces')} They are cut at the edges."
    caption = f"Mean Kendall τ over {here.over}; {group.title}. Predictors that share a letter are not separable. {ends}"
    panel = Panel(f"ranking-{group.id}", fig_ranking.forest(rows, study.palette), alt)
    blocks.append(Figure("ranking", caption, (panel,), 380))
    return blocks + [Text(parts, "item") for parts in _findings(study, group, here)]


def _findings(study: Study, group: Group, view: View) -> list[tuple[Inline, ...]]:
    """Sentences below the headline, each with its number."""
    leader = view.order[0]
    row = view.board.iloc[0]
    low, high = int(row["rank_low"]), int(row["rank_high"])
    ranks = f"rank 1 [{low}–{high}]"
    odds = f"; first in {share(row['first'])} of the resampled comparisons" if math.isfinite(row["first"]) else ""
    out: list[tuple[Inline, ...]] = [(Bold(leader), f": mean τ {rounded(view.boot.value(leader))}, {ranks} of {len(view.order)}{odds}.")]
    if len(view.order) == 1:
        out = [(Bold(leader), f": mean τ {rounded(view.boot.value(leader))}.")]
    if len(view.order) > 2:
        beaten = [label for label in view.order[1:] if view.comparison(leader, label).winner == leader]
        rest = [label for label in view.order[1:] if label not in beaten]
        if rest:
            some = f"{len(beaten)} of the {len(view.order) - 1} others" if beaten else "none of the others"
            out.append((f"It is separably better than {some}; not separable from {join(rest, 5)}.",))
    out += baselines(study, view) + _per_view(group, "b", "At") + _per_view(group, "t", "On") + _labels_needed(study, view) + _ceiling(study, group)
    saving = cheapest(group, view)
    if saving:
        out.append((saving,))
    if view.covered.shared < view.covered.expected:
        out.append((view.covered.sentence(),))
    out += [(note,) for note in view.boot.notes if note.startswith(LEFT_OUT)]
    out += [(sentence,) for sentence in group.left_out]
    return out


def baselines(study: Study, view: View) -> list[tuple[Inline, ...]]:
    """For each baseline, who beats it, who is not separable from it and who is beaten by it, by the tests that the tiers rest on."""
    family = dict(zip(study.frame["label"], study.frame["family"]))
    return [_baseline(view, label) for label in view.order if family[label] == "baseline" and len(view.order) > 1]


def _baseline(view: View, baseline: str) -> tuple[Inline, ...]:
    mean = f"Baseline {baseline}: mean τ {rounded(view.boot.value(baseline))}; "
    if not view.testable:
        return (f"{mean}one split cannot tell who beats it.",)
    others = [label for label in view.order if label != baseline]
    found: dict[str | None, list[str]] = {None: [], baseline: []}
    for label in others:
        winner = view.comparison(label, baseline).winner
        if winner != label:
            found[winner].append(f"{label} ({_difference(view, label, baseline)})")
    above = len(others) - len(found[None]) - len(found[baseline])
    parts = [f"{above or 'none'} of {len(others)} others beat{'s' if above == 1 else ''} it"] if len(others) > 1 else []
    if above == len(others):
        parts = [f"all {above} others beat it" if above > 1 else f"{others[0]} beats it"]
    parts += [f"not separable from it (intervals of each pair alone): {join(found[None], len(others))}"] if found[None] else []
    parts += [f"beaten by it: {join(found[baseline], len(others))}"] if found[baseline] else []
    return (f"{mean}{'; '.join(parts)}.",)


def _per_view(group: Group, kind: str, word: str) -> list[tuple[Inline, ...]]:
    """Who leads at each budget (kind "b") or on each benchmark ("t"), where there are several."""
    out: list[tuple[Inline, ...]] = []
    for view in group.views:
        if not view.id.startswith(kind) or len(view.order) < 2:
            continue
        leader, top = view.order[0], _top(view)
        value = f"τ {rounded(view.boot.value(leader))}"
        if len(top) == 1:
            rest = f" leads alone: {value}, {gap(view, view.order[1])} over {view.order[1]}."
        else:
            rest = f" has the highest mean ({value}), not separable from {join([t for t in top if t != leader], 4)}."
        out.append((f"{word} {view.title} ", Bold(leader), rest))
    return out[:8]


def _labels_needed(study: Study, view: View) -> list[tuple[Inline, ...]]:
    """What the lead is worth in labels: against the runner-up and against the best simple encoding."""
    budgets = sorted(int(b) for b in view.boot.budgets)
    if len(budgets) < 2 or len(view.order) < 2:
        return []
    family = dict(zip(study.frame["label"], study.frame["family"]))
    simple = [label for label in view.order[1:] if family[label] in SIMPLE]
    out: list[tuple[Inline, ...]] = []
    for other in dict.fromkeys([view.order[1], *simple[:1]]):
        at = budgets[(len(budgets) - 1) // 2]
        try:
            out.append((label_efficiency(view.frame, view.order[0], other, at, scope=view.scope, draws=1000).sentence(),))
        except ComparisonError:
            continue
    return out


def _ceiling(study: Study, group: Group) -> list[tuple[Inline, ...]]:
    """What the benchmarks' own noise allows, beside the best mean at the largest budget."""
    parts = []
    for benchmark, target in group.tasks:
        limit = study.ceiling(group, benchmark, target)
        if limit is None:
            continue
        rows = group.task(benchmark, target)
        means = values(rows[rows["budget"] == rows["budget"].max()], MAIN)
        means = means[means["mean"].notna()].sort_values("mean")
        if means.empty:
            continue
        best = means.iloc[-1]
        parts.append(f"{rounded(limit)} on {task_name(benchmark, target)} (highest mean so far {rounded(interval(best))}, {best['label']})")
    if not parts:
        return []
    return [(f"Training noise of the scores themselves caps τ at {join(parts, 6)}.",)]
