"""Where the seeds are too few to separate the first predictors: how many would do, and the command that adds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archrank.eval.statistics import seeds_needed
from archrank.eval.statistics.power import MOST_SEEDS, POWER
from archrank.eval.trials.records import TrialRecord
from archrank.eval.trials.results import as_frame, latest
from archrank.reports.study import Group, View, make_group
from archrank.reports.words import join

__all__ = ["Advice", "advice", "of_trials", "span"]

FIRST_SEEDS = 5
"""Seeds that are worth beginning with, where there is one."""


@dataclass(frozen=True)
class Advice:
    """sentence: what more seeds would tell. seeds: those to add, as `--seeds` takes them; empty where none would do."""

    sentence: str
    seeds: str


def span(first: int, number: int) -> str:
    """Seeds `first` .. `number` - 1 as `--seeds` takes them."""
    return f"{first}-{number - 1}" if number - 1 > first else str(first)


def advice(group: Group) -> Advice | None:
    """What it takes to separate the two highest means, over all settings and wherever else they do not differ; None
    where every first one ranks first."""
    here = group.here
    if len(here.order) < 2:
        return None
    stored = int(group.frame["seed"].max()) + 1
    if not here.testable:
        more = max(FIRST_SEEDS, stored + 1)
        return Advice(
            f"One split has no spread to plan from; {more} seeds are worth beginning with.", span(stored, more)
        )
    views = [here, *(view for kind in "tb" for view in group.views if view.id[0] == kind)]
    open_views = [
        (view, seeds_needed(view.boot, view.order[0], view.top[1], len(view.pairs)))
        for view in views
        if len(view.top) > 1
    ]
    if not open_views:
        return None
    known = [(view, needed) for view, needed in open_views if needed is not None and needed > stored]
    parts = [f"{needed} {_where(view, here)} ({view.order[0]} and {view.top[1]})" for view, needed in known[:4]]
    never = [_where(view, here) for view, needed in open_views if needed is None]
    if never:
        parts.append(f"more than {MOST_SEEDS} {join(never, 4)}")
    if not parts:
        return None
    sentence = f"Seeds that would separate the two highest means, by the measured spread and with a chance of {100 * POWER:.0f} %: {'; '.join(parts)}."
    return Advice(sentence, span(stored, max(needed for _, needed in known)) if known else "")


def of_trials(records: Sequence[TrialRecord]) -> Advice | None:
    """The same from the trials of one protocol and recipe, whatever else a store holds; None where they tell
    nothing."""
    frame = as_frame(latest(records)[0])
    if not len(frame) or frame["label"].nunique() < 2:
        return None
    group = make_group(str(frame["protocol"].iloc[0]), str(frame["recipe"].iloc[0]), frame)
    return advice(group) if group.views else None


def _where(view: View, here: View) -> str:
    return "over all settings" if view is here else f"{'at' if view.id.startswith('b') else 'on'} {view.title}"
