"""What an encoder makes of architectures: its stored encodings in the plane, and how smooth they are in the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from archrank.datasets import Benchmark
from archrank.reports.study import Study

__all__ = ["Encoded", "encoded", "principal", "smoothness", "tsne"]

MOST_POINTS = 120


@dataclass(frozen=True)
class Encoded:
    """Encodings [N, F] of test architectures (rows `index` [N] of the table) by one trial, with their true scores
    [N]."""

    label: str
    seed: int
    index: NDArray[np.int64]
    encoding: NDArray[np.float64]
    score: NDArray[np.float64]


def encoded(study: Study, table: Benchmark, frame: pd.DataFrame, labels: Sequence[str], target: str) -> list[Encoded]:
    """The first stored encodings of every label among the done trials of `frame` (one task, one budget; target: the
    score they were tested on)."""
    out = []
    scores = table.oriented(target)
    for label in labels:
        rows = frame[(frame["label"] == label) & (frame["status"] == "done")].sort_values("seed")
        for key, seed in zip(rows["key"], rows["seed"]):
            stored = study.encodings(key, table)
            if stored is None:
                continue
            index, encoding = stored
            if len(index) >= 10:
                out.append(Encoded(label, int(seed), index, encoding, scores[index]))
            break
    return out


def principal(encoding: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The first two principal components [N, 2], signs fixed, and the share of variance they hold (0 if there is
    none)."""
    centred = encoding - encoding.mean(0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    if not size.size or size[0] <= 1e-12:
        return np.zeros((len(encoding), 2)), 0.0
    place = np.zeros((len(encoding), 2))
    held = min(2, size.size)
    place[:, :held] = left[:, :held] * size[:held]
    # The sign of a component is arbitrary; fixing it keeps the picture the same everywhere.
    place *= np.where(place[np.abs(place).argmax(0), [0, 1]] < 0, -1.0, 1.0)
    return place, float((size[:2] ** 2).sum() / (size**2).sum())


def tsne(encoding: NDArray[np.float64]) -> NDArray[np.float64]:
    """t-SNE [N, 2] (van der Maaten and Hinton, 2008; scikit-learn's), started from the principal components."""
    from sklearn.manifold import TSNE

    with threadpool_limits(1):  # sums in one order: the same picture every time
        model = TSNE(2, perplexity=min(30.0, len(encoding) / 4), init="pca", random_state=0, max_iter=400, n_jobs=1)
        return np.asarray(model.fit_transform(encoding), dtype=float)


def smoothness(points: Encoded) -> float:
    """Spearman's correlation, over all pairs, between the distance of two encodings and the difference of their scores.

    Positive: near encodings have similar scores, the property CATE (Yan et al., ICML 2021) argues for. NaN where all
    encodings or all scores are equal.
    """
    apart = pdist(points.encoding)
    differ = pdist(points.score[:, None])
    if np.ptp(apart) <= 1e-12 or np.ptp(differ) <= 1e-12:
        return float("nan")
    return float(spearmanr(apart, differ).statistic)
