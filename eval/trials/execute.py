"""One group of trials from start to stored result. Runs in a worker process (or in the caller's)."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from archrank.datasets import Benchmark, Split, load, make_split
from archrank.datasets.errors import ArchrankError, message_of, one_line, without_surrogates
from archrank.datasets.plugins.loading import effects
from archrank.datasets.plugins.process_state import unchanged
from archrank.encoders.catalog import confirm, where
from archrank.eval.auto.scores import ScoreScale
from archrank.eval.engine.batching import Member, Rows
from archrank.eval.engine.recipes import Recipe, common_recipe
from archrank.eval.engine.training import Outcome
from archrank.eval.trials.context import Context
from archrank.eval.trials.encodings import encode_all
from archrank.eval.trials.files import NotWritten
from archrank.eval.trials.groups import TrialGroup, ensemble_id
from archrank.eval.trials.job import TrainingJob, make_job
from archrank.eval.trials.judging import judge, judge_intervals
from archrank.eval.trials.portfolios import pool_of, portfolio_of, train_portfolio
from archrank.eval.trials.pretraining import prepare_additions
from archrank.eval.trials.provenance import provenance
from archrank.eval.trials.records import Model, Provenance, TestSet, Timings, TrialFailure, TrialRecord
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Planned
from archrank.eval.trials.tuning import train_tuned

# Test architectures of a run's first seed whose encodings are kept.
ENCODED = 500
OnEvent = Callable[[str, Any], None]


def execute(group: TrialGroup, context: Context, on_event: OnEvent, benchmark: Benchmark | None = None) -> None:
    """Train, score and store the pending trials of a group.

    A group that fails as a whole is tried again member by member; a trial that fails by itself is stored as failed.

    on_event: called with `progress` and the share of the training that is done, or with `stored` and the (key, status)
        of a trial that was written; often, so it must be quick. benchmark: the table (None: it is loaded by its name).

    Raises:
        NotWritten: the store cannot be written.
    """
    store = Store(context.store)
    finished: list[Finished] = []
    failure: Failure | None = None
    try:
        finished = _train_group(group, context, on_event, benchmark)
    except NotWritten:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and not context.isolated:
            raise
        failure = Failure(error)
    # Out of the `except` block: inside it the traceback would keep alive whatever filled the memory.
    if failure is not None and (len(group.members) == 1 or failure.hopeless):
        for item in group.members:
            if item.trial.key in group.pending_keys:
                _write_failure(store, item, context, failure.kind, failure.message, failure.traceback)
                on_event("stored", (item.trial.key, "failed"))
    elif failure is not None:
        for alone in group.alone():
            execute(alone, context, on_event, benchmark)
    for item, trial in zip(group.members, finished):
        if item.trial.key not in group.pending_keys:
            continue
        if trial.record.status == "failed":
            store.write(trial.record)
        else:
            encodings = trial.outcome.encodings
            stored = (trial.encoded, encodings) if trial.encoded is not None and encodings is not None else None
            store.write(trial.record, trial.tested, trial.outcome.predictions, stored)
        on_event("stored", (item.trial.key, trial.record.status))


class Failure:
    """What an exception said, as text. hopeless: members trained alone would raise it too."""

    def __init__(self, error: BaseException) -> None:
        self.kind, self.message = type(error).__name__, message_of(error)
        self.traceback = without_surrogates(traceback.format_exc())
        self.hopeless = isinstance(error, (ImportError, AttributeError, TypeError, NameError))


def _train_group(group: TrialGroup, context: Context, on_event: OnEvent, benchmark: Benchmark | None) -> list[Finished]:
    with unchanged() as changed:
        prepared = _prepare(group, benchmark or load(group.first.benchmark))
        finished = _finish(group, prepared, _train(group, prepared, context, on_event), context)
    info = group.members[0].spec.info
    if info.origin != "built-in":
        said = effects(info.path, info.module) + (
            [f"training it changed the process ({', '.join(changed)}); that was put back"] if changed else []
        )
        for trial in finished:
            trial.record.notes.extend(said)
    return finished


@dataclass(frozen=True)
class Prepared:
    """A group ready to train: the job, and the split of every member."""

    benchmark: Benchmark
    job: TrainingJob
    splits: list[Split]


@dataclass(frozen=True)
class TrainedGroup:
    """What training gave: an outcome per member, and the seconds that pre-training and encoding the whole benchmark
    took."""

    outcomes: list[Outcome]
    pretrain_s: Sequence[float]
    encode_s: float = 0.0


@dataclass(frozen=True)
class Finished:
    """A trial as it is stored: its record, the tested rows, what the member gave, and the rows whose encodings are
    kept."""

    record: TrialRecord
    tested: Rows
    outcome: Outcome
    encoded: Rows | None


def _prepare(group: TrialGroup, benchmark: Benchmark) -> Prepared:
    """Load what the group needs. RuntimeError where table, source or a split is not the one that was planned."""
    trial, spec = group.first, group.members[0].spec
    if benchmark.content_hash != trial.table:
        raise RuntimeError(f"the table of {trial.benchmark} is not the one that was planned")
    spec.info.load()
    if spec.source != trial.source:
        raise RuntimeError(
            f"the source of {spec.info.path.name} is not the one that was planned: it was edited since; run the same command again, which plans anew"
        )
    job = make_job(spec, group.members[0].recipe, benchmark.space, benchmark.graphs)
    splits, members = [], []
    for item in group.members:
        split = make_split(benchmark, trial.protocol, item.trial.seed, trial.target)
        if split.digest != item.trial.split:
            raise RuntimeError(f"the split of seed {item.trial.seed} is not the one that was planned")
        rows = split.train(item.trial.budget)
        scores = benchmark.target(split.train_target or trial.target)[rows]
        labels = job.labels(scores, benchmark.direction(trial.target), benchmark.unit(trial.target))
        splits.append(split)
        members.append(Member(item.trial.seed, rows, labels, split.test, split.test[:ENCODED] if item.encode else None))
    return Prepared(benchmark, job.with_members(members), splits)


def _train(group: TrialGroup, prepared: Prepared, context: Context, on_event: OnEvent) -> TrainedGroup:
    """Train the members, on a fixed encoding once the whole benchmark is encoded."""
    job, spec, target = prepared.job, prepared.job.spec, group.first.target
    seconds, encode_s = [0.0] * len(job.members), 0.0
    how: dict[str, Any] = {"device": context.device, "progress": partial(on_event, "progress")}
    if spec.info.portfolio:
        pool = pool_of(job, prepared.benchmark, target, context.store)
        return TrainedGroup(*train_portfolio(job, pool, prepared.splits, compiled=context.compiled, **how))
    if not spec.info.learned:
        features, took = encode_all(job, prepared.benchmark, target, context.store)
        job = job.with_features(features)
        seconds, encode_s = ([took] * len(job.members), 0.0) if spec.info.pretrained else (seconds, took)
    elif spec.additions:
        given = prepare_additions(job, prepared.benchmark, target, prepared.splits, context.store, context.device)
        job, seconds = job.with_given(given), [*given.seconds]
    train = partial(train_tuned, job) if job.tuned else job.train
    outcomes = train(compiled=context.compiled, **how)
    return TrainedGroup(outcomes, seconds, encode_s)


def _finish(group: TrialGroup, prepared: Prepared, trained: TrainedGroup, context: Context) -> list[Finished]:
    """Score every member and write down what it was and what it cost."""
    trial, job, benchmark = group.first, prepared.job, prepared.benchmark
    finished = []
    every = zip(group.members, job.members, prepared.splits, trained.outcomes, trained.pretrain_s)
    for item, member, split, outcome, pretrain_s in every:
        predict_s = outcome.predict_s + trained.encode_s * len(split.test) / len(benchmark)
        tested, notes = split.test_target or trial.target, list(outcome.notes)
        notes += job.spec.additions.notes(benchmark, trial.target)
        if tested != trial.target:
            notes.append(
                f"trained on {split.train_target or trial.target}, tested on {tested}, as protocol {trial.protocol} has it"
            )
        truth, direction = benchmark.target(tested)[split.test], benchmark.direction(trial.target)
        values, failure = judge(outcome, truth, direction)
        if not failure and tested == (split.train_target or trial.target):
            scale = ScoreScale.of(member.labels, benchmark.target(tested)[member.train])
            values |= judge_intervals(outcome, scale, truth, direction)
        record = _record(
            item,
            context,
            job.recipe if job.spec.neural else None,
            trained={
                "compiled": any(note.startswith("compiled:") for note in outcome.notes),
                "ensemble": ensemble_id(group.members),
            },
            metrics=values,
            error=failure,
            config=job.config,
            timings=Timings(
                fit_s=outcome.fit_s,
                predict_s=predict_s,
                pretrain_s=pretrain_s,
                architectures_per_s=len(split.test) / predict_s if predict_s > 0 else None,
                members=len(job.members) if job.spec.neural else 1,
            ),
            model=Model(parameters=outcome.parameters, dim=outcome.dim),
            test=TestSet(
                architectures=len(split.test),
                set=split.test_digest,
                train=len(member.train),
                validation=len(split.validation),
                target=tested if tested != trial.target else None,
            ),
            notes=notes,
        )
        finished.append(Finished(record, split.test, outcome, member.encode))
    return finished


def probe(item: Planned, benchmark: Benchmark) -> None:
    """Import an encoder and use it once on a benchmark of a few architectures (unless it is pre-trained).
    ArchrankError, one line, if that fails."""
    spec = item.spec
    try:
        with unchanged():
            spec.info.load()
            spec.check_head()
            if spec.info.origin != "built-in":
                confirm(spec.info)
            job = make_job(spec, item.recipe, benchmark.space, benchmark.graphs)
            if spec.info.learned:
                job.network(benchmark.graphs)
            elif spec.info.portfolio:
                portfolio_of(job)
            elif not spec.info.pretrained:
                job.encode(benchmark.graphs.plain())
    except (ArchrankError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit and others of a stranger's code included
        raise ArchrankError(
            f"encoder {spec.label} cannot be used on {benchmark.name}{where(error, spec.info.path)}: {one_line(error)}"
        ) from error


def _record(
    item: Planned,
    context: Context,
    recipe: Recipe | None,
    trained: Mapping[str, Any] | None = None,
    error: TrialFailure | None = None,
    **parts: Any,
) -> TrialRecord:
    used = (
        recipe.model_dump(mode="json")
        if recipe
        else {"name": item.trial.recipe, "labels": common_recipe(item.recipe).labels, "regressor": item.trial.head}
    )
    return TrialRecord(
        key=item.trial.key,
        status="failed" if error else "done",
        trial=item.trial,
        label=item.spec.label,
        reference=item.spec.reference,
        family=item.spec.info.family,
        space=item.space,
        recipe=used,
        error=error,
        provenance=Provenance(**provenance(context.device, context.threads), **(trained or {})),
        **parts,
    )


def _write_failure(store: Store, item: Planned, context: Context, kind: str, message: str, trace: str | None) -> None:
    lines = message.strip().splitlines()
    store.write(
        _record(
            item, context, None, error=TrialFailure(type=kind, message=lines[0] if lines else kind, traceback=trace)
        )
    )


def write_lost(group: TrialGroup, context: Context, kind: str, reason: str) -> dict[str, str]:
    """Store the pending trials of a group that could not be trained as failed, for a `reason` of some `kind`, but for
    those that are done.

    Returns:
        Key -> `done` or `failed` of all pending trials.
    """
    store = Store(context.store)
    status = {key: "done" for key, stored in store.settled(group.pending_keys).items() if stored == "done"}
    for item in group.members:
        if item.trial.key in group.pending_keys - status.keys():
            _write_failure(store, item, context, kind, reason, None)
            status[item.trial.key] = "failed"
    return status
