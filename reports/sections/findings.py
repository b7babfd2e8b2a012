"""Section 1: who ranks first, by how much, and whether that is significant, in generated plain English."""

from __future__ import annotations

from archrank.eval.engine.recipes import QUICK_UPDATES
from archrank.eval.statistics import (
    LEFT_OUT,
    ComparisonError,
    label_efficiency,
    rounded,
    values,
)
from archrank.reports.blocks import Block, Bold, Code, Details, Heading, Inline, Live, Section, Text
from archrank.reports.cost import cheapest
from archrank.reports.matrix import matrix
from archrank.reports.sections import section
from archrank.reports.sections.run import repeat
from archrank.reports.seeds import advice
from archrank.reports.study import MAIN, Group, Study, View, interval, task_name
from archrank.reports.words import bold_join, join, plural

__all__ = ["baselines", "beyond", "findings", "headline", "holds"]

MOST_ITEMS = 5
"""Sentences below the matrix; the rest is folded."""

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
        return (Bold(first), " is the only predictor with every result, so there is nothing to compare it with.")
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
    comparison = view.comparison(a, b)
    if comparison.significant or comparison.difference.covers(0.0):
        return ""
    return form.format(f"significant as one pair alone, not among {comparison.family} pairs compared at once")


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
    for names in study.look_alikes(group.views[0].boot.spaces):
        blocks.append(Text((f"The search spaces {join(names)} have the same operations and size. They count as {len(names)} spaces; if they are one, "
                            "import their tables again with one --space NAME.",), "warning"))  # fmt: skip
    table = matrix(group)
    blocks.append(Live("matrix", f"board-{group.id}", table.id, (table,)))
    items = _findings(study, group)
    blocks += [Text(parts, "item") for parts in items[:MOST_ITEMS]]
    more = advice(group)
    if more is not None:
        blocks.append(Text((more.sentence,), "note"))
    if more is not None and more.seeds:
        command = Code("\n".join(repeat(study, group, more.seeds)))
        blocks.append(Details(f"The command that adds seeds {more.seeds}", (command,)))
    further = [*items[MOST_ITEMS:], *_per_view(group, "b", "At"), *_per_view(group, "t", "On")]
    if further:
        blocks.append(
            Details(
                "Further findings, each budget and benchmark on its own",
                tuple(Text(parts, "item") for parts in further),
            )
        )
    notes = [view for view in (here.covered.sentence(),) if here.covered.shared < here.covered.expected]
    notes += [note for note in here.boot.notes if note.startswith(LEFT_OUT)] + list(group.left_out)
    return blocks + [Text((note,), "note") for note in notes]


def _findings(study: Study, group: Group) -> list[tuple[Inline, ...]]:
    """Sentences below the matrix, the first ones first: what holds elsewhere, where it holds, the baselines, what the
    lead is worth in labels, what is cheaper, and what the scores' own noise allows."""
    view, wide = group.here, group.views[0]
    several = len(view.order) > 1
    out: list[tuple[Inline, ...]] = [beyond(wide, view)] if several and view.testable else []
    if several and view.testable and (held := holds(group)):
        out.append((held,))
    sentences = baselines(study, view)
    needed = _labels_needed(study, view)
    saving = cheapest(group, view)
    out += (
        sentences[:1]
        + needed[:1]
        + ([(saving,)] if saving else [])
        + _ceiling(study, group)
        + needed[1:]
        + sentences[1:]
    )
    return out


def holds(group: Group) -> str:
    """At which budgets and on which benchmarks the first predictor ranks first, shares the top, or does not lead."""
    leader = group.here.order[0]
    parts: list[str] = []
    for kind, word in (("b", "at"), ("t", "on")):
        views = [view for view in group.views if view.id.startswith(kind) and view.testable and len(view.order) > 1]
        first = [view.title for view in views if view.top == (leader,)]
        shared = [view for view in views if view.order[0] == leader and len(view.top) > 1]
        others = [view for view in views if view.order[0] != leader]
        if first:
            parts.append(f"ranks first {word} {_titles(first)}")
        if shared:
            parts.append(
                f"has the highest mean without a significant difference from others {word} {_titles([v.title for v in shared])}"
            )
        parts += [
            f"{'is behind' if leader not in view.top else 'does not differ significantly from'} {view.order[0]} {word} {view.title}"
            for view in others[:3]
        ]
    return f"{leader} {'; '.join(parts)}." if parts else ""


def _titles(titles: list[str]) -> str:
    """20, 78 and 156 labels; benchmarks by name."""
    if all(title.endswith(" labels") for title in titles):
        return f"{join([title.removesuffix(' labels') for title in titles], 8)} labels"
    return join(titles, 6)


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
    beaten_by: dict[str | None, list[str]] = {None: [], baseline: []}
    for label in others:
        winner = view.comparison(label, baseline).winner
        if winner != label:
            beaten_by[winner].append(f"{label} ({_difference(view, label, baseline)})")
    above = len(others) - len(beaten_by[None]) - len(beaten_by[baseline])
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
        [
            f"no significant difference once all pairs are tested (Holm; each interval is its pair's own): {join(beaten_by[None])}"
        ]
        if beaten_by[None]
        else []
    )
    parts += [f"significantly worse: {join(beaten_by[baseline])}"] if beaten_by[baseline] else []
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
