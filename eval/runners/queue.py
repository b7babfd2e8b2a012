"""The groups of a run, handed out so that several runs on one store share the work, and tried again when a worker dies.
No torch here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from archrank.eval.runners.base import Again, GroupTask, OnEvent
from archrank.eval.trials.claims import Claims
from archrank.eval.trials.context import Context
from archrank.eval.trials.groups import TrialGroup, ensemble_id
from archrank.eval.trials.store import Store

if TYPE_CHECKING:
    from archrank.datasets import Benchmark


class Queue:
    """Groups that wait, and groups that run. Implements `archrank.eval.runners.base.Tasks`.

    A group may start when no running group does the pre-training it needs, and no other run on the store has claimed
    any of its trials.

    groups: in the order in which they should start; grows when a group is split. status: key -> `done` or `failed` of
    the trials that this run stored.
    shared: keys that other runs stored meanwhile.
    """

    def __init__(
        self,
        groups: list[TrialGroup],
        benchmarks: Mapping[str, Benchmark],
        context: Context,
        claims: Claims,
        failed_before: Collection[str],
        on_event: OnEvent,
    ) -> None:
        """failed_before: keys that are stored as failed and shall be trained again. on_event: told everything that
        happens."""
        self.groups, self.benchmarks, self.context, self.claims = groups, benchmarks, context, claims
        self.store = Store(context.store)
        self.status: dict[str, str] = {}
        self.shared: set[str] = set()
        self._failed_before = set(failed_before)
        self._notify = on_event
        self._waiting = list(range(len(groups)))
        self._running: set[int] = set()
        self._losses: Counter[int] = Counter()
        self._claimed_by: dict[int, str] = {}
        self._pretrained: set[tuple[str | None, str]] = set()

    def unfinished(self) -> bool:
        """Whether groups are waiting or running."""
        return bool(self._waiting or self._running)

    def take(self) -> GroupTask | None:
        """The next group that may start now, claimed for this run; None: none at present."""
        busy = {self.groups[number].pretraining for number in self._running if not self._has_pretraining(number)}
        for number in [*self._waiting]:
            if not self._leave_out_stored(number):
                continue
            group = self.groups[number]
            if group.pretraining is not None and group.pretraining in busy:
                continue
            keys = [*group.pending_keys] + (
                [group.pretraining] if group.pretraining and not self._has_pretraining(number) else []
            )
            if holder := self.claims.claim(ensemble_id(group.members), keys):
                if self._claimed_by.get(number) != holder:
                    self._claimed_by[number] = holder
                    self._notify(number, "claimed", holder)
                continue
            # Another run may have finished just before this one made its claim.
            if not self._leave_out_stored(number):
                self.claims.release(ensemble_id(group.members))
                continue
            self._waiting.remove(number)
            self._running.add(number)
            self._notify(number, "started", None)
            return GroupTask(number, self.groups[number], self.benchmarks[group.first.benchmark])
        return None

    def on_event(self, number: int, event: str, value: Any) -> None:
        """`progress` or `stored` of a running group."""
        if event == "stored":
            key, status = value
            self.status[key] = status
        self._notify(number, event, value)

    def finish(self, number: int) -> None:
        """A running group is done."""
        group = self.groups[number]
        self._pretrained.add((group.pretraining, group.first.target))
        self._end(number)
        self._notify(number, "finished", None)

    def lose(self, number: int, kind: str, reason: str, again: Again) -> None:
        """A running group ended without being done: it is trained again whole (once), or member by member, or its
        trials are stored as failed."""
        from archrank.eval.trials.execute import write_lost

        group = self.groups[number]
        self._losses[number] += 1
        group = self.groups[number] = group.only(group.pending_keys - self.status.keys())
        alone = group.alone() if len(group.members) > 1 else []
        if group.pending_keys and again == "whole" and self._losses[number] == 1:
            self._waiting.insert(0, number)
            self._end(number)
            self._notify(number, "retried", reason)
        elif alone and again != "never":
            numbers = range(len(self.groups), len(self.groups) + len(alone))
            self.groups += alone
            self._losses.update(numbers)  # each was tried already, with the others
            self._waiting[:0] = numbers
            self._end(number)
            self._notify(number, "retried", reason)
        else:
            self.status |= write_lost(group, self.context, kind, reason)
            self._end(number)
            self._notify(number, "lost", reason)

    def _end(self, number: int) -> None:
        self._running.discard(number)
        group = self.groups[number]
        self.claims.release(ensemble_id(group.members))
        if not any(self.groups[other].journal == group.journal for other in (*self._waiting, *self._running)):
            self.store.close_journal(group.journal)

    def _has_pretraining(self, number: int) -> bool:
        group = self.groups[number]
        return (group.pretraining, group.first.target) in self._pretrained

    def _leave_out_stored(self, number: int) -> bool:
        """Leave out of a waiting group what was stored since it was planned; False: nothing is left, and it waits no
        longer."""
        group = self.groups[number]
        done = {key for key in group.pending_keys if self._is_stored(key)}
        if not done:
            return True
        elsewhere = done - self.status.keys()
        self.shared |= elsewhere
        self.groups[number] = group.only(group.pending_keys - done)
        if elsewhere:
            self._notify(number, "shared", len(elsewhere))
        if self.groups[number].pending_keys:
            return True
        self._waiting.remove(number)
        self._end(number)
        return False

    def _is_stored(self, key: str) -> bool:
        if key in self.status:
            return True
        written = (self.store.folder / "trials" / f"{key}.json").is_file()
        status = self.store.settled([key]).get(key) if written else None
        return status == "done" or (status == "failed" and key not in self._failed_before)
