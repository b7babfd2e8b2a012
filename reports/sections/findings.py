"""Section 1: who ranks first, by how much, and whether that is significant, in generated plain English."""

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

__all__ = ["baselines", "beyond", "findings", "headline"]

SIMPLE = ("baseline", "path", "adjacency")
"""Families a learned encoder has to beat."""


@section("findings", order=10)
def findings(study: Study) -> Section:
    """Who ranks first, by how much and whether that is significant: the first group in full, the others in their
    headline."""
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
    return Section("findings", "Key findings", blocks, "Findings")


def headline(view: View) -> tuple[Inline, ...]:
    """One sentence about the benchmarks shown: who ranks first, or has the highest mean without being significantly
    better than all others."""
    order, top = view.order, view.top
    first, where = (
        order[0],
        f"on {'this benchmark' if len(view.boot.benchmarks) == 1 else f'these {len(view.boot.benchmarks)} benchmarks'}",
    )
    if len(order) == 1:
        return (Bold(first), " is the only predictor here, so there is nothing to compare it with.")
    if not view.testable:
        return (Bold(f"{first} has the highest mean"), f" {where}, by τ {gap(view, order[1])} over {order[1]}; one split cannot tell any two of "
                f"{plural(len(order), 'predictor')} apart.")  # fmt: skip
    if len(top) == 1:
        return (
            Bold(f"{first} ranks first"),
            f" {where}: significantly better than all others, by τ {gap(view, order[1])} over ",
            Bold(order[1]),
            ".",
        )
    lead = f"; {first} has the highest mean, by τ {gap(view, order[1])} over {order[1]}{_alone(view, first, order[1])}."
    if not any(pair.significant for pair in view.pairs):
        return (
            Bold("No significant difference"),
            f" {where} between any two of {plural(len(order), 'predictor')}{lead}",
        )
    others = len(order) - len(top)
    rest = f"; significantly better than the {f'{others} others' if others > 1 else 'other one'}" if others else ""
    return (
        Bold(f"{first} has the highest mean"),
        f" {where}, ",
        Bold("no significant difference"),
        " from ",
        *bold_join(top[1:]),
        f"{rest}. It is ahead of {order[1]} by τ {gap(view, order[1])}{_alone(view, first, order[1])}.",
    )


def _alone(view: View, a: str, b: str, form: str = " ({})") -> str:
    """A remark where a pair's own interval excludes 0 but the test adjusted for all pairs does not reject."""
    one = view.comparison(a, b)
    if one.significant or one.difference.covers(0.0):
        return ""
    return form.format(f"significant as one pair alone, not among {one.family} pairs compared at once")


def beyond(view: View, here: View) -> tuple[Inline, ...]:
    """Whether what holds here carries over to other search spaces; of one search space, that nothing says so."""
    order, top = view.order, view.top
    if view.boot.kind != "spaces":
        several = (
            f"all {len(view.boot.benchmarks)} benchmarks are of one search space"
            if len(view.boot.benchmarks) > 1
            else "this is one search space"
        )
        return (Bold("May not generalise to other search spaces"), f": {several}, {view.boot.spaces[0]}.")
    spaces = plural(view.boot.units, "search space")
    if len(top) == 1:
        better = f"significantly better than all others (τ {gap(view, order[1])} over {order[1]})"
        if here.top == top:
            return (
                Bold("It holds over search spaces on average"),
                f": with {spaces} as the units, {order[0]} is still {better}. A single further space may differ.",
            )
        return (
            Bold("On average over search spaces like these"),
            f": with {spaces} as the units, {order[0]} is {better}, which the splits of these benchmarks alone do not show.",
        )
    return (
        Bold("May not generalise to other search spaces"),
        f": with {spaces} as the units, {order[0]} does not differ significantly from {'any other' if len(top) == len(order) else join(top[1:], 6)} "
        f"(τ {gap(view, order[1])} over {order[1]}{_alone(view, order[0], order[1], ', {}')}).",
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
        blocks.append(
            Text(
                (
                    f"Recipe quick stops after {QUICK_UPDATES} updates, to see that everything runs: the order here says nothing about the encoders.",
                ),
                "warning",
            )
        )
    if here.testable and len(view.order) > 1:
        blocks.append(Text(beyond(view, here), "lead"))
    for names in study.look_alikes(view.boot.spaces):
        blocks.append(Text((f"The search spaces {join(names)} have the same operations and size. They count as {len(names)} spaces; if they are one, "
                            "import their tables again with one --space NAME.",), "warning"))  # fmt: skip
    wide = {r["label"]: (r["low"], r["high"]) for r in view.board.to_dict("records")} if here is not view else {}
    rows = [
        fig_ranking.IntervalRow(
            r["label"],
            r["mean"],
            r["low"],
            r["high"],
            r["tier"],
            rounded(here.boot.value(r["label"]), bare=True),
            wide.get(r["label"]),
        )
        for r in here.board.to_dict("records")
    ][:20]
    alt = "; ".join(f"{r.label} {r.text}, tier {r.tier}" for r in rows)
    ends = intervals(here.boot.kind)
    if wide:
        ends = f"Thick: {ends} Thin: {intervals('spaces')} They are cut at the edges."
    caption = f"Mean Kendall τ over {here.over}; {group.title}. Predictors that share a letter do not differ significantly (paired tests at the 5 % level, Holm-adjusted over all pairs). {ends}"
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
    out: list[tuple[Inline, ...]] = [
        (Bold(leader), f": mean τ {rounded(view.boot.value(leader))}, {ranks} of {len(view.order)}{odds}.")
    ]
    if len(view.order) == 1:
        out = [(Bold(leader), f": mean τ {rounded(view.boot.value(leader))}.")]
    if len(view.order) > 2:
        beaten = [label for label in view.order[1:] if view.comparison(leader, label).winner == leader]
        rest = [label for label in view.order[1:] if label not in beaten]
        if rest:
            some = f"{len(beaten)} of the {len(view.order) - 1} others" if beaten else "none of the others"
            out.append((f"It is significantly better than {some}; no significant difference from {join(rest, 5)}.",))
    out += (
        baselines(study, view)
        + _per_view(group, "b", "At")
        + _per_view(group, "t", "On")
        + _labels_needed(study, view)
        + _ceiling(study, group)
    )
    saving = cheapest(group, view)
    if saving:
        out.append((saving,))
    if view.covered.shared < view.covered.expected:
        out.append((view.covered.sentence(),))
    out += [(note,) for note in view.boot.notes if note.startswith(LEFT_OUT)]
    out += [(sentence,) for sentence in group.left_out]
    return out


def baselines(study: Study, view: View) -> list[tuple[Inline, ...]]:
    """For each baseline, who is significantly better, who does not differ and who is worse, by the tests that the tiers
    rest on."""
    family = dict(zip(study.frame["label"], study.frame["family"]))
    return [_baseline(view, label) for label in view.order if family[label] == "baseline" and len(view.order) > 1]


def _baseline(view: View, baseline: str) -> tuple[Inline, ...]:
    mean = f"Baseline {baseline}: mean τ {rounded(view.boot.value(baseline))}; "
    if not view.testable:
        return (f"{mean}one split cannot tell who is better.",)
    others = [label for label in view.order if label != baseline]
    found: dict[str | None, list[str]] = {None: [], baseline: []}
    for label in others:
        winner = view.comparison(label, baseline).winner
        if winner != label:
            found[winner].append(f"{label} ({_difference(view, label, baseline)})")
    above = len(others) - len(found[None]) - len(found[baseline])
    if above == len(others):
        parts = [
            f"all {above} others are significantly better" if above > 1 else f"{others[0]} is significantly better"
        ]
    else:
        parts = (
            [f"{above or 'none'} of {len(others)} others {'is' if above == 1 else 'are'} significantly better"]
            if len(others) > 1
            else []
        )
    parts += (
        [f"no significant difference (intervals of each pair alone): {join(found[None], len(others))}"]
        if found[None]
        else []
    )
    parts += [f"significantly worse: {join(found[baseline], len(others))}"] if found[baseline] else []
    return (f"{mean}{'; '.join(parts)}.",)


def _per_view(group: Group, kind: str, word: str) -> list[tuple[Inline, ...]]:
    """Who ranks first at each label budget (kind "b") or on each benchmark ("t"), where there are several."""
    out: list[tuple[Inline, ...]] = []
    for view in group.views:
        if not view.id.startswith(kind) or len(view.order) < 2:
            continue
        leader, top = view.order[0], view.top
        value = f"τ {rounded(view.boot.value(leader))}"
        if len(top) == 1:
            rest = f" ranks first: {value}, significantly better than all others, {gap(view, view.order[1])} over {view.order[1]}."
        else:
            rest = f" has the highest mean ({value}), no significant difference from {join(top[1:], 4)}."
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
            out.append(
                (label_efficiency(view.frame, view.order[0], other, at, scope=view.scope, draws=1000).sentence(),)
            )
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
        parts.append(
            f"{rounded(limit)} on {task_name(benchmark, target)} (highest mean so far {rounded(interval(best))}, {best['label']})"
        )
    if not parts:
        return []
    return [(f"Training noise of the scores themselves caps τ at {join(parts, 6)}.",)]
