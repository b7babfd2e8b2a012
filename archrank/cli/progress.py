"""How a run goes, on a terminal or in a file."""

from __future__ import annotations

import time
from typing import Any

from archrank.cli.console import echo, is_terminal
from archrank.datasets.io.visible import visible
from archrank.eval.runners.run import ProgressCallback
from archrank.eval.trials.groups import TrialGroup
from archrank.eval.trials.rates import Rates, duration

TOLD_EVERY_S = 30.0
# Below this share of the work what came first (workers that start, pre-training) would pass for its pace.
TELLING = 0.02


def time_left(begun: float, share: float) -> str:
    """How long the rest takes, from the share of the work that is done since `begun` (`time.monotonic`); empty where
    that is too little to tell."""
    if share < TELLING:
        return ""
    return f"about {duration((time.monotonic() - begun) * (1 - share) / share)} left"


def how_far(share: float, left: str) -> str:
    """The share of the work that is done, and how long the rest takes where `left` tells."""
    return f"{100 * share:.0f} % of the work is done{left and f', {left}'}"


def progress() -> ProgressCallback:
    """Progress bars on a terminal, plain lines elsewhere."""
    return Bars() if is_terminal() else Lines()


class Work:
    """How much of a run is done, and how long the rest takes.

    Ensembles count by the seconds that their like took on this machine, where that is known, otherwise by their
    members, at the mean of the known ones.
    """

    def __init__(self, groups: list[TrialGroup]) -> None:
        self.groups, self.shares, self.begun = groups, dict[int, float](), time.monotonic()
        rates = Rates.read()
        seconds = [rates.of(group.members) for group in groups]
        known = [(value, len(group.members)) for value, group in zip(seconds, groups) if value is not None]
        each = sum(value for value, _ in known) / sum(count for _, count in known) if known else 1.0
        self.costs = [len(group.members) * each if value is None else value for value, group in zip(seconds, groups)]
        self.each = each

    def on_event(self, number: int, event: str, value: Any) -> None:
        """Take in what happened to a group."""
        if event == "progress":
            self.shares[number] = max(self.shares.get(number, 0.0), min(float(value), 1.0))
        elif event in ("finished", "shared"):
            self.shares[number] = 1.0
        elif event in ("retried", "lost"):
            self.shares.pop(number, None)

    @property
    def done(self) -> float:
        """The share of the work that is done, 0 to 1."""
        # The list of groups grows when one is split.
        self.costs += [len(group.members) * self.each for group in self.groups[len(self.costs) :]]
        whole = sum(self.costs)
        return sum(self.costs[number] * share for number, share in self.shares.items()) / whole if whole else 1.0

    @property
    def left(self) -> str:
        """How long the rest takes, from what is done so far; empty where that is too little to tell."""
        return time_left(self.begun, self.done)


class Lines(ProgressCallback):
    """One line for each ensemble that ends, and every half minute how far the run is."""

    def begin(self, planned: int, stored: int, groups: list[TrialGroup]) -> None:
        """Say what will be done."""
        self.groups, self.done, self.total = groups, stored, planned
        self.said: set[str] = set()
        self.work, self.last_line = Work(groups), time.monotonic()
        if groups:
            echo(f"{planned} trials, {stored} stored, {planned - stored} to train in {len(groups)} ensembles")

    def on_event(self, number: int, event: str, value: Any) -> None:
        """Count what is stored, and say which ensemble ended, or did not."""
        self.work.on_event(number, event, value)
        if event == "stored":
            self.done += 1
        elif event == "shared":
            self.done += value
        if event == "finished":
            left = self.work.left if self.done < self.total else ""
            echo(f"[{self.done}/{self.total}] {self.name(number)}{left and f', {left}'}")
        elif note := self.note(number, event, value):
            echo(f"[{self.done}/{self.total}] {note}")
        elif time.monotonic() - self.last_line > TOLD_EVERY_S and self.work.done:
            echo(f"[{self.done}/{self.total}] {how_far(self.work.done, self.work.left)}")
        else:
            return
        self.last_line = time.monotonic()

    def predictor(self, number: int) -> str:
        """What an ensemble's trials have in common, for a person."""
        group = self.groups[number]
        return f"{group.members[0].spec.label} on {group.first.benchmark}"

    def name(self, number: int) -> str:
        """An ensemble, for a person."""
        budgets = ", ".join(map(str, sorted({member.trial.budget for member in self.groups[number].members})))
        return f"{self.predictor(number)}, budgets {budgets}"

    def note(self, number: int, event: str, value: Any) -> str | None:
        """What an event is worth saying, if it is."""
        if event == "lost":
            return f"{self.name(number)} lost: {value}"
        if event == "retried":
            return f"{self.name(number)} tried again: {value}"
        if event == "shared":
            return f"{self.name(number)}: {value} trials stored by another run"
        if event == "claimed" and value not in self.said:
            self.said.add(value)
            return f"another run ({value}) trains some of these ensembles; this one takes the others"
        group = self.groups[number]
        if event == "started" and group.pretraining is not None and group.pretraining not in self.said:
            self.said.add(group.pretraining)
            return f"{self.predictor(number)}: pre-training first, unless the store has it"
        return None


class Bars(Lines):
    """A bar for the whole run, which moves with every step, and one for each ensemble that trains."""

    def begin(self, planned: int, stored: int, groups: list[TrialGroup]) -> None:
        """Show the bar of the whole run."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.groups, self.bar, self.said = groups, None, set()
        self.done, self.total, self.work = stored, planned, Work(groups)
        self.tasks: dict[int, Any] = {}
        if groups:
            self.bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %", markup=False),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}", markup=False),
            )
            self.bar.start()
            self.whole = self.bar.add_task(self._counted(), total=1.0, left="")

    def on_event(self, number: int, event: str, value: Any) -> None:
        """Move the bars."""
        assert self.bar is not None
        self.work.on_event(number, event, value)
        if event == "started":
            self.tasks[number] = self.bar.add_task(visible(f"  {self.name(number)}"), total=1.0, left="")
        elif event == "progress":
            self.bar.update(self.tasks[number], completed=value)
        elif event in ("stored", "shared"):
            self.done += value if event == "shared" else 1
        if event in ("finished", "lost", "retried") and number in self.tasks:
            self.bar.remove_task(self.tasks.pop(number))
        self.bar.update(self.whole, completed=self.work.done, description=self._counted(), left=self.work.left)
        if note := self.note(number, event, value):
            self.bar.console.print(visible(note), markup=False)

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()

    def _counted(self) -> str:
        return f"{self.done}/{self.total} trials"
