"""scikit-learn regressors on fixed encodings, and rankings that need none."""

from __future__ import annotations

import re
import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin

from archrank.eval.engine.batching import Member, derive_seed
from archrank.eval.engine.training import Outcome


def regressor(kind: str, seed: int, spread: float = 1.0) -> Any:
    """The scikit-learn estimator behind a head: `ridge`, `gp`, `forest`, `boosting`, `dngo` or `none`, with fixed settings.

    Ridge sees standardised features, trees see them as they are. The Gaussian process sees all features divided by one number (their total deviation):
    standardising each would weigh a path that hardly ever occurs like one that tells architectures apart. DNGO (Snoek et al., "Scalable Bayesian
    Optimization Using Deep Neural Networks", ICML 2015) is Bayesian linear regression on `LastHidden` features of standardised ones. `none`
    fits nothing and predicts the encoding's one number.
    """
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from sklearn.linear_model import BayesianRidge, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    if kind == "ridge":
        return make_pipeline(VarianceThreshold(), StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    if kind == "gp":
        kernel = ConstantKernel(1.0) * Matern(1.0, (1e-2, 1e2), nu=1.5) + WhiteKernel(0.1, (1e-4, 1e1))
        process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
        return make_pipeline(FunctionTransformer(kw_args={"by": spread}, func=_divided), Span(), process)
    if kind == "forest":
        return RandomForestRegressor(300, max_features=1 / 3, random_state=seed)
    if kind == "boosting":
        return GradientBoostingRegressor(n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8, random_state=seed)
    if kind == "dngo":
        return make_pipeline(VarianceThreshold(), StandardScaler(), LastHidden(seed), BayesianRidge(max_iter=1000))
    if kind == "none":
        return AsItIs()
    raise ValueError(f"unknown regressor '{kind}'")


def _divided(features: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    return features / by


class Span(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Features [m, F] by their coordinates in the span of the n training rows, and their distance from it: [m, n + 1] where F is larger, else as they are.

    Every distance to a training row, which is all that a stationary process sees, stays what it was, at a cost of n numbers instead of F.
    """

    def fit(self, X: NDArray[np.float64], y: NDArray[np.float64] | None = None) -> Span:
        """Find the span of the training rows [n, F]."""
        self.basis_ = np.linalg.qr(X.T)[0] if X.shape[1] > len(X) + 1 else None
        return self

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """[m, n + 1], or X itself."""
        if self.basis_ is None:
            return X
        inside = X @ self.basis_
        outside = np.maximum((X * X).sum(1) - (inside * inside).sum(1), 0.0)
        return np.column_stack([inside, np.sqrt(outside)])


class LastHidden(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Features [n, 50]: the last hidden layer of a network trained on the labels by squared error.

    Three layers of 50 tanh units, 500 passes of Adam at 0.01 in batches of 10, as NASLib sets DNGO; scikit-learn's network with its weight decay (1e-4).
    """

    def __init__(self, seed: int = 0, layers: tuple[int, ...] = (50, 50, 50), passes: int = 500) -> None:
        self.seed, self.layers, self.passes = seed, layers, passes

    def fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> LastHidden:
        """Train the network on features [n, F] and labels [n]."""
        from sklearn.neural_network import MLPRegressor

        self.network_ = MLPRegressor(hidden_layer_sizes=self.layers, activation="tanh", solver="adam", learning_rate_init=0.01, batch_size=min(10, len(X)),
                                     max_iter=self.passes, n_iter_no_change=self.passes, random_state=self.seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")  # the number of passes is fixed on purpose
            self.network_.fit(X, y)
        return self

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Hidden states [n, 50] of features [n, F]."""
        for weights, biases in zip(self.network_.coefs_[:-1], self.network_.intercepts_[:-1]):
            X = np.tanh(X @ weights + biases)
        return X


class AsItIs(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts the one feature [n, 1] itself."""

    def fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> AsItIs:
        """Look at nothing. ValueError if there is more than one feature."""
        if X.shape[1] != 1:
            raise ValueError(f"an encoding that ranks by itself is one number; this one has {X.shape[1]}")
        self.n_features_in_ = 1
        return self

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """[n]."""
        return X[:, 0]


def fit_predict(features: NDArray[np.float64], member: Member, kind: str) -> Outcome:
    """Fit on a member's training rows, predict its test rows. features float [N, F], one row per architecture of the benchmark."""
    train = features[member.train]
    model = regressor(kind, derive_seed(member.seed, "regressor") % 2**32, float(np.sqrt(train.var(0).sum())) or 1.0)
    notes: list[str] = []
    start = time.perf_counter()
    if kind != "none" and not (train != train[0]).any():
        return Outcome(np.zeros(len(member.test)), 0.0, 0.0, 0, features.shape[1], problem="all training architectures have one encoding")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(train, member.labels)
    fit_s = time.perf_counter() - start
    notes += sorted({f"{kind}: {_sentence(str(w.message))}" for w in caught if "Convergence" in w.category.__name__})
    start = time.perf_counter()
    predictions = np.asarray(model.predict(features[member.test]), np.float64)
    predict_s = time.perf_counter() - start
    encodings = None if member.encode is None else features[member.encode].astype(np.float32)
    return Outcome(predictions, fit_s, predict_s, 0, features.shape[1], encodings, notes)


def _sentence(text: str) -> str:
    """The first sentence of a message."""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(text.split()), maxsplit=1)[0]
