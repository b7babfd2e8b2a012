"""What a runner is: it takes groups from a queue and trains each somewhere, in this process, in others, or on a
cluster. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from archrank.eval.trials.groups import TrialGroup

if TYPE_CHECKING:
    from archrank.datasets import Benchmark

OnEvent = Callable[[int, str, Any], None]
"""Called with the number of a group, what happened to it, and a value:

| event      | value                                                                       |
|------------|-----------------------------------------------------------------------------|
| `started`  | None                                                                        |
| `progress` | share of its training that is done, 0 to 1                                  |
| `stored`   | (key, status) of a trial that was written                                   |
| `retried`  | why: its worker died; it is trained again, whole or member by member        |
| `lost`     | why: its worker died again; its pending trials are stored as failed         |
| `finished` | None                                                                        |
| `claimed`  | who: another run trains it now                                              |
| `shared`   | number of its trials that another run stored meanwhile                      |
"""


Again = Literal["whole", "alone", "never"]
"""How a group is tried again whose worker died: whole where that may have had nothing to do with the group (then
alone), member by member, or not."""


@dataclass(frozen=True)
class GroupTask:
    """A group that may start now. number: which one, as events name it. benchmark: the table it is trained on."""

    number: int
    group: TrialGroup
    benchmark: Benchmark


class Tasks(Protocol):
    """Where a runner gets its work from and reports to (`archrank.eval.runners.queue.Queue`)."""

    def take(self) -> GroupTask | None:
        """The next group that may start now; None: none at present (see `unfinished`)."""

    def unfinished(self) -> bool:
        """Whether groups are waiting or running."""

    def on_event(self, number: int, event: str, value: Any) -> None:
        """Tell `progress` or `stored` of a running group."""

    def finish(self, number: int) -> None:
        """A running group is done: all of its trials are stored."""

    def lose(self, number: int, kind: str, reason: str, again: Again) -> None:
        """A running group ended without being done. kind: the type of the failure that is stored where it is not tried
        again."""


class Runner(Protocol):
    """Trains all groups of a queue."""

    def run(self, tasks: Tasks) -> None:
        """Take groups, train each with `archrank.eval.trials.execute.execute`, and report, until `tasks.unfinished()`
        is False.

        Raises:
            ArchrankError: training cannot go on, for instance because the store cannot be written. What is finished
            stays stored.
        """


IDLE_S = 0.5
"""How long a runner with nothing to start waits before it asks again: other runs on the store may be done by then."""
