"""scikit-learn regressors on fixed encodings."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.eval.training import Member, Outcome, derive_seed


def regressor(kind: str, seed: int, spread: float = 1.0) -> Any:
    """The scikit-learn estimator behind a head: `ridge`, `gp`, `forest` or `boosting`, with fixed settings.

    Ridge sees standardised features, trees see them as they are. The Gaussian process sees all features divided by one number (their total deviation):
    standardising each would weigh a path that hardly ever occurs like one that tells architectures apart.
    """
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    if kind == "ridge":
        return make_pipeline(VarianceThreshold(), StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    if kind == "gp":
        kernel = ConstantKernel(1.0) * Matern(1.0, (1e-2, 1e2), nu=1.5) + WhiteKernel(0.1, (1e-4, 1e1))
        process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
        return make_pipeline(FunctionTransformer(kw_args={"by": spread}, func=_divided), process)
    if kind == "forest":
        return RandomForestRegressor(300, max_features=1 / 3, random_state=seed)
    if kind == "boosting":
        return GradientBoostingRegressor(n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8, random_state=seed)
    raise ValueError(f"unknown regressor '{kind}'")


def _divided(features: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    return features / by


def fit_predict(features: NDArray[np.float64], member: Member, kind: str) -> Outcome:
    """Fit on a member's training rows, predict its test rows. features float [N, F], one row per architecture of the benchmark."""
    train = features[member.train]
    model = regressor(kind, derive_seed(member.seed, "regressor") % 2**32, float(np.sqrt(train.var(0).sum())) or 1.0)
    notes: list[str] = []
    start = time.perf_counter()
    if not (train != train[0]).any():
        return Outcome(np.zeros(len(member.test)), 0.0, 0.0, 0, features.shape[1], problem="all training architectures have one encoding")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(train, member.labels)
    fit_s = time.perf_counter() - start
    notes += sorted({f"{kind}: {str(w.message).strip().splitlines()[0][:120]}" for w in caught if "Convergence" in w.category.__name__})
    start = time.perf_counter()
    predictions = np.asarray(model.predict(features[member.test]), np.float64)
    predict_s = time.perf_counter() - start
    encodings = None if member.encode is None else features[member.encode].astype(np.float32)
    return Outcome(predictions, fit_s, predict_s, 0, features.shape[1], encodings, notes)
