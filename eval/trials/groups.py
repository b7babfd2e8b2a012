"""Which trials train together as one ensemble, and how an interrupted run finds the same company again. No torch here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from archrank.eval.engine.recipes import COMMON
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Planned, Trial

WIDTH = {"cpu": 10, "cuda": 64}


@dataclass(frozen=True)
class Group:
    """Trials of one predictor on one benchmark that train as one program. `wanted`: keys that are not stored yet."""

    members: tuple[Planned, ...]
    wanted: frozenset[str]
    journal: str

    @property
    def first(self) -> Trial:
        """Any of its trials: encoder, benchmark, target, protocol and recipe are the same for all."""
        return self.members[0].trial

    @property
    def chain(self) -> str | None:
        """Groups of one chain share a pre-training and must not run side by side; None: no such need."""
        if not self.members[0].spec.info.pretrained:
            return None
        trial = self.first
        return json.dumps([trial.source, trial.config, trial.table], sort_keys=True)


def shape(trial: Trial) -> int:
    """Trials of one ensemble need equal numbers here: batches of the same shape in every step."""
    if trial.recipe != "paper" and COMMON.updates is not None:
        return min(COMMON.batch, trial.budget)
    return trial.budget


def make_groups(planned: Sequence[Planned], stored: set[str], store: Store, device: str = "cpu") -> list[Group]:
    """Groups of everything that is planned and not stored; each is journalled before it is returned.

    Trials of an open journal keep the company noted there, finished members included: they are trained again, so that the rest comes out
    to the last bit as it would have without the interruption.
    """
    by_key = {item.trial.key: item for item in planned}
    groups: list[Group] = []
    waiting = {key for key in by_key if key not in stored}
    for name, keys in store.journals().items():
        if not any(key in waiting for key in keys):
            if all(key in stored for key in keys):
                store.close_journal(name)
            continue
        if all(key in by_key for key in keys):
            groups.append(Group(tuple(by_key[key] for key in keys), frozenset(waiting.intersection(keys)), name))
            waiting -= set(keys)
    alike: dict[str, list[Planned]] = {}
    for key, item in by_key.items():
        if key in waiting:
            trial = item.trial
            identity = [getattr(trial, name) for name in ("encoder", "config", "head", "source", "benchmark", "table", "target", "protocol", "recipe")]
            alike.setdefault(json.dumps([*identity, shape(trial) if item.spec.neural else 0], sort_keys=True), []).append(item)
    width = WIDTH["cuda" if device.startswith("cuda") else "cpu"]
    for company in alike.values():
        company.sort(key=lambda item: (item.trial.budget, item.trial.seed))
        parts = -(-len(company) // width)
        size = -(-len(company) // parts)
        for start in range(0, len(company), size):
            members = tuple(company[start : start + size])
            keys = [item.trial.key for item in members]
            groups.append(Group(members, frozenset(keys), store.open_journal([item.trial for item in members])))
    # What takes longest starts first, so that no core is left alone with it at the end.
    groups.sort(key=lambda group: (not group.members[0].spec.neural, not group.members[0].spec.info.learned, -max(m.trial.budget for m in group.members)))
    return groups
