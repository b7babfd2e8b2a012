"""Predictions of trees that were trained on labels of other tables, as columns beside fixed encodings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archrank.datasets import Benchmark
from archrank.datasets.union import union
from archrank.encoders.features.base import base
from archrank.eval.engine.regressors import fit_regressor
from archrank.eval.trials.pretrained import kept_encoding, path_of
from archrank.eval.trials.source_training import joined, labelled_parts
from archrank.eval.trials.sources import LabelSource
from archrank.eval.trials.trial import HARNESS_VERSION

Floats = NDArray[np.float64]


def source_features(source: LabelSource, benchmark: Benchmark, target: str, folder: Path) -> tuple[Floats, float]:
    """What trees trained on a source predict of every architecture of a benchmark, and the seconds that took.

    archrank's own. Extremely randomised trees learn normal scores of up to `source.labels` architectures of each table
    and metric from `base` features in the space of both, operations matched by name. No label of the benchmark is read.
    Kept in the store by content.

    Args:
        source: tables and metrics.
        benchmark: with N architectures.
        target: what will be predicted of them; no column is trained on it, nor on another score of its training.
        folder: the store.

    Returns:
        Columns, float64 [N, S], one for each table and metric, higher is better; and seconds.

    Raises:
        ArchrankError: a table serves not, or `base` has too many features in the joint space.
    """
    tables = [(table, source.targets_of(table, benchmark, target)) for table in source.tables_for(benchmark)]
    of = [[table.content_hash, metrics] for table, metrics in tables]
    path = path_of(folder, ["source features", benchmark.content_hash, of, source.labels, HARNESS_VERSION])

    def predict() -> Floats:
        return np.concatenate([_columns(benchmark, table, metrics, source.labels) for table, metrics in tables], 1)

    return kept_encoding(path, len(benchmark), predict)


def _columns(benchmark: Benchmark, table: Benchmark, metrics: Sequence[str], labels: int) -> Floats:
    """Columns [N, M], one for each metric of a table."""
    space, (place,) = union(benchmark.space, [table.space])
    here = base(benchmark.graphs.plain().pad(space.max_nodes), space).double().numpy()
    columns = []
    for part in labelled_parts(table, metrics, labels):
        there = base(joined([part.graphs], [place], space.max_nodes), space).double().numpy()
        columns.append(fit_regressor("extra_trees", there, part.labels, seed=0).predict(here))
    return np.stack(columns, 1)
