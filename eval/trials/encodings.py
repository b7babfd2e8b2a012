"""Fixed encodings of whole benchmarks: computed once, those of a pre-training kept in the store by content."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.datasets.graphs import Graphs
from archrank.encoders.registry import columns_of
from archrank.eval.engine.regressors import checked_features
from archrank.eval.trials.job import TrainingJob
from archrank.eval.trials.pretrained import kept_encoding, path_of
from archrank.eval.trials.trial import HARNESS_VERSION


def encode_all(job: TrainingJob, benchmark: Benchmark, target: str, folder: Path) -> tuple[NDArray[np.float64], float]:
    """A fixed encoding of every architecture of a benchmark: [N, F], and the seconds that took, pre-training included.

    A pre-trained encoding is kept in the store under the hash of its source, configuration, table and hidden target.

    Args:
        job: with the encoding and its options.
        benchmark: whose architectures are encoded.
        target: what will be predicted; the encoding is not given it as a column.
        folder: the store.

    Raises:
        ValueError: what the encoding's function gave is not a finite, real number for each architecture and feature.
    """
    info = job.spec.info
    columns = columns_of(job.encoder)
    hidden = target if target in columns else None

    def encode() -> torch.Tensor:
        return checked_features(info.name, job.encode(with_columns(benchmark, columns, target)), len(benchmark))

    if info.pretrained:
        identity = [info.name, job.config, info.source, benchmark.content_hash, hidden, HARNESS_VERSION]
        return kept_encoding(path_of(folder, identity), len(benchmark), lambda: encode().numpy())
    start = time.perf_counter()
    features = encode().double().numpy()
    return features, time.perf_counter() - start


def with_columns(benchmark: Benchmark, names: Iterable[str], hidden: str = "") -> Graphs:
    """A benchmark's graphs and what its table says of them in some of its columns.

    The graphs are others than `benchmark.graphs`, which learned encoders are given whatever their target. A column with
    missing values is left out: what stands in for it must not be mixed with it.

    Args:
        benchmark: whose table is read.
        names: of columns; those that the table lacks are left out.
        hidden: the target, which is left out: no label of a test architecture may reach an encoding.
    """
    columns = {name: benchmark.target(name) for name in names if name != hidden and name in benchmark.targets}
    return benchmark.graphs.with_columns(
        {name: torch.tensor(np.array(column)) for name, column in columns.items() if np.isfinite(column).all()}
    )
