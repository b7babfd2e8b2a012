"""From labels back to scores in their own unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoreScale:
    """The monotone map from labels to scores that the labelled architectures show: linear between them, and beyond the
    first and last with the slope of the tenth next to the end.

    labels: float64 [n], increasing. scores: float64 [n].
    """

    labels: Floats
    scores: Floats

    @classmethod
    def of(cls, labels: Floats, scores: Floats) -> ScoreScale:
        """From the labels [n] of some scores [n]."""
        first = np.unique(labels, return_index=True)[1]
        return cls(labels[first], scores[first])

    def __call__(self, labels: Floats) -> Floats:
        """Scores [T] of labels [T]."""
        scores = np.interp(labels, self.labels, self.scores)
        tenth = max(1, len(self.labels) // 10)
        for end, inner in ((0, tenth), (-1, -1 - tenth)):
            inner = int(np.clip(inner, -len(self.labels), len(self.labels) - 1))
            run = self.labels[end] - self.labels[inner]
            slope = (self.scores[end] - self.scores[inner]) / run if run else 0.0
            beyond = labels < self.labels[0] if end == 0 else labels > self.labels[-1]
            scores = np.where(beyond, self.scores[end] + slope * (labels - self.labels[end]), scores)
        return scores
