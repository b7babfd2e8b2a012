"""Published results trained again: bit for bit where the program is the same, else within what another seed gives.

What is published is data. Only encoders, heads and recipes that are installed here are trained; a reference to a file,
which would be a file of this machine, is never followed.
"""

from __future__ import annotations

import hashlib
import math
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from archrank.datasets.errors import ArchrankError, one_line
from archrank.encoders import catalog
from archrank.eval.metrics import METRICS, Direction, score, tau_standard_error
from archrank.eval.trials.context import Context
from archrank.eval.trials.execute import execute
from archrank.eval.trials.groups import TrialGroup
from archrank.eval.trials.provenance import own_version, provenance
from archrank.eval.trials.publication import Publication
from archrank.eval.trials.records import Damaged, TrialRecord
from archrank.eval.trials.specs import parse
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Plan, Planned, make_plan
from archrank.eval.trials.verified import TrialCheck, Verdict, Verified

__all__ = ["verify"]

MAIN = "kendall"
RECIPES = ("common", "paper", "quick")
ROUNDING = 1e-9


@dataclass(frozen=True)
class _Ensemble:
    """Records that trained together, in their order, as they are planned here."""

    records: tuple[TrialRecord, ...]
    planned: tuple[Planned, ...]
    plan: Plan
    whole: bool


def verify(
    publication: Publication,
    *,
    sample: int | None = 3,
    draw: int | None = None,
    device: str = "cpu",
    by: str = "",
    on_check: Callable[[TrialCheck], None] | None = None,
) -> Verified:
    """Train a random sample of published trials again, with all that trained in one ensemble with them.

    Args:
        publication: what is checked (`archrank.eval.trials.publication.opened`).
        sample: number of trials that are drawn; None: every one.
        draw: seed of the drawing; None: one that nobody could know beforehand.
        device: cpu or cuda.
        by: who verifies.
        on_check: called with every trial that was trained again.

    Raises:
        ArchrankError: nothing to check, or a sample that is no positive number.
    """
    if sample is not None and sample < 1:
        raise ArchrankError(f"--sample {sample}: give at least 1 trial")
    records = [record for record in publication.reading.records if record.status == "done"]
    if not records:
        raise ArchrankError("every published trial failed: there is nothing to train again")
    draw = random.SystemRandom().randrange(2**32) if draw is None else draw
    planned, unchecked = _planned(records)
    drawn = {record.key for record in records if record.key in planned}
    if sample is not None:
        drawn = set(random.Random(draw).sample(sorted(drawn), min(sample, len(drawn))))
    checks: list[TrialCheck] = []
    with tempfile.TemporaryDirectory(prefix="archrank-") as scratch:
        for ensemble in _ensembles(records, planned, drawn):
            for check in _again(ensemble, publication, records, Store(Path(scratch)), device):
                checks.append(check)
                if on_check is not None:
                    on_check(check)
    return Verified(
        schema=1,
        sha256=publication.sha256,
        by=by,
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        archrank=own_version(),
        hardware=str(provenance(device, 1).get("hardware") or "unknown"),
        draw=draw,
        trials=len(records),
        checks=checks,
        unchecked=dict(unchecked),
    )


def _planned(records: Sequence[TrialRecord]) -> tuple[dict[str, tuple[Planned, Plan]], Counter[str]]:
    """Key -> the trial as it would be planned here, and why others cannot be."""
    tasks: dict[tuple[str, ...], list[TrialRecord]] = defaultdict(list)
    for record in records:
        trial = record.trial
        tasks[record.label, trial.encoder, trial.benchmark, trial.target, trial.protocol, trial.recipe].append(record)
    planned: dict[str, tuple[Planned, Plan]] = {}
    unchecked: Counter[str] = Counter()
    for (label, encoder, benchmark, target, protocol, recipe), group in tasks.items():
        try:
            if encoder not in catalog.known() or any(sign in label for sign in ":/\\"):
                raise ArchrankError(f"encoder {encoder} is not installed here")
            if recipe not in RECIPES:
                raise ArchrankError(f"recipe {recipe} is not one of archrank's")
            specs = parse(label)
            if [spec.label for spec in specs] != [label]:
                raise ArchrankError(f"'{label}' does not name one predictor")
            plan = make_plan(
                specs,
                benchmarks=[benchmark],
                budgets=sorted({record.trial.budget for record in group}),
                seeds=sorted({record.trial.seed for record in group}),
                targets=[target],
                protocol=protocol,
                recipe=recipe,
            )
        except (ArchrankError, OSError) as error:
            unchecked[one_line(error, 200)] += len(group)
            continue
        here = {(item.trial.budget, item.trial.seed): item for item in plan.trials}
        for record in group:
            item = here.get((record.trial.budget, record.trial.seed))
            if item is None:
                unchecked[f"{label} is left out of {benchmark} here"] += 1
            elif item.trial.table != record.trial.table:
                unchecked[f"the table of {benchmark} here is not the one they were made on"] += 1
            elif item.trial.split != record.trial.split:
                unchecked[f"protocol {protocol} draws other splits of {benchmark} here"] += 1
            else:
                planned[record.key] = replace(item, encode=False), plan
    return planned, unchecked


def _ensembles(
    records: Sequence[TrialRecord], planned: dict[str, tuple[Planned, Plan]], drawn: set[str]
) -> list[_Ensemble]:
    """The ensembles of the drawn trials; a trial alone, where not all that trained with it are here."""
    together: dict[str, list[TrialRecord]] = defaultdict(list)
    for record in records:
        together[record.provenance.ensemble or record.key].append(record)
    out = []
    for name, members in together.items():
        if not any(record.key in drawn for record in members):
            continue
        members.sort(key=lambda record: (record.trial.seed, record.trial.budget))
        known = hashlib.sha256(" ".join(record.key for record in members).encode()).hexdigest() == name
        if known and all(record.key in planned for record in members):
            groups = [(members, True)]
        else:
            groups = [([record], len(members) == 1 and name == record.key) for record in members if record.key in drawn]
        for part, whole in groups:
            items = tuple(planned[record.key][0] for record in part)
            out.append(_Ensemble(tuple(part), items, planned[part[0].key][1], whole))
    return out


def _again(
    ensemble: _Ensemble, publication: Publication, records: Sequence[TrialRecord], scratch: Store, device: str
) -> list[TrialCheck]:
    keys = frozenset(item.trial.key for item in ensemble.planned)
    benchmark = ensemble.plan.benchmarks[ensemble.planned[0].trial.benchmark]
    execute(TrialGroup(ensemble.planned, keys, ""), Context(scratch.folder, device), lambda *_: None, benchmark)
    checks = []
    for record, item in zip(ensemble.records, ensemble.planned):
        again = scratch.read(item.trial.key)
        verdict, remark = _verdict(record, again, item, ensemble, publication, records, scratch)
        checks.append(
            TrialCheck(
                key=record.key,
                label=record.label,
                task=f"{record.trial.benchmark}/{record.trial.target}",
                budget=record.trial.budget,
                seed=record.trial.seed,
                verdict=verdict,
                published=record.metrics.get(MAIN),
                again=again.metrics.get(MAIN) if again else None,
                remark=remark,
            )
        )
    return checks


def _verdict(
    record: TrialRecord,
    again: TrialRecord | None,
    item: Planned,
    ensemble: _Ensemble,
    publication: Publication,
    records: Sequence[TrialRecord],
    scratch: Store,
) -> tuple[Verdict, str]:
    if again is None or again.status != "done":
        return "failed", again.error.headline if again and again.error else "it could not be trained"
    if (wrong := _rescored(record, item, ensemble, publication)) is not None:
        return "outside", wrong
    if _equal(record, again, publication, scratch):
        return "equal", ""
    changed = [
        name for name in ("source", "numerics", "training") if getattr(record.trial, name) != getattr(item.trial, name)
    ]
    reasons = [f"{', '.join(changed)} changed since"] if changed else []
    reasons += [] if ensemble.whole else ["its ensemble is not known"]
    reasons += [f"trained on {record.provenance.hardware}"] if not reasons else []
    before, now = record.metrics.get(MAIN), again.metrics.get(MAIN)
    if before is None or now is None:
        return "outside", "; ".join([*reasons, "Kendall's tau is undefined"])
    reach = _reach(record, records)
    inside = abs(before - now) <= reach
    return "within" if inside else "outside", "; ".join(
        [*reasons, f"differs by {now - before:+.4f}, allowed {reach:.4f}"]
    )


def _equal(record: TrialRecord, again: TrialRecord, publication: Publication, scratch: Store) -> bool:
    """Whether every metric that both have is the same number and, where the predictions are published, they are the
    same to the bit."""
    common = record.metrics.keys() & again.metrics.keys()
    if not common or any(record.metrics[name] != again.metrics[name] for name in common):
        return False
    if not publication.store.has_predictions(record.key):
        return True
    ours, theirs = scratch.predictions(again), publication.store.predictions(record)
    return all(np.array_equal(mine, published) for mine, published in zip(ours, theirs))


def _rescored(record: TrialRecord, item: Planned, ensemble: _Ensemble, publication: Publication) -> str | None:
    """What is wrong with the published metrics, judged by the published predictions; None if nothing is."""
    if not publication.store.has_predictions(record.key):
        return None
    benchmark = ensemble.plan.benchmarks[record.trial.benchmark]
    try:
        index, predictions = publication.store.predictions(record, len(benchmark))
    except Damaged as error:
        return str(error)
    split = ensemble.plan.splits[item.trial.split]
    if not np.array_equal(np.sort(index), np.sort(split.test)):
        return "its predictions are of other architectures than the split tests"
    tested = record.test.target or record.trial.target
    if tested != (split.test_target or record.trial.target):
        return f"it says it was tested on {tested}"
    truth = benchmark.target(tested)[index]
    direction: Direction = "max" if benchmark.direction(record.trial.target) == "max" else "min"
    for name, value in score(truth, predictions, direction).items():
        stored = record.metrics.get(name)
        if stored is not None and METRICS[name].default and abs(stored - value) > ROUNDING * max(1.0, abs(value)):
            return f"its {name} {stored:.6g} is not that of its predictions, {value:.6g}"
    return None


def _reach(record: TrialRecord, records: Sequence[TrialRecord]) -> float:
    """How far another training may be off: 95 % of what one more seed of this setting gives, or, with fewer than three
    of them, three standard errors of tau on the test set."""
    from scipy.stats import t

    def setting(other: TrialRecord) -> tuple[object, ...]:
        trial = other.trial
        return other.label, trial.benchmark, trial.target, trial.protocol, trial.recipe, trial.budget

    values = [
        v for other in records if setting(other) == setting(record) and (v := other.metrics.get(MAIN)) is not None
    ]
    if len(values) < 3:
        return 3 * tau_standard_error(record.metrics.get(MAIN) or 0.0, record.test.architectures or 2)
    n = len(values)
    return float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) * math.sqrt(1 + 1 / n))
