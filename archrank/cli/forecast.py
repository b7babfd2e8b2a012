"""What a plan says beside its trials: how long they take here, and how many seeds would tell the first ones apart."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from archrank.cli.console import echo

if TYPE_CHECKING:
    from archrank.eval.trials.store import Store
    from archrank.eval.trials.trial import Plan, Planned


def more_seeds(store: Store, stored: Mapping[str, str]) -> None:
    """Say how many seeds would separate the first predictors, as far as the stored trials of the plan tell."""
    from archrank.reports.seeds import of_trials

    forecast = of_trials([record for key in sorted(stored) if (record := store.read(key)) is not None])
    if forecast is not None:
        echo(
            forecast.sentence
            + (f" The same command with --seeds {forecast.seeds} adds them." if forecast.seeds else "")
        )


def expected_time(plan: Plan, pending: list[Planned], measure: bool) -> str:
    """How long training the pending trials takes, as far as it is known here."""
    from archrank.eval.trials.groups import compose
    from archrank.eval.trials.rates import Rates, duration, wall_seconds

    rates = Rates.read()
    ensembles = compose(pending, rates.device)
    if measure:
        from archrank.eval.trials.estimate import ensemble_seconds

        for members in ensembles:
            if rates.of(members) is None:
                rates.note(members, rates.device, ensemble_seconds(plan, members, rates.device))
                rates.write()  # each: whoever stops this goes on from there
    seconds = [rates.of(members) for members in ensembles]
    known = [value for value in seconds if value is not None]
    workers = 1 if rates.device.startswith("cuda") else min(len(ensembles), os.cpu_count() or 1)
    unknown = sorted({members[0].spec.label for members, value in zip(ensembles, seconds) if value is None})
    lacking = (
        f"; not timed here yet: {', '.join(unknown[:4])}{', ...' if len(unknown) > 4 else ''} (--measure times a few steps)"
        if unknown
        else ""
    )
    if not known:
        return f"how long that takes is not known here{lacking}"
    there = f"{workers} worker process{'es' if workers > 1 else ''}"
    about = "at least" if unknown else "about"
    return f"{about} {duration(wall_seconds(known, workers))} on {there} of this machine{lacking}"
