"""The Gaussian process of head `gp`, fitted fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Length scales that are tried first (decades), how the best is refined, and ratios of noise to signal.
COARSE = np.linspace(-1, 2, 7)
REFINED = (0.25, 0.125, 0.0625)
RATIOS = np.logspace(-5, 3, 33)


@dataclass(frozen=True, eq=False)
class Process:
    """A fitted process.

    training: features [n, F], divided by `scale`. length: of the kernel. ratio: noise to signal variance. signal:
    variance. values, vectors: eigenvalues [n] and eigenvectors [n, n] of the kernel matrix. weights: labels [n] in
    their basis. mean, deviation: of the labels.
    """

    training: Floats
    scale: float
    length: float
    ratio: float
    signal: float
    values: Floats
    vectors: Floats
    weights: Floats
    mean: float
    deviation: float

    def predict(self, features: Floats, spread: bool = True) -> tuple[Floats, Floats]:
        """Mean and standard deviation [m], noise of the labels included, of features [m, F]; zeros for the deviation
        where no `spread` is asked."""
        basis = matern(distances(features / self.scale, self.training), self.length) @ self.vectors
        inverse = 1 / (self.values + self.ratio)
        mean = basis @ (inverse * self.weights) * self.deviation + self.mean
        if not spread:
            return mean, np.zeros(len(mean))
        variance = self.signal * np.maximum(1 + self.ratio - (basis * basis) @ inverse, 0.0)
        return mean, self.deviation * np.sqrt(variance)


def fit_process(features: Floats, labels: Floats) -> Process:
    """Maximise the marginal likelihood of a Matern 3/2 process with noise on features [n, F] and labels [n].

    The model is that of head `gp`: features divided by their total deviation, labels standardised, three
    hyperparameters. For one length scale the kernel matrix is decomposed once; then the likelihood of every ratio of
    noise to signal is a sum, and the signal's variance follows. So the search is over one number, and needs no
    gradient.
    """
    scale = float(np.sqrt(features.var(0).sum())) or 1.0
    training = features / scale
    mean, deviation = float(labels.mean()), float(labels.std()) or 1.0
    gaps, standard = distances(training, training), (labels - mean) / deviation
    tried = {float(at): _profile(gaps, standard, 10.0**at) for at in COARSE}
    for step in REFINED:
        best = max(tried, key=lambda at: tried[at][0])
        tried |= {at: _profile(gaps, standard, 10.0**at) for at in (best - step, best + step) if COARSE[0] <= at <= 2}
    best = max(tried, key=lambda at: tried[at][0])
    _, ratio, signal, values, vectors = tried[best]
    return Process(training, scale, 10.0**best, ratio, signal, values, vectors, vectors.T @ standard, mean, deviation)


def _profile(gaps: Floats, labels: Floats, length: float) -> tuple[float, float, float, Floats, Floats]:
    """For one length scale: the highest log likelihood (up to a constant), the ratio and the signal variance it has,
    eigenvalues and eigenvectors."""
    values, vectors = np.linalg.eigh(matern(gaps, length))
    values = np.maximum(values, 0.0)
    squares = (vectors.T @ labels) ** 2
    total = values + RATIOS[:, None]
    signal = np.maximum((squares / total).mean(1), 1e-12)
    likelihood = -0.5 * (len(labels) * np.log(signal) + np.log(total).sum(1))
    best = int(likelihood.argmax())
    return float(likelihood[best]), float(RATIOS[best]), float(signal[best]), values, vectors


def distances(first: Floats, other: Floats) -> Floats:
    """Euclidean distances [m, n] of rows [m, F] to rows [n, F]."""
    squares = (first * first).sum(1)[:, None] + (other * other).sum(1) - 2 * first @ other.T
    return np.sqrt(np.maximum(squares, 0.0))


def matern(gaps: Floats, length: float) -> Floats:
    """The Matern 3/2 kernel of distances."""
    scaled = gaps * (np.sqrt(3.0) / length)
    return np.asarray((1 + scaled) * np.exp(-scaled), np.float64)
