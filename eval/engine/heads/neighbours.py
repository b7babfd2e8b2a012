"""Regressors by the labels of what lies near."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from archrank.eval.engine.heads import Fitted, Floats, regressor


@regressor("knn")
def knn(features: Floats, labels: Floats, seed: int, *, neighbours: int = 10) -> Fitted:
    """The mean label of the 10 nearest, weighed by the inverse of their distance (EmProx). Has a standard deviation.

    G. Franken et al., "EmProx: Neural Network Performance Estimation For Neural Architecture Search", 2022: a head on
    any encoding. neighbours: how many; all where there are fewer labels. Of architectures with an encoding that was
    labelled, the labels of that encoding count alone.
    """
    return Nearest(features, labels, neighbours)


class Nearest:
    """Training features [n, F] and labels [n] to look up."""

    def __init__(self, features: Floats, labels: Floats, neighbours: int) -> None:
        self.index = NearestNeighbors(n_neighbors=min(neighbours, len(features))).fit(features)
        self.labels = labels

    def _weighted(self, features: Floats) -> tuple[Floats, Floats]:
        """Labels of each row's neighbours, and their weights, which sum to 1: [n, k] both."""
        distances, rows = self.index.kneighbors(features)
        same = distances == 0
        weights = np.where(same.any(1, keepdims=True), same, 1 / np.where(same, 1.0, distances))
        return self.labels[rows], weights / weights.sum(1, keepdims=True)

    def predict(self, features: Floats) -> Floats:
        """Weighted means [n] of the neighbours' labels."""
        labels, weights = self._weighted(features)
        return np.asarray((labels * weights).sum(1), np.float64)

    def std(self, features: Floats) -> Floats:
        """Weighted deviations [n] of the neighbours' labels."""
        labels, weights = self._weighted(features)
        mean = (labels * weights).sum(1, keepdims=True)
        return np.asarray(np.sqrt((weights * (labels - mean) ** 2).sum(1)), np.float64)
