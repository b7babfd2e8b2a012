"""Linear regressors, on features or on those that a network finds."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import BayesianRidge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from archrank.eval.engine.heads import Fitted, Floats, regressor
from archrank.eval.engine.heads.estimators import Estimator, EstimatorWithStd


@regressor("ridge")
def ridge(features: Floats, labels: Floats, seed: int) -> Fitted:
    """Ridge regression on standardised features, its penalty by leave-one-out cross-validation."""
    return Estimator(
        make_pipeline(VarianceThreshold(), StandardScaler(), RidgeCV(np.logspace(-2, 4, 13))).fit(features, labels)
    )


@regressor("dngo")
def dngo(features: Floats, labels: Floats, seed: int, *, passes: int = 500) -> Fitted:
    """Bayesian linear regression on the last hidden layer of a network (DNGO). Has a standard deviation.

    J. Snoek et al., "Scalable Bayesian Optimization Using Deep Neural Networks", ICML 2015. passes: of training the
    network over the labels.
    """
    return EstimatorWithStd(dngo_pipeline(seed, passes).fit(features, labels))


def dngo_pipeline(seed: int, passes: int = 500) -> Any:
    """The scikit-learn pipeline of `dngo`: features that vary, standardised, `LastHidden`, Bayesian ridge
    regression."""
    return make_pipeline(
        VarianceThreshold(), StandardScaler(), LastHidden(seed, passes=passes), BayesianRidge(max_iter=1000)
    )


class LastHidden(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Features [n, 50]: the last hidden layer of a network trained on the labels by squared error.

    Three layers of 50 tanh units, 500 passes of Adam at 0.01 in batches of 10, as NASLib sets DNGO; scikit-learn's
    network with its weight decay (1e-4).
    """

    def __init__(self, seed: int = 0, layers: tuple[int, ...] = (50, 50, 50), passes: int = 500) -> None:
        self.seed, self.layers, self.passes = seed, layers, passes

    def fit(self, X: Floats, y: Floats) -> LastHidden:
        """Train the network on features [n, F] and labels [n]."""
        from sklearn.neural_network import MLPRegressor

        self.network_ = MLPRegressor(
            hidden_layer_sizes=self.layers,
            activation="tanh",
            solver="adam",
            learning_rate_init=0.01,
            batch_size=min(10, len(X)),
            max_iter=self.passes,
            n_iter_no_change=self.passes,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Stochastic Optimizer: Maximum iterations"
            )  # the number of passes is fixed on purpose
            self.network_.fit(X, y)
        return self

    def transform(self, X: Floats) -> Floats:
        """Hidden states [n, 50] of features [n, F]."""
        for weights, biases in zip(self.network_.coefs_[:-1], self.network_.intercepts_[:-1]):
            X = np.tanh(X @ weights + biases)
        return X
