"""What a learned encoder is given beside graphs and labels, made ready: weights from a pretext or from other tables,
and side inputs. Pre-trainings are kept in the store by content: trials share them, a resumed run finds them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archrank.datasets import Benchmark, Split, load
from archrank.datasets.costs import COSTS
from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.datasets.union import union
from archrank.encoders.layers.complexity import cost
from archrank.encoders.views import build as build_encoder
from archrank.eval.engine.batching import Member
from archrank.eval.engine.labels import transform
from archrank.eval.engine.pretraining import COMPARED, cut, load_weights, prepared, pretrain
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.engine.training import fit
from archrank.eval.trials.additions import Additions, SideInput, Source
from archrank.eval.trials.encodings import encode_all, with_columns
from archrank.eval.trials.job import Given, TrainingJob, make_job
from archrank.eval.trials.pretrained import read_weights, write_weights
from archrank.eval.trials.specs import parse
from archrank.eval.trials.trial import NUMERICS

Weights = dict[str, Tensor]


def prepare_additions(
    job: TrainingJob, benchmark: Benchmark, target: str, splits: Sequence[Split], folder: Path, device: str
) -> Given:
    """Make ready what an encoder is given; what the store has is read from there.

    Args:
        job: the predictor; its spec says what it is given.
        benchmark: on which it is trained. Of its columns only those named as side inputs or as a proxy are read, and
            its static costs where they are not the target.
        target: what will be predicted.
        splits: of the members. A pretext with `unlabelled=train` sees the graphs of a split's pool alone.
        folder: the store. device: where pre-training runs.

    Raises:
        ArchrankError: a pretext, source or side input does not fit the encoder or the table.
    """
    added, seconds = job.spec.additions, [0.0] * len(splits)
    side, took = _side_inputs(job, added.side, benchmark, target, folder)
    seconds = [one + took for one in seconds]
    start: Weights | None = None
    if added.source is not None:
        start, took = _from_source(job, added.source, benchmark, folder, device)
        seconds = [one + took for one in seconds]
    if added.task is None:
        return Given(None if start is None else [start] * len(splits), side, seconds)
    weights = []
    for number, split in enumerate(splits):
        found, took = _from_pretext(job, added, benchmark, target, split, start, folder, device)
        weights.append(found)
        seconds[number] += took
    return Given(weights, side, seconds)


def _from_pretext(
    job: TrainingJob,
    added: Additions,
    benchmark: Benchmark,
    target: str,
    split: Split,
    start: Weights | None,
    folder: Path,
    device: str,
) -> tuple[Weights, float]:
    task = added.task
    assert task is not None
    hidden = target if target in COSTS else None
    rows = unlabelled_rows(split) if added.unlabelled == "train" else None
    seen = "all" if rows is None else hashlib.sha256(rows.tobytes()).hexdigest()
    source = [load(name).table for name in added.source.tables] if added.source else []
    about = [task.text, task.source, benchmark.table, hidden, seen, *source]
    path = _path(folder, [*_encoder(job), *about, NUMERICS])

    def train() -> Weights:
        graphs = with_columns(benchmark, COSTS, target)
        if task.needs("proxy"):
            name = str(task.own.get("proxy", task.entry.options["proxy"].default))
            graphs = graphs.with_columns({**graphs.columns, "proxy": torch.tensor(np.array(benchmark.target(name)))})
        graphs = graphs if rows is None else graphs[torch.from_numpy(rows)]
        return pretrain(partial(_made, job, start), task, graphs, benchmark.space, device)[0]

    return _kept(path, train)


def unlabelled_rows(split: Split) -> NDArray[np.int64]:
    """The rows that `unlabelled=train` lets a pretext see: sorted, those of the pool that are not tested."""
    rows = np.setdiff1d(split.pool, split.test)
    if len(rows) < 2:
        raise ArchrankError(
            "unlabelled=train: this protocol tests on every architecture, so that none is left for a pretext to see"
        )
    return rows


def _from_source(
    job: TrainingJob, source: Source, benchmark: Benchmark, folder: Path, device: str
) -> tuple[Weights, float]:
    """Weights of an encoder trained on labels of other tables, cut to the benchmark's space."""
    tables = [load(name) for name in source.tables]
    targets = [source.target_of(table) for table in tables]
    about = [source.target, source.labels, source.updates, [table.table for table in tables]]
    path = _path(folder, ["source", *_encoder(job), about, benchmark.table, NUMERICS])

    def train() -> Weights:
        space, places = union(benchmark.space, [table.space for table in tables])
        graphs = _joined(tables, places, space.max_nodes)
        rows, labels, first = [], [], 0
        for table, target in zip(tables, targets):
            scores = table.target(target)
            order = np.random.default_rng(derive_seed(0, table.name)).permutation(np.flatnonzero(np.isfinite(scores)))
            chosen = order[: source.labels]
            rows.append(first + chosen)
            labels.append(transform(scores[chosen], "normal", table.direction(target), table.unit(target)))
            first += len(table)
        member = Member(0, np.concatenate(rows), np.concatenate(labels), np.empty(0, np.int64))
        recipe = job.recipe.model_copy(update={"updates": source.updates, "epochs": None})
        trained = fit(
            lambda member, probe: _made(job, None, space),
            graphs,
            [member],
            recipe,
            device=device,
            pairs=job.pairs,
            verified=job.verified,
        )
        network = trained.ensemble.skeleton
        held = {**trained.ensemble.parameters, **trained.ensemble.buffers}
        network.load_state_dict({name: tensor[0] for name, tensor in held.items()}, strict=False)
        few = benchmark.graphs[:COMPARED].plain()
        narrow = prepared(_made(job, None, benchmark.space))
        return cut(network.get_submodule("encoder").cpu(), narrow, few.pad(space.max_nodes), few)

    return _kept(path, train)


def _joined(tables: Sequence[Benchmark], places: Sequence[NDArray[np.int64]], nodes: int) -> Graphs:
    """The graphs of several tables as one, operations by their places in a joint space, padded to its size."""
    parts = []
    for table, place in zip(tables, places):
        own = table.graphs.plain().pad(nodes)
        ops = torch.where(own.mask, torch.from_numpy(place)[own.ops], 0)
        parts.append(own.with_tensors({**own.tensors(), "ops": ops}))
    return parts[0].with_tensors(
        {name: torch.cat([part.tensors()[name] for part in parts]) for name in parts[0].tensors()}
    )


def _made(job: TrainingJob, start: Weights | None, space: SearchSpace) -> nn.Module:
    made = build_encoder(job.encoder, space, job.config)
    return made if start is None else load_weights(made, start)


def _side_inputs(
    job: TrainingJob, sides: Sequence[SideInput], benchmark: Benchmark, target: str, folder: Path
) -> tuple[NDArray[np.float64] | None, float]:
    """The numbers [N, K] of all side inputs, and the seconds that pre-training those took that need one."""
    parts, seconds = [], 0.0
    for one in sides:
        if one.encoding is not None:
            other = make_job(parse(one.name)[0], job.recipe, benchmark.space, benchmark.graphs)
            features, took = encode_all(other, benchmark, target, folder)
            seconds += took if one.encoding.pretrained else 0.0
            parts.append(features)
        elif columns := one.columns(benchmark, target):
            parts.append(np.stack([benchmark.target(name) for name in columns], 1))
        else:
            metric: Any = one.name
            counts = cost(with_columns(benchmark, COSTS, target), benchmark.space, metric).double().numpy()
            parts.append(np.log(np.maximum(counts, 1e-9))[:, None])
    return (np.concatenate(parts, 1), seconds) if parts else (None, 0.0)


def _encoder(job: TrainingJob) -> list[Any]:
    """The encoder in an identity: its name, its options without those that say what is done before or beside it, and
    its source."""
    own = {name: value for name, value in job.config.items() if name not in ("pretext", "unlabelled", "side")}
    return [job.spec.info.name, own, job.spec.info.source]


def _path(folder: Path, identity: list[Any]) -> Path:
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return folder / "pretraining" / f"{name}.safetensors"


def _kept(path: Path, train: Any) -> tuple[Weights, float]:
    """Weights from the store, or trained and stored; and the seconds that took."""
    if (stored := read_weights(path)) is not None:
        return {name: torch.from_numpy(array) for name, array in stored[0].items()}, stored[1]
    start = time.perf_counter()
    weights = train()
    seconds = time.perf_counter() - start
    write_weights(path, {name: tensor.numpy() for name, tensor in weights.items()}, seconds)
    return weights, seconds
