"""Ensembles of trees. They see features as they are, and run on one thread."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor

from archrank.eval.engine.heads import Fitted, Floats, regressor
from archrank.eval.engine.heads.estimators import Estimator


@regressor("forest")
def forest(features: Floats, labels: Floats, seed: int, *, trees: int = 300) -> Fitted:
    """A random forest; a third of the features at each split. Has a standard deviation."""
    return Forest(RandomForestRegressor(trees, max_features=1 / 3, random_state=seed).fit(features, labels))


@regressor("extra_trees")
def extra_trees(features: Floats, labels: Floats, seed: int, *, trees: int = 200) -> Fitted:
    """Extremely randomised trees (Geurts et al., Machine Learning 63, 2006); a third of the features at each split. Has
    a standard deviation."""
    return Forest(ExtraTreesRegressor(trees, max_features=1 / 3, random_state=seed).fit(features, labels))


class Forest(Estimator):
    """A fitted forest of scikit-learn, with the deviation of F. Hutter et al., "Algorithm runtime prediction",
    Artificial Intelligence 206 (2014)."""

    def std(self, features: Floats) -> Floats:
        """[n]: by the law of total variance, from the mean and variance of the training labels in each tree's leaf."""
        columns = np.asarray(features, np.float32)
        first, second = np.zeros(len(columns)), np.zeros(len(columns))
        for tree in self.model.estimators_:
            leaf = tree.apply(columns)
            mean = tree.tree_.value[leaf, 0, 0]
            first += mean
            second += tree.tree_.impurity[leaf] + mean**2
        count = len(self.model.estimators_)
        return np.sqrt(np.maximum(second / count - (first / count) ** 2, 0.0))


@regressor("quantile_forest", requires="quantile_forest")
def quantile_forest(features: Floats, labels: Floats, seed: int, *, trees: int = 300) -> Fitted:
    """A quantile regression forest (needs archrank[boosting]): the median, and half the width of the middle 68 %. Has a
    standard deviation.

    N. Meinshausen, "Quantile Regression Forests", JMLR 7 (2006): quantiles of the training labels, each weighed by how
    often it shares a leaf with what is predicted.
    """
    from quantile_forest import RandomForestQuantileRegressor

    model = RandomForestQuantileRegressor(trees, max_features=1 / 3, random_state=seed, n_jobs=1)
    return QuantileForest(model.fit(features, labels))


class QuantileForest(Estimator):
    """A fitted quantile regression forest."""

    def predict(self, features: Floats) -> Floats:
        """Medians [n]."""
        return np.asarray(self.model.predict(features, quantiles=0.5), np.float64)

    def std(self, features: Floats) -> Floats:
        """[n]: half of what lies between the quantiles 0.16 and 0.84, of a normal distribution its deviation."""
        low, high = np.asarray(self.model.predict(features, quantiles=[0.16, 0.84]), np.float64).T
        return (high - low) / 2


@regressor("boosting")
def boosting(
    features: Floats, labels: Floats, seed: int, *, trees: int = 300, rate: float = 0.05, depth: int = 3
) -> Fitted:
    """Gradient boosting, scikit-learn's: 300 trees of depth 3, each on four fifths of the labels."""
    model = GradientBoostingRegressor(
        n_estimators=trees, learning_rate=rate, max_depth=depth, subsample=0.8, random_state=seed
    )
    return Estimator(model.fit(features, labels))


@regressor("xgboost", requires="xgboost")
def xgboost(
    features: Floats, labels: Floats, seed: int, *, trees: int = 500, rate: float = 0.3, depth: int = 6
) -> Fitted:
    """Gradient boosting by XGBoost, as NASLib sets it (needs archrank[boosting])."""
    from xgboost import XGBRegressor

    model = XGBRegressor(
        n_estimators=trees, learning_rate=rate, max_depth=depth, min_child_weight=1, random_state=seed, n_jobs=1
    )
    return Estimator(model.fit(features, labels))


@regressor("lightgbm", requires="lightgbm")
def lightgbm(
    features: Floats, labels: Floats, seed: int, *, trees: int = 500, rate: float = 0.05, leaves: int = 31
) -> Fitted:
    """Gradient boosting by LightGBM, as NASLib sets it (needs archrank[boosting])."""
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(
        n_estimators=trees,
        learning_rate=rate,
        num_leaves=leaves,
        min_child_samples=5,
        colsample_bytree=0.9,
        subsample=0.8,
        subsample_freq=5,
        random_state=seed,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
    )
    return Estimator(model.fit(features, labels))
