"""One group of trials from start to stored result. Runs in a worker process (or in the caller's)."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import torch

from archrank.datasets import Benchmark, Split, load, make_split
from archrank.datasets.errors import ArchrankError, message_of, one_line, without_surrogates
from archrank.datasets.graphs import Graphs
from archrank.encoders.catalog import confirm, where
from archrank.encoders.catalog.loading import effects
from archrank.encoders.catalog.process_state import unchanged
from archrank.encoders.layers.complexity import Metric
from archrank.encoders.registry import blocks_of
from archrank.eval import metrics
from archrank.eval.engine.batching import Member, Rows
from archrank.eval.engine.labels import transform
from archrank.eval.engine.network import FixedEncoding, Network
from archrank.eval.engine.recipes import Recipe, check_hooks, common_recipe, resolve_recipe
from archrank.eval.engine.regressors import block_scales, fit_predict
from archrank.eval.engine.training import Outcome, train
from archrank.eval.trials.context import Context
from archrank.eval.trials.files import NotWritten
from archrank.eval.trials.groups import Group, ensemble_id
from archrank.eval.trials.pretrained import read_pretrained, write_pretrained
from archrank.eval.trials.provenance import provenance
from archrank.eval.trials.records import Model, Provenance, TestSet, Timings, TrialFailure, TrialRecord
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import Planned

# Test architectures of a run's first seed whose encodings are kept.
ENCODED = 500
OnEvent = Callable[[str, Any], None]


def execute(group: Group, context: Context, on_event: OnEvent, benchmark: Benchmark | None = None) -> None:
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
            kept = (trial.encoded, encodings) if trial.encoded is not None and encodings is not None else None
            store.write(trial.record, trial.tested, trial.outcome.predictions, kept)
        on_event("stored", (item.trial.key, trial.record.status))


class Failure:
    """What an exception said, as text. hopeless: members trained alone would raise it too."""

    def __init__(self, error: BaseException) -> None:
        self.kind, self.message = type(error).__name__, message_of(error)
        self.traceback = without_surrogates(traceback.format_exc())
        self.hopeless = isinstance(error, (ImportError, AttributeError, TypeError, NameError))


def _train_group(group: Group, context: Context, on_event: OnEvent, benchmark: Benchmark | None) -> list[Finished]:
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
    """A group ready to train: its encoder as it is configured, how it is trained, and the rows and labels of every
    member."""

    benchmark: Benchmark
    encoder: Any
    config: dict[str, Any]
    recipe: Recipe
    splits: list[Split]
    members: list[Member]


@dataclass(frozen=True)
class Trained:
    """What training gave: an outcome per member, and the seconds that pre-training and encoding the whole benchmark
    took."""

    outcomes: list[Outcome]
    pretrain_s: float = 0.0
    encode_s: float = 0.0


@dataclass(frozen=True)
class Finished:
    """A trial as it is stored: its record, the tested rows, what the member gave, and the rows whose encodings are
    kept."""

    record: TrialRecord
    tested: Rows
    outcome: Outcome
    encoded: Rows | None


def _prepare(group: Group, benchmark: Benchmark) -> Prepared:
    """Load what the group needs. RuntimeError where table, source or a split is not the one that was planned."""
    trial, spec = group.first, group.members[0].spec
    if benchmark.table != trial.table:
        raise RuntimeError(f"the table of {trial.benchmark} is not the one that was planned")
    encoder = spec.info.load()
    if spec.info.source != trial.source:
        raise RuntimeError(
            f"the source of {spec.info.path.name} is not the one that was planned: it was edited since; run the same command again, which plans anew"
        )
    choice = group.members[0].recipe
    recipe, config = common_recipe(choice), dict(trial.config)
    if spec.info.learned:
        recipe, config = resolve_recipe(choice, encoder, config, spec.layers(), benchmark.space)
    elif spec.neural:
        recipe = recipe.model_copy(update={"head": spec.layers()})
    splits, members = [], []
    for item in group.members:
        split = make_split(benchmark, trial.protocol, item.trial.seed, trial.target)
        if split.digest != item.trial.split:
            raise RuntimeError(f"the split of seed {item.trial.seed} is not the one that was planned")
        rows = split.train(item.trial.budget)
        scores = benchmark.target(split.train_target or trial.target)[rows]
        labels = transform(scores, recipe.labels, benchmark.direction(trial.target), benchmark.unit(trial.target))
        splits.append(split)
        members.append(Member(item.trial.seed, rows, labels, split.test, split.test[:ENCODED] if item.encode else None))
    return Prepared(benchmark, encoder, config, recipe, splits, members)


def _train(group: Group, prepared: Prepared, context: Context, on_event: OnEvent) -> Trained:
    """Train the members: a learned encoder as an ensemble, heads on a fixed encoding as one, regressors one after the
    other."""
    spec, benchmark, members, recipe = group.members[0].spec, prepared.benchmark, prepared.members, prepared.recipe
    progress = partial(on_event, "progress")
    if spec.info.learned:
        twins = prepared.encoder.twins(benchmark.graphs) if recipe.consistency else None
        return Trained(
            train(
                lambda member, probe: prepared.encoder(benchmark.space, **prepared.config),
                benchmark.graphs,
                members,
                recipe,
                device=context.device,
                twins=twins,
                pairs="compare" in spec.info.hooks,
                progress=progress,
                compiled=context.compiled,
                verified=spec.info.origin == "built-in",
            )
        )
    features, seconds = encode_all(group.members[0], prepared.encoder, benchmark, context)
    array = features.double().numpy()
    blocks = blocks_of(prepared.encoder, features, benchmark.space)
    outcomes = []
    if spec.neural:
        graphs, name = benchmark.graphs.plain(), f"encoding/{spec.label}"
        graphs.derive(name, lambda _: features.float())
        outcomes = train(
            lambda member, probe: FixedEncoding(name, _never, array[member.train]),
            graphs,
            members,
            recipe,
            device=context.device,
            progress=progress,
            compiled=context.compiled,
        )
    else:
        for number, member in enumerate(members):
            scaled = array * block_scales(array[member.train], blocks) if blocks else array
            outcomes.append(fit_predict(scaled, member, spec.head, spec.head_config))
            progress((number + 1) / len(members))
    return Trained(outcomes, pretrain_s=seconds) if spec.info.pretrained else Trained(outcomes, encode_s=seconds)


def _finish(group: Group, prepared: Prepared, trained: Trained, context: Context) -> list[Finished]:
    """Score every member and write down what it was and what it cost."""
    trial, spec, benchmark = group.first, group.members[0].spec, prepared.benchmark
    finished = []
    for item, member, split, outcome in zip(group.members, prepared.members, prepared.splits, trained.outcomes):
        predict_s = outcome.predict_s + trained.encode_s * len(split.test) / len(benchmark)
        tested, notes = split.test_target or trial.target, list(outcome.notes)
        if tested != trial.target:
            notes.append(
                f"trained on {split.train_target or trial.target}, tested on {tested}, as protocol {trial.protocol} has it"
            )
        values, failure = _judge(outcome, benchmark.target(tested)[split.test], benchmark.direction(trial.target))
        record = _record(
            item,
            context,
            prepared.recipe if spec.neural else None,
            trained={
                "compiled": any(note.startswith("compiled:") for note in outcome.notes),
                "ensemble": ensemble_id(group.members),
            },
            metrics=values,
            error=failure,
            config=prepared.config,
            timings=Timings(
                fit_s=outcome.fit_s,
                predict_s=predict_s,
                pretrain_s=trained.pretrain_s,
                architectures_per_s=len(split.test) / predict_s if predict_s > 0 else None,
                members=len(prepared.members) if spec.neural else 1,
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
    spec, config = item.spec, item.trial.config
    try:
        with unchanged():
            encoder = spec.info.load()
            spec.check_head()
            if spec.info.origin != "built-in":
                confirm(spec.info)
            if spec.info.learned:
                recipe, config = resolve_recipe(item.recipe, encoder, config, spec.layers(), benchmark.space)
                Network(encoder(benchmark.space, **config), recipe.head, benchmark.graphs, "compare" in spec.info.hooks)
            elif not spec.info.pretrained:
                check_hooks(common_recipe(item.recipe), encoder)
                encoder(benchmark.graphs.plain(), benchmark.space, **config)
    except (ArchrankError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit and others of a stranger's code included
        raise ArchrankError(
            f"encoder {spec.label} cannot be used on {benchmark.name}{where(error, spec.info.path)}: {one_line(error)}"
        ) from error


def _never(_: Graphs) -> torch.Tensor:
    raise RuntimeError("a fixed encoding is computed once for the whole space")


def encode_all(
    item: Planned, function: Callable[..., Any], benchmark: Benchmark, context: Context
) -> tuple[torch.Tensor, float]:
    """A fixed encoding of every architecture of a benchmark: float [N, F], and the seconds that took, pre-training
    included.

    A pre-trained encoding is kept in the store under the hash of its source, configuration, table and hidden target.
    """
    trial = item.trial
    hidden = trial.target if trial.target in get_args(Metric) else None
    identity = json.dumps(
        [trial.encoder, trial.config, trial.source, trial.table, hidden, trial.numerics], sort_keys=True
    )
    path = context.store / "pretraining" / f"{hashlib.sha256(identity.encode()).hexdigest()}.safetensors"
    if item.spec.info.pretrained and (stored := read_pretrained(path, len(benchmark))) is not None:
        return torch.from_numpy(stored[0]), stored[1]
    start = time.perf_counter()
    features = torch.as_tensor(function(with_costs(benchmark, hidden), benchmark.space, **trial.config)).detach().cpu()
    if features.dim() != 2 or len(features) != len(benchmark):
        raise ValueError(
            f"encoding '{trial.encoder}' must give [N, F]; for {len(benchmark)} architectures it gave {list(features.shape)}"
        )
    if features.is_complex():
        raise ValueError(
            f"encoding '{trial.encoder}' gives complex numbers; give real ones, such as their real and imaginary parts or magnitudes"
        )
    if not features.double().isfinite().all():
        raise ValueError(f"encoding '{trial.encoder}' gives values that are not finite")
    seconds = time.perf_counter() - start
    if item.spec.info.pretrained:
        write_pretrained(path, features.numpy(), seconds)
    return features, seconds


def with_costs(benchmark: Benchmark, hidden: str | None = None) -> Graphs:
    """The benchmark's graphs, told what its table says of their static cost, for encodings that ask
    (`layers.complexity.cost`).

    hidden: the target, where it is such a cost itself: no label of a test architecture may reach an encoding. The
    graphs are others than `benchmark.graphs`, which learned encoders are given whatever their target. A column with
    holes is left out: costs of two kinds must not be mixed.
    """
    graphs = benchmark.graphs.plain()
    for metric in get_args(Metric):
        if metric != hidden and metric in benchmark.targets and np.isfinite(counts := benchmark.target(metric)).all():
            graphs.derive(f"cost/{metric}", partial(_column, counts))
    return graphs


def _column(values: np.ndarray, _: Graphs) -> torch.Tensor:
    return torch.tensor(np.array(values))


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


def _judge(outcome: Outcome, truth: np.ndarray, direction: Any) -> tuple[dict[str, float | None], TrialFailure | None]:
    """The metrics, or why there are none: a missing number is a failure, never a zero."""
    problem = outcome.problem
    if problem is None and not np.isfinite(outcome.predictions).all():
        problem = "a prediction is not a finite number"
    if problem is None and np.ptp(outcome.predictions) == 0:
        problem = "every architecture got the same prediction"
    if problem is not None:
        return {}, TrialFailure(type="Undefined", message=problem)
    values = metrics.score(truth, outcome.predictions, direction)
    return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}, None


def _write_failure(store: Store, item: Planned, context: Context, kind: str, message: str, trace: str | None) -> None:
    lines = message.strip().splitlines()
    store.write(
        _record(
            item, context, None, error=TrialFailure(type=kind, message=lines[0] if lines else kind, traceback=trace)
        )
    )


def write_lost(group: Group, context: Context, kind: str, reason: str) -> dict[str, str]:
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
