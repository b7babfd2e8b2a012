"""Gaussian processes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from archrank.eval.engine.heads import Fitted, Floats, regressor
from archrank.eval.engine.heads.estimators import EstimatorWithStd


@regressor("gp")
def gp(features: Floats, labels: Floats, seed: int) -> Fitted:
    """A Gaussian process with a Matern 3/2 kernel, its scales by maximum likelihood. Has a standard deviation.

    All features are divided by one number, their total deviation: standardising each would weigh a path that hardly
    ever occurs like one that tells architectures apart.
    """
    return EstimatorWithStd(gp_pipeline(seed, float(np.sqrt(features.var(0).sum())) or 1.0).fit(features, labels))


def gp_pipeline(seed: int, spread: float) -> Any:
    """The scikit-learn pipeline of `gp`: features divided by `spread`, their coordinates in the span of the training
    rows, the process."""
    kernel = ConstantKernel(1.0) * Matern(1.0, (1e-2, 1e2), nu=1.5) + WhiteKernel(0.1, (1e-4, 1e1))
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    return make_pipeline(FunctionTransformer(kw_args={"by": spread}, func=_divided), Span(), process)


def _divided(features: Floats, by: float) -> Floats:
    return features / by


class Span(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Features [m, F] by their coordinates in the span of the n training rows, and their distance from it: [m, n + 1]
    where F is larger, else as they are.

    Every distance to a training row, which is all that a stationary process sees, stays what it was, at a cost of n
    numbers instead of F.
    """

    def fit(self, X: Floats, y: Floats | None = None) -> Span:
        """Find the span of the training rows [n, F]."""
        self.basis_ = np.linalg.qr(X.T)[0] if X.shape[1] > len(X) + 1 else None
        return self

    def transform(self, X: Floats) -> Floats:
        """[m, n + 1], or X itself."""
        if self.basis_ is None:
            return X
        inside = X @ self.basis_
        outside = np.maximum((X * X).sum(1) - (inside * inside).sum(1), 0.0)
        return np.column_stack([inside, np.sqrt(outside)])
