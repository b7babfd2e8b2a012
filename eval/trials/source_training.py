"""Training an encoder on labels of other tables: weights that read the benchmark's architectures, and what the trained
predictor says of them as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archrank.datasets import Benchmark
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.datasets.union import called, union
from archrank.encoders.views import build as build_encoder
from archrank.eval.engine.batching import Member
from archrank.eval.engine.labels import transform
from archrank.eval.engine.predicting import predict
from archrank.eval.engine.pretraining import COMPARED, cut, prepared
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.engine.training import Trained
from archrank.eval.metrics import spearman
from archrank.eval.trials.job import TrainingJob
from archrank.eval.trials.sources import LabelSource

Weights = dict[str, Tensor]
Rows = NDArray[np.int64]
SCORES, HEAD = "scores", "head"


@dataclass(frozen=True, eq=False)
class FromSource:
    """What training on a source gave, for all its tables together, or for each of D devices.

    weights: of the encoder for the benchmark's space, D times. scores: what the trained predictor says of the
    benchmark's architectures, float [D, N], higher is better; [D, 0] of encoders that compare pairs. head: weights of
    its head.
    """

    weights: Sequence[Weights]
    scores: NDArray[np.float64]
    head: Weights

    def closest(self, rows: Rows, labels: NDArray[np.float64]) -> int:
        """The device whose order of labelled architectures [n] is closest to that of their labels (NASFLAT's choice of
        the embedding that a new device starts from); the first one where none orders them."""
        agreement = [spearman(labels, scores[rows]) for scores in self.scores]
        return int(np.argmax(np.nan_to_num(agreement, nan=-1.0)))

    def starts(self, members: Sequence[Member]) -> list[Weights]:
        """Of several devices, the weights of the closest to each member's labels; nothing of one."""
        several = members if len(self.weights) > 1 else ()
        return [self.weights[self.closest(member.train, member.labels)] for member in several]

    def tensors(self) -> Weights:
        """All of it as tensors by name."""
        named = {
            f"{number}/{name}": part
            for number, device_weights in enumerate(self.weights)
            for name, part in device_weights.items()
        }
        head = {f"{HEAD}/{name}": part for name, part in self.head.items()}
        return named | head | {SCORES: torch.from_numpy(self.scores)}

    @staticmethod
    def of(tensors: Weights) -> FromSource:
        """From what `tensors` gave."""
        scores = tensors[SCORES].numpy()
        parts: dict[str, Weights] = {HEAD: {}, **{str(number): {} for number in range(len(scores))}}
        for name, part in tensors.items():
            where, slash, own = name.partition("/")
            if slash:
                parts[where][own] = part
        head = parts.pop(HEAD)
        return FromSource([*parts.values()], scores, head)


@dataclass(frozen=True, eq=False)
class LabelledPart:
    """Labelled architectures of one table, or of one device of it: graphs [n], labels [n], their space, and the same
    with the operations of a device."""

    graphs: Graphs
    labels: NDArray[np.float64]
    origin: SearchSpace
    space: SearchSpace


def train_on_source(
    job: TrainingJob, source: LabelSource, labelled: Sequence[tuple[Benchmark, Sequence[str]]], device: str
) -> FromSource:
    """Train the job's encoder and head on labels of other tables, all as one: operations matched by name, labels
    brought to normal scores within each table.

    Several metrics of one table are devices, after NASFLAT (Akhauri and Abdelfattah, MLSys 2024): an operation on a
    device has an embedding of its own, which is one operation of the space for each device here, and all other weights
    are shared. The weights of a device are those with its operations in the place of the job's.

    Args:
        job: the predictor, with the architectures [N] that it will read. source: what it is trained on. labelled: the
            tables, each with the metrics that are trained on.
        device: where it trains.

    Raises:
        ArchrankError: the spaces cannot be one, or the encoder's weights cannot be carried over.
    """
    parts = [
        part for table, metrics in labelled for part in labelled_parts(table, metrics, source.labels, source.devices)
    ]
    space, places = union(job.space, [part.space for part in parts])
    graphs = joined([part.graphs for part in parts], places, space.max_nodes)
    rows = np.arange(len(graphs))
    member = Member(0, rows, np.concatenate([part.labels for part in parts]), rows[:0])
    elsewhere = job.moved(space, graphs).with_recipe(updates=source.updates, epochs=None)
    trained = elsewhere.with_members([member]).fit(device=device)
    named: list[Tensor | None] = [None]
    if source.devices:
        named = [_named(job.space, part.origin, place) for part, place in zip(parts, places)]
    scores = [_scores(trained, _renamed(job.graphs, ops).pad(space.max_nodes)) for ops in named]
    network = trained.ensemble.skeleton
    held = {**trained.ensemble.parameters, **trained.ensemble.buffers}
    network.load_state_dict({name: tensor[0] for name, tensor in held.items()}, strict=False)
    wide, few, weights = network.get_submodule("encoder").cpu(), job.graphs[:COMPARED].plain(), []
    for ops in named:
        narrow = prepared(build_encoder(job.encoder, job.space, job.config))
        weights.append(cut(wide, narrow, _renamed(few, ops).pad(space.max_nodes), few, ops))
    head = {} if trained.pairs else {n: part.cpu() for n, part in network.get_submodule("head").state_dict().items()}
    return FromSource(weights, np.stack(scores), head)


def labelled_parts(table: Benchmark, metrics: Sequence[str], count: int, devices: bool = False) -> list[LabelledPart]:
    """Up to `count` architectures of a table, drawn once for all its metrics, with labels of each metric. devices:
    whether each metric is a device, with operations of its own."""
    parts = []
    for name in metrics:
        scores, drawn = table.target(name), np.random.default_rng(derive_seed(0, table.name))
        chosen = drawn.permutation(np.flatnonzero(np.isfinite(scores)))[:count]
        labels = transform(scores[chosen], "normal", table.direction(name), table.unit(name))
        space = table.space
        if devices:
            space = replace(space, ops=tuple(f"{op}@{name}" for op in space.ops), roles={})
        parts.append(LabelledPart(table.graphs[torch.from_numpy(chosen)].plain(), labels, table.space, space))
    return parts


def _named(space: SearchSpace, other: SearchSpace, place: Rows) -> Tensor:
    """For every operation of `space` the id in the joint space of the one like it in another; its own where there is
    none. place: ids of the other's operations there."""
    ids = {called(other, op): int(place[op]) for op in range(len(other.ops))}
    return torch.tensor([ids.get(called(space, op), op) for op in range(len(space.ops))])


def _renamed(graphs: Graphs, ops: Tensor | None) -> Graphs:
    """Graphs with the operations of a device."""
    own = graphs.plain()
    return own if ops is None else own.with_tensors({**own.tensors(), "ops": torch.where(own.mask, ops[own.ops], 0)})


def joined(graphs: Sequence[Graphs], places: Sequence[Rows], nodes: int) -> Graphs:
    """The graphs of several spaces as one, operations by their places in a joint space, padded to its size."""
    parts = [_renamed(own, torch.from_numpy(place)).pad(nodes) for own, place in zip(graphs, places)]
    return parts[0].with_tensors(
        {name: torch.cat([part.tensors()[name] for part in parts]) for name in parts[0].tensors()}
    )


def _scores(trained: Trained, graphs: Graphs) -> NDArray[np.float64]:
    """What the trained predictor says of architectures [N], float [N]; [0] of one that compares pairs."""
    if trained.pairs:
        return np.empty(0)
    graphs = graphs.to(trained.ensemble.device)
    probe = graphs[:2]
    with torch.no_grad():
        trained.ensemble.skeleton(probe, "embed")
    return predict(trained.ensemble, graphs.prepare(probe), [np.arange(len(graphs))], weights=trained.average)[0]
