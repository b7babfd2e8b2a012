"""One group of trials from start to stored result. Runs in a worker process (or in the caller's)."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import torch

from archrank.datasets import Benchmark, load, make_split
from archrank.datasets.graphs import Graphs
from archrank.encoders.layers.complexity import Metric
from archrank.eval import metrics
from archrank.eval.engine.batching import Member
from archrank.eval.engine.labels import transform
from archrank.eval.engine.network import FixedEncoding, Network
from archrank.eval.engine.recipes import HEADS, Recipe, prescribed, shared
from archrank.eval.engine.regressors import fit_predict
from archrank.eval.engine.training import Outcome, train
from archrank.eval.trials.groups import Group
from archrank.eval.trials.provenance import provenance
from archrank.eval.trials.store import SCHEMA, NotWritten, Store, replace
from archrank.eval.trials.trial import Planned

ENCODED = 500


@dataclass(frozen=True)
class Context:
    """Where and on what a group runs."""

    store: Path
    device: str = "cpu"
    threads: int = 1
    compiled: bool = False


class Events(Protocol):
    """What a group tells while it runs. Each is called often and must be quick."""

    def progress(self, share: float) -> None:
        """Share of the group's training done, 0 to 1."""

    def stored(self, key: str, status: str) -> None:
        """A trial was written."""


def execute(group: Group, context: Context, events: Events, benchmark: Benchmark | None = None) -> None:
    """Train, score and store the wanted trials of a group.

    A group that fails as a whole is tried again member by member; a trial that fails by itself is stored as failed. NotWritten if the store cannot.
    """
    store = Store(context.store)
    outcomes: list[Any] = []
    failure: tuple[str, str, str] | None = None
    hopeless = len(group.members) == 1
    try:
        outcomes = _outcomes(group, context, events, benchmark)
    except NotWritten:
        raise
    except (Exception, SystemExit) as error:
        failure = type(error).__name__, str(error), traceback.format_exc()
        hopeless = hopeless or isinstance(error, (ImportError, AttributeError, TypeError, NameError))
    if failure is not None:
        # Out of the `except` block: inside it the traceback would keep alive whatever filled the memory.
        for item in group.members:
            if item.trial.key in group.wanted and hopeless:
                _write_failure(store, item, context, *failure)
                events.stored(item.trial.key, "failed")
            elif item.trial.key in group.wanted:
                execute(Group((item,), frozenset([item.trial.key]), group.journal), context, events, benchmark)
        return
    for item, (record, index, outcome, encoded) in zip(group.members, outcomes):
        if item.trial.key not in group.wanted:
            continue
        if record["status"] == "failed":
            store.write(record)
        else:
            store.write(record, index, outcome.predictions, (encoded, outcome.encodings) if outcome.encodings is not None else None)
        events.stored(item.trial.key, record["status"])


def _outcomes(group: Group, context: Context, events: Events, benchmark: Benchmark | None) -> list[Any]:
    trial, spec = group.first, group.members[0].spec
    benchmark = benchmark or load(trial.benchmark)
    if benchmark.table != trial.table:
        raise RuntimeError(f"the table of {trial.benchmark} is not the one that was planned")
    direction = benchmark.direction(trial.target)
    unit = benchmark.unit(trial.target)
    target = spec.info.load()
    if spec.info.source != trial.source:
        raise RuntimeError(f"the source of {spec.info.path.name} is not the one that was planned: it was edited since; run the same command again, which plans anew")
    config = dict(trial.config)
    if spec.info.learned:
        recipe, config = prescribed(trial.recipe, target, config, spec.head, benchmark.space)
    else:
        recipe = shared(trial.recipe).model_copy(update={"head": HEADS["mlp"]})
    members = []
    splits = []
    for item in group.members:
        split = make_split(benchmark, trial.protocol, item.trial.seed, trial.target)
        if split.digest != item.trial.split:
            raise RuntimeError(f"the split of seed {item.trial.seed} is not the one that was planned")
        rows = split.train(item.trial.budget)
        scores = benchmark.target(split.train_target or trial.target)
        kind = recipe.labels if spec.neural else "normal"
        encode = split.test[:ENCODED] if item.encode else None
        members.append(Member(item.trial.seed, rows, transform(scores[rows], kind, direction, unit), split.test, encode))
        splits.append(split)
    pretrain_s = encode_s = 0.0
    if spec.info.learned:
        twins = None
        if recipe.consistency:
            twins = target.twins(benchmark.graphs)
        outcomes = train(lambda member, probe: target(benchmark.space, **config), benchmark.graphs, members, recipe, device=context.device,
                         twins=twins, pairs="compare" in spec.info.hooks, progress=events.progress, compiled=context.compiled)
    else:
        features, seconds = encode_all(group.members[0], target, benchmark, context)
        pretrain_s, encode_s = (seconds, 0.0) if spec.info.pretrained else (0.0, seconds)
        array = features.double().numpy()
        if spec.neural:
            graphs = benchmark.graphs.plain()
            name = f"encoding/{spec.label}"
            graphs.derive(name, lambda _: features.float())
            outcomes = train(lambda member, probe: FixedEncoding(name, _never, array[member.train]), graphs, members, recipe,
                             device=context.device, progress=events.progress, compiled=context.compiled)
        else:
            outcomes = []
            for number, member in enumerate(members):
                outcomes.append(fit_predict(array, member, spec.head))
                events.progress((number + 1) / len(members))
    finished = []
    for item, member, split, outcome in zip(group.members, members, splits, outcomes):
        record = _record(item, context, recipe if spec.neural else None)
        record["config"] = config
        predict_s = outcome.predict_s + encode_s * len(split.test) / len(benchmark)
        record["timings"] = {"fit_s": outcome.fit_s, "predict_s": predict_s, "pretrain_s": pretrain_s,
                             "architectures_per_s": len(split.test) / predict_s if predict_s > 0 else None,
                             "members": len(members) if spec.neural else 1}
        record["model"] = {"parameters": outcome.parameters, "dim": outcome.dim}
        record["test"] = {"architectures": len(split.test), "set": split.test_digest, "train": len(member.train), "validation": len(split.validation)}
        record["notes"] = outcome.notes
        record["provenance"]["compiled"] = any(note.startswith("compiled:") for note in outcome.notes)
        tested = split.test_target or trial.target
        if tested != trial.target:
            record["test"]["target"] = tested
            record["notes"] = [*outcome.notes, f"trained on {split.train_target or trial.target}, tested on {tested}, as protocol {trial.protocol} has it"]
        _judge(record, outcome, benchmark.target(tested)[split.test], direction)
        finished.append((record, split.test, outcome, member.encode))
    return finished


def probe(item: Planned, benchmark: Benchmark) -> None:
    """Import an encoder and use it once on two architectures of a benchmark (unless it is pre-trained); raises whatever goes wrong."""
    target = item.spec.info.load()
    if item.spec.info.pretrained:
        return
    if not item.spec.info.learned:
        target(benchmark.graphs[:2].plain(), benchmark.space, **item.trial.config)
        return
    _, config = prescribed(item.trial.recipe, target, item.trial.config, item.spec.head, benchmark.space)
    Network(target(benchmark.space, **config), HEADS["linear"], benchmark.graphs[:2], "compare" in item.spec.info.hooks)


def _never(_: Graphs) -> torch.Tensor:
    raise RuntimeError("a fixed encoding is computed once for the whole space")


def encode_all(item: Planned, function: Callable[..., Any], benchmark: Benchmark, context: Context) -> tuple[torch.Tensor, float]:
    """A fixed encoding of every architecture of a benchmark: float [N, F], and the seconds that took, pre-training included.

    A pre-trained encoding is kept in the store under the hash of its source, configuration, table and hidden target.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    trial = item.trial
    hidden = trial.target if trial.target in get_args(Metric) else None
    identity = json.dumps([trial.encoder, trial.config, trial.source, trial.table, hidden, trial.numerics], sort_keys=True)
    path = context.store / "pretraining" / f"{hashlib.sha256(identity.encode()).hexdigest()}.safetensors"
    if item.spec.info.pretrained and path.is_file():
        with safe_open(str(path), "pt") as kept:
            return kept.get_tensor("encoding"), float(kept.metadata()["seconds"])
    start = time.perf_counter()
    features = torch.as_tensor(function(with_costs(benchmark, hidden), benchmark.space, **trial.config)).detach().cpu()
    if features.dim() != 2 or len(features) != len(benchmark):
        raise ValueError(f"encoding '{trial.encoder}' must give [N, F]; for {len(benchmark)} architectures it gave {list(features.shape)}")
    if not features.double().isfinite().all():
        raise ValueError(f"encoding '{trial.encoder}' gives values that are not finite")
    seconds = time.perf_counter() - start
    if item.spec.info.pretrained:
        replace(path, lambda scratch: save_file({"encoding": features.contiguous()}, str(scratch), {"seconds": repr(seconds)}))
    return features, seconds


def with_costs(benchmark: Benchmark, hidden: str | None = None) -> Graphs:
    """The benchmark's graphs, told what its table says of their static cost, for encodings that ask (`layers.complexity.cost`).

    hidden: the target, where it is such a cost itself: no label of a test architecture may reach an encoding. The graphs are others than
    `benchmark.graphs`, which learned encoders are given whatever their target. A column with holes is left out: costs of two kinds must not be mixed.
    """
    graphs = benchmark.graphs.plain()
    for metric in get_args(Metric):
        if metric != hidden and metric in benchmark.targets and np.isfinite(counts := benchmark.target(metric)).all():
            graphs.derive(f"cost/{metric}", partial(_column, counts))
    return graphs


def _column(values: np.ndarray, _: Graphs) -> torch.Tensor:
    return torch.tensor(np.array(values))


def _record(item: Planned, context: Context, recipe: Recipe | None) -> dict[str, Any]:
    trial = item.trial
    fields = {name: getattr(trial, name) for name in trial.__dataclass_fields__}
    return {"schema": SCHEMA, "key": trial.key, "status": "done", "trial": fields, "label": item.spec.label, "reference": item.spec.reference,
            "family": item.spec.info.family, "space": item.space, "metrics": {}, "timings": {}, "model": {},
            "test": {}, "recipe": recipe.model_dump(mode="json") if recipe else {"name": trial.recipe, "labels": "normal", "regressor": item.spec.head},
            "notes": [], "provenance": provenance(context.device, context.threads), "error": None}


def _judge(record: dict[str, Any], outcome: Outcome, truth: np.ndarray, direction: Any) -> None:
    """Fill in the metrics, or say why there are none: a missing number is a failure, never a zero."""
    problem = outcome.problem
    if problem is None and not np.isfinite(outcome.predictions).all():
        problem = "a prediction is not a finite number"
    if problem is None and np.ptp(outcome.predictions) == 0:
        problem = "every architecture got the same prediction"
    if problem is not None:
        record |= {"status": "failed", "error": {"type": "Undefined", "message": problem, "traceback": None}}
        return
    values = metrics.score(truth, outcome.predictions, direction)
    record["metrics"] = {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


def _write_failure(store: Store, item: Planned, context: Context, kind: str, message: str, trace: str | None) -> None:
    record = _record(item, context, None)
    lines = message.strip().splitlines()
    record |= {"status": "failed", "error": {"type": kind, "message": lines[0] if lines else kind, "traceback": trace}}
    store.write(record)


def write_lost(group: Group, context: Context, reason: str, told: Set[str] = frozenset()) -> set[str]:
    """Store the wanted trials of a group whose worker died as failed, but for those done or `told` before that; returns their keys."""
    store = Store(context.store)
    lost = {key for key in group.wanted - told if (store.read(key) or {}).get("status") != "done"}
    for item in group.members:
        if item.trial.key in lost:
            _write_failure(store, item, context, "WorkerLost", reason, None)
    return lost
