"""How a run of searches goes, on a terminal or in a file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from archrank.cli.console import echo, is_terminal
from archrank.cli.progress import TOLD_EVERY_S, how_far, time_left
from archrank.datasets.io.visible import visible

if TYPE_CHECKING:
    from archrank.eval.search.plan import SearchTask


class SearchProgress:
    """A bar for all searches on a terminal; elsewhere a line for each that ends, and every half minute how far they
    are."""

    def __init__(self, planned: int, stored: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.planned, self.ended, self.share = planned, stored, 0.0
        self.begun = self.last_line = time.monotonic()
        self.bar: Any = None
        if is_terminal() and stored < planned:
            text = (TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[left]"))
            self.bar = Progress(next(text), BarColumn(), TimeElapsedColumn(), next(text))
            self.bar.start()
            self.whole = self.bar.add_task(self._counted(), total=1.0, left="")
        else:
            echo(f"{planned} searches, {stored} stored, {planned - stored} to do")

    def on_event(self, what: str, task: SearchTask, text: str) -> None:
        """Say which search ended, or why it failed."""
        self.ended += 1
        line = f"{self._counted()} {task.label} on {task.benchmark}" + (f": failed: {text}" if what == "failed" else "")
        self._say(line if self.ended == self.planned or not self._left() else f"{line}, {self._left()}")

    def on_progress(self, share: float) -> None:
        """Take in the share of the work that is done."""
        self.share = share
        if self.bar is not None:
            self.bar.update(self.whole, completed=share, description=self._counted(), left=self._left())
        elif time.monotonic() - self.last_line > TOLD_EVERY_S and share:
            self._say(f"{self._counted()} {how_far(share, self._left())}")

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()

    def _say(self, line: str) -> None:
        if self.bar is None:
            echo(line)
        else:
            self.bar.console.print(visible(line), markup=False)
        self.last_line = time.monotonic()

    def _counted(self) -> str:
        return f"[{self.ended}/{self.planned}]"

    def _left(self) -> str:
        return time_left(self.begun, self.share)
