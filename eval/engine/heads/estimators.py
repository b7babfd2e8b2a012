"""Fitted scikit-learn estimators, and those with its interface, as heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from archrank.eval.engine.heads import Floats


class Estimator:
    """model: fitted, with `predict`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, features: Floats) -> Floats:
        """Scores [n] of features [n, F]."""
        return np.asarray(self.model.predict(features), np.float64)


class EstimatorWithStd(Estimator):
    """model: fitted, whose `predict` takes `return_std`."""

    def std(self, features: Floats) -> Floats:
        """Standard deviation [n] of the prediction for features [n, F], noise of the labels included."""
        return np.asarray(self.model.predict(features, return_std=True)[1], np.float64)
