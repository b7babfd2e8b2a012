"""How a run goes, on a terminal or in a file."""

from __future__ import annotations

from typing import Any

from archrank.cli.console import echo, is_terminal
from archrank.datasets.io.visible import visible
from archrank.eval.runners.run import ProgressCallback
from archrank.eval.trials.groups import Group


def progress() -> ProgressCallback:
    """Progress bars on a terminal, plain lines elsewhere."""
    return Bars() if is_terminal() else Lines()


class Lines(ProgressCallback):
    """One line for each ensemble that ends."""

    def begin(self, planned: int, kept: int, groups: list[Group]) -> None:
        """Say what will be done."""
        self.groups, self.done, self.total = groups, kept, planned
        self.holders: set[str] = set()
        if groups:
            echo(f"{planned} trials, {kept} stored, {planned - kept} to train in {len(groups)} ensembles")

    def on_event(self, number: int, event: str, value: Any) -> None:
        """Count what is stored, and say which ensemble ended, or did not."""
        if event == "stored":
            self.done += 1
        elif event == "shared":
            self.done += value
        if event == "finished":
            echo(f"[{self.done}/{self.total}] {self.name(number)}")
        elif note := self.note(number, event, value):
            echo(f"[{self.done}/{self.total}] {note}")

    def name(self, number: int) -> str:
        """An ensemble, for a person."""
        group = self.groups[number]
        budgets = ", ".join(map(str, sorted({member.trial.budget for member in group.members})))
        return f"{group.members[0].spec.label} on {group.first.benchmark}, budgets {budgets}"

    def note(self, number: int, event: str, value: Any) -> str | None:
        """What an event is worth saying, if it is."""
        if event == "lost":
            return f"{self.name(number)} lost: {value}"
        if event == "retried":
            return f"{self.name(number)} tried again: {value}"
        if event == "shared":
            return f"{self.name(number)}: {value} trials stored by another run"
        if event == "claimed" and value not in self.holders:
            self.holders.add(value)
            return f"another run ({value}) trains some of these ensembles; this one takes the others"
        return None


class Bars(Lines):
    """A bar for all trials and one for each ensemble that trains."""

    def begin(self, planned: int, kept: int, groups: list[Group]) -> None:
        """Show the bar of all trials."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.groups, self.bar, self.holders = groups, None, set()
        self.tasks: dict[int, Any] = {}
        if groups:
            self.bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self.bar.start()
            self.trials = self.bar.add_task("trials", total=planned, completed=kept)

    def on_event(self, number: int, event: str, value: Any) -> None:
        """Move the bars."""
        assert self.bar is not None
        if event == "started":
            self.tasks[number] = self.bar.add_task(visible(f"  {self.name(number)}"), total=100)
        elif event == "progress":
            self.bar.update(self.tasks[number], completed=round(100 * value))
        elif event in ("stored", "shared"):
            self.bar.advance(self.trials, value if event == "shared" else 1)
        elif event in ("finished", "lost", "retried") and number in self.tasks:
            self.bar.remove_task(self.tasks.pop(number))
        if note := self.note(number, event, value):
            self.bar.console.print(visible(note), markup=False)

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()
