"""Fixed encodings of whole benchmarks: computed once, those of a pre-training kept in the store by content."""

from __future__ import annotations

import hashlib
import json
import time
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.datasets.graphs import Graphs
from archrank.encoders.layers.complexity import Metric
from archrank.eval.trials.job import TrainingJob
from archrank.eval.trials.pretrained import read_pretrained, write_pretrained
from archrank.eval.trials.trial import NUMERICS


def encode_all(job: TrainingJob, benchmark: Benchmark, target: str, folder: Path) -> tuple[NDArray[np.float64], float]:
    """A fixed encoding of every architecture of a benchmark: [N, F], and the seconds that took, pre-training included.

    A pre-trained encoding is kept in the store under the hash of its source, configuration, table and hidden target.

    Args:
        job: with the encoding and its options.
        benchmark: whose architectures are encoded.
        target: what will be predicted; a cost itself is then hidden from the encoding.
        folder: the store.

    Raises:
        ValueError: what the encoding's function gave is not a finite, real number for each architecture and feature.
    """
    info = job.spec.info
    hidden = target if target in get_args(Metric) else None
    identity = json.dumps([info.name, job.config, info.source, benchmark.table, hidden, NUMERICS], sort_keys=True)
    path = folder / "pretraining" / f"{hashlib.sha256(identity.encode()).hexdigest()}.safetensors"
    if info.pretrained and (stored := read_pretrained(path, len(benchmark))) is not None:
        return stored[0].astype(np.float64), stored[1]
    start = time.perf_counter()
    features = checked_features(info.name, job.encode(with_costs(benchmark, hidden)), len(benchmark))
    seconds = time.perf_counter() - start
    if info.pretrained:
        write_pretrained(path, features.numpy(), seconds)
    return features.double().numpy(), seconds


def checked_features(name: str, features: Any, count: int) -> torch.Tensor:
    """What an encoding's function gave for so many architectures, [count, F] on the CPU; ValueError unless it holds
    finite, real numbers."""
    found = torch.as_tensor(features).detach().cpu()
    if found.dim() != 2 or len(found) != count:
        raise ValueError(f"encoding '{name}' must give [N, F]; for {count} architectures it gave {list(found.shape)}")
    if found.is_complex():
        raise ValueError(
            f"encoding '{name}' gives complex numbers; give real ones, such as their real and imaginary parts or magnitudes"
        )
    if not found.double().isfinite().all():
        raise ValueError(f"encoding '{name}' gives values that are not finite")
    return found


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
            graphs.derive(f"cost/{metric}", partial(column_of, counts))
    return graphs


def column_of(values: NDArray[np.float64], _: Graphs) -> torch.Tensor:
    """A column of the table [N] as a derivation of the graphs of all its rows."""
    return torch.tensor(np.array(values))
