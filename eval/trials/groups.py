"""Which trials train together as one ensemble, and how an interrupted run finds the same composition again. No torch
here."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from archrank.eval.engine.recipes import Recipe
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Planned, Trial

# Members of one ensemble: at most this many. A wide ensemble takes less CPU a member than two narrow ones; but where a
# plan has fewer than `FEW` that train networks, from `SPLIT_FROM` members on they are two, so that a second core helps
# (docs/clusters.md).
WIDEST = {"cpu": 10, "cuda": 64}
SPLIT_FROM = {"cpu": 8, "cuda": 65}
FEW = 4


@dataclass(frozen=True)
class TrialGroup:
    """Trials of one predictor on one benchmark that train as one ensemble.

    members: all that train, in this order. pending_keys: keys of those that are still to be stored; the others train
    along, because a member's last digits depend on the composition. journal: id of the note in the store that says who
    the members are.
    """

    members: tuple[Planned, ...]
    pending_keys: frozenset[str]
    journal: str

    @property
    def first(self) -> Trial:
        """Any of its trials: encoder, benchmark, target, protocol and recipe are the same for all."""
        return self.members[0].trial

    @property
    def pretraining(self) -> str | None:
        """What names the pre-training that the group needs, which no two groups should do side by side; None: it needs
        none."""
        if not self.members[0].spec.pretrained:
            return None
        return json.dumps([self.first.source, self.first.config, self.first.table], sort_keys=True)

    def only(self, keys: Iterable[str]) -> TrialGroup:
        """The same ensemble, of which fewer members are still to be stored."""
        return replace(self, pending_keys=self.pending_keys.intersection(keys))

    def alone(self) -> list[TrialGroup]:
        """Each pending trial as an ensemble of its own."""
        return [
            TrialGroup((item,), frozenset([item.trial.key]), self.journal)
            for item in self.members
            if item.trial.key in self.pending_keys
        ]


def shape(item: Planned) -> int:
    """Trials of one ensemble need equal numbers here: batches of the same shape in every step."""
    if isinstance(item.recipe, Recipe) and item.recipe.updates is not None:
        return min(item.recipe.batch, item.trial.budget)
    return item.trial.budget


def compose(planned: Sequence[Planned], device: str = "cpu") -> list[tuple[Planned, ...]]:
    """The trials as ensembles. Depends on these trials and the kind of device alone, not on cores or on what a store
    holds.

    Trials of one ensemble are equal in all but budget, split and seed, and their batches have one shape. As many
    ensembles are made of them as `WIDEST` asks for, and at least two from `SPLIT_FROM` members on where `FEW` train
    networks; of equal sizes but for one member, in the order of seeds.
    """
    kind = "cuda" if device.startswith("cuda") else "cpu"
    alike: dict[str, list[Planned]] = defaultdict(list)
    for item in planned:
        trial = item.trial
        identity = [
            getattr(trial, name)
            for name in ("encoder", "config", "head", "source", "benchmark", "table", "target", "protocol", "recipe")
        ]
        alike[json.dumps([*identity, shape(item) if item.spec.neural else 0], sort_keys=True)].append(item)

    def least(items: list[Planned]) -> int:
        return -(-len(items) // WIDEST[kind])

    few = sum(least(items) for items in alike.values() if items[0].spec.neural) < FEW
    ensembles: list[tuple[Planned, ...]] = []
    for items in alike.values():
        items.sort(key=lambda item: (item.trial.seed, item.trial.budget))
        if items[0].spec.info.portfolio:  # each is an ensemble of its own
            ensembles += [(item,) for item in items]
            continue
        count = max(least(items), 2 if few and len(items) >= SPLIT_FROM[kind] else 1)
        edges = [round(number * len(items) / count) for number in range(count + 1)]
        ensembles += [tuple(items[start:end]) for start, end in pairwise(edges)]
    return ensembles


def make_groups(
    planned: Sequence[Planned],
    stored: set[str],
    store: Store,
    device: str = "cpu",
    shard: tuple[int, int] | None = None,
) -> list[TrialGroup]:
    """Groups of everything that is planned and not stored, longest first; each is journalled before it is returned.

    An ensemble of which nothing is stored is as `compose` makes it. Trials of an open journal keep the composition
    noted there, stored members
    included: those train again, so that the rest comes out to the last bit as it would have without the interruption.
    The same holds for what was lost of an ensemble whose other members were trained in it. What is left (a plan that
    was extended) is composed for itself.

    shard: (k, n): only the k-th of n parts of the plan, of whole ensembles; see `in_shard`.
    """
    ensembles = compose(planned, device)
    if shard is not None:
        ensembles = in_shard(ensembles, *shard)
    by_key = {item.trial.key: item for members in ensembles for item in members}
    pending = by_key.keys() - stored
    groups = []

    def add(members: tuple[Planned, ...], journal: str | None = None) -> None:
        keys = frozenset(item.trial.key for item in members) & pending
        groups.append(TrialGroup(members, keys, journal or store.open_journal([item.trial for item in members])))
        pending.difference_update(keys)

    for journal, keys in store.journals().items():
        if pending.intersection(keys) and all(key in by_key for key in keys):
            add(tuple(by_key[key] for key in keys), journal)
        elif all(key in stored for key in keys):
            store.close_journal(journal)
    for members in ensembles:
        missing = [item for item in members if item.trial.key in pending]
        if missing and (len(missing) == len(members) or _trained_together(members, stored, store)):
            add(members)
    for members in compose([item for key, item in by_key.items() if key in pending], device):
        add(members)
    return sorted(groups, key=lambda group: expected_cost(group.members), reverse=True)


def ensemble_id(members: Iterable[Planned]) -> str:
    """What a trial's record says about the ensemble it trained in: the same for the same members in the same order."""
    return hashlib.sha256(" ".join(item.trial.key for item in members).encode()).hexdigest()


def _trained_together(members: tuple[Planned, ...], stored: set[str], store: Store) -> bool:
    """Whether those of the members that are stored were trained in this very ensemble."""
    name = ensemble_id(members)
    records = [store.read(item.trial.key) for item in members if item.trial.key in stored]
    return all(record is not None and record.provenance.ensemble == name for record in records)


def in_shard(ensembles: Sequence[tuple[Planned, ...]], number: int, count: int) -> list[tuple[Planned, ...]]:
    """The `number`-th (from 1) of `count` parts of some ensembles, of about equal cost; those that share a pre-training
    stay together."""
    units: dict[str, list[tuple[Planned, ...]]] = defaultdict(list)
    for position, members in enumerate(ensembles):
        units[TrialGroup(members, frozenset(), "").pretraining or str(position)].append(members)
    shards: list[list[tuple[Planned, ...]]] = [[] for _ in range(count)]
    longest_first = sorted(units.values(), key=lambda unit: max(map(expected_cost, unit)), reverse=True)
    for position, unit in enumerate(longest_first):
        shards[position % count] += unit
    return shards[number - 1]


def expected_cost(members: Sequence[Planned]) -> tuple[int, int, int]:
    """What takes longest compares highest: portfolios, pre-trained encodings, learned encoders, networks on fixed
    encodings, regressors; then by size.

    Runs start with it, so that no core is left alone with a long ensemble at the end.
    """
    spec = members[0].spec
    kinds = [spec.info.portfolio, spec.pretrained, spec.info.learned, spec.neural, True]
    kind = len(kinds) - kinds.index(True)
    return kind, len(members), max(item.trial.budget for item in members)
