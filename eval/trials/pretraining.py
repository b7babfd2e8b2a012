"""What a learned encoder is given beside graphs and labels, made ready: weights from a pretext or from other tables,
and side inputs. Pre-trainings are kept in the store by content: trials share them, a resumed run finds them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from archrank.datasets import Benchmark, Split, load
from archrank.datasets.costs import COSTS
from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.complexity import cost
from archrank.encoders.views import build as build_encoder
from archrank.eval.engine.pretraining import Weights, load_weights, pretrain
from archrank.eval.trials.additions import Additions, SideInput, proxy_of
from archrank.eval.trials.encodings import encode_all, with_columns
from archrank.eval.trials.job import Given, TrainingJob, make_job
from archrank.eval.trials.pretrained import path_of, read_weights, write_weights
from archrank.eval.trials.source_training import FromSource, train_on_source
from archrank.eval.trials.sources import LabelSource
from archrank.eval.trials.specs import parse
from archrank.eval.trials.trial import HARNESS_VERSION

GIVEN = ("pretext", "unlabelled", "side", "source")


def prepare_additions(
    job: TrainingJob, benchmark: Benchmark, target: str, splits: Sequence[Split | None], folder: Path, device: str
) -> Given:
    """Make ready what an encoder is given; what the store has is read from there.

    Args:
        job: the predictor; its spec says what it is given.
        benchmark: on which it is trained. Of its columns only those named as side inputs or as a proxy are read, and
            its static costs where they are not the target.
        target: what will be predicted.
        splits: of the members. A pretext with `unlabelled=train` sees the graphs of a split's pool alone. None: without
            a split, as in a search.
        folder: the store. device: where pre-training runs.

    Raises:
        ArchrankError: a pretext, source or side input does not fit the encoder or the table.
    """
    added, seconds = job.spec.additions, [0.0] * len(splits)
    side, took = _side_inputs(job, added.side, benchmark, target, folder)
    seconds = [taken + took for taken in seconds]
    weights: Sequence[Weights] = []
    head: Weights | None = None
    if added.source is not None:
        source, took = _from_source(job, added.source, benchmark, target, folder, device)
        seconds = [taken + took for taken in seconds]
        if added.source.zero_shot:
            return Given(None, side, seconds, source.scores.mean(0))
        weights = source.starts(job.members) or [*source.weights] * len(splits)
        head = source.head if added.source.head else None
    if added.task is None:
        return Given(weights or None, side, seconds, head=head)
    start, trained = weights[0] if weights else None, []
    for number, split in enumerate(splits):
        start_weights, took = _from_pretext(job, added, benchmark, target, split, start, folder, device)
        trained.append(start_weights)
        seconds[number] += took
    return Given(trained, side, seconds)


def prepare_without_table(job: TrainingJob, unlabelled: Graphs, device: str) -> Given:
    """What a learned encoder is given where there are architectures and labels alone, as in `Predictor`.

    Args:
        job: the predictor with its members, whose rows are among its graphs.
        unlabelled: [N] what a pretext sees, those with labels first; with `unlabelled=train` it sees these alone.
        device: where pre-training runs.

    Raises:
        ArchrankError: a side input, a column of a table, or a source without training.
    """
    added, start = job.spec.additions, time.perf_counter()
    if added.side or (added.task and added.task.needs("proxy")) or (added.source and added.source.zero_shot):
        raise ArchrankError(
            f"{job.spec.label}: side inputs, pretexts with a proxy and zero_shot need a table, as `archrank run` has one; "
            "leave them out here"
        )
    weights: Sequence[Weights] = []
    head: Weights | None = None
    if added.source:
        labelled = [(table, added.source.metrics_of(table)) for table in map(load, added.source.tables)]
        source = train_on_source(job, added.source, labelled, device)
        weights = source.starts(job.members) or source.weights
        head = source.head if added.source.head else None
    if added.task:
        seen = unlabelled[: len(job.graphs)] if added.unlabelled == "train" else unlabelled
        made = partial(_made, job, weights[0] if weights else None)
        weights = [pretrain(made, added.task, seen, job.space, device)[0]]
    return Given(weights, None, [time.perf_counter() - start] * len(job.members), head=head)


def _from_pretext(
    job: TrainingJob,
    added: Additions,
    benchmark: Benchmark,
    target: str,
    split: Split | None,
    start: Weights | None,
    folder: Path,
    device: str,
) -> tuple[Weights, float]:
    task = added.task
    assert task is not None
    hidden = target if target in COSTS else None
    rows = unlabelled_rows(split) if added.unlabelled == "train" and split is not None else None
    seen = "all" if rows is None else hashlib.sha256(rows.tobytes()).hexdigest()
    source = (
        [added.source.text, *(table.content_hash for table in added.source.tables_for(benchmark))]
        if added.source
        else []
    )
    about = [task.text, task.source, benchmark.content_hash, hidden, seen, *source]
    path = path_of(folder, [*_encoder(job), *about, HARNESS_VERSION])

    def train() -> Weights:
        graphs = with_columns(benchmark, COSTS, target)
        if task.needs("proxy"):
            values = torch.tensor(np.array(benchmark.target(proxy_of(task))))
            graphs = graphs.with_columns({**graphs.columns, "proxy": values})
        graphs = graphs if rows is None else graphs[torch.from_numpy(rows)]
        return pretrain(partial(_made, job, start), task, graphs, benchmark.space, device)[0]

    return kept_weights(path, train)


def unlabelled_rows(split: Split) -> NDArray[np.int64]:
    """The rows that `unlabelled=train` lets a pretext see: sorted, those of the pool that are not tested."""
    rows = np.setdiff1d(split.pool, split.test)
    if len(rows) < 2:
        raise ArchrankError(
            "unlabelled=train: this protocol tests on every architecture, so that none is left for a pretext to see"
        )
    return rows


def _from_source(
    job: TrainingJob, source: LabelSource, benchmark: Benchmark, target: str, folder: Path, device: str
) -> tuple[FromSource, float]:
    """What training on labels of other tables gave, and the seconds it took."""
    labelled = [(table, source.targets_of(table, benchmark, target)) for table in source.tables_for(benchmark)]
    of = [[table.content_hash, metrics] for table, metrics in labelled]
    about = [
        source.labels,
        source.updates,
        source.devices,
        of,
        benchmark.content_hash,
        job.recipe.model_dump(mode="json"),
    ]
    path = path_of(folder, ["source and head", *_encoder(job), about, HARNESS_VERSION])
    tensors, took = kept_weights(path, lambda: train_on_source(job, source, labelled, device).tensors())
    return FromSource.of(tensors), took


def _made(job: TrainingJob, start: Weights | None, space: SearchSpace) -> nn.Module:
    made = build_encoder(job.encoder, space, job.config)
    return made if start is None else load_weights(made, start)


def _side_inputs(
    job: TrainingJob, sides: Sequence[SideInput], benchmark: Benchmark, target: str, folder: Path
) -> tuple[NDArray[np.float64] | None, float]:
    """The numbers [N, K] of all side inputs, and the seconds that pre-training those took that need one."""
    parts, seconds = [], 0.0
    for side in sides:
        if side.encoding is not None:
            other = make_job(parse(side.name)[0], job.recipe, benchmark.space, benchmark.graphs)
            features, took = encode_all(other, benchmark, target, folder)
            seconds += took if side.encoding.pretrained else 0.0
            parts.append(features)
        elif columns := side.columns(benchmark, target):
            parts.append(np.stack([benchmark.target(name) for name in columns], 1))
        else:
            metric: Any = side.name
            counts = cost(with_columns(benchmark, COSTS, target), benchmark.space, metric).double().numpy()
            parts.append(np.log(np.maximum(counts, 1e-9))[:, None])
    return (np.concatenate(parts, 1), seconds) if parts else (None, 0.0)


def _encoder(job: TrainingJob) -> list[Any]:
    """The encoder in an identity: its name, its options without those that say what is done before or beside it, and
    its source."""
    own = {name: value for name, value in job.config.items() if name not in GIVEN}
    return [job.spec.info.name, own, job.spec.info.source]


def kept_weights(path: Path, train: Callable[[], Weights]) -> tuple[Weights, float]:
    """Weights from the store, or trained and stored; and the seconds that took."""
    if (stored := read_weights(path)) is not None:
        return {name: torch.from_numpy(array) for name, array in stored[0].items()}, stored[1]
    start = time.perf_counter()
    weights = train()
    seconds = time.perf_counter() - start
    write_weights(path, {name: tensor.numpy() for name, tensor in weights.items()}, seconds)
    return weights, seconds
