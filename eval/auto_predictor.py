"""One predictor made of several, for a table of one's own: a scikit-learn style estimator around a portfolio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.registry import Portfolio
from archrank.eval import auto_saved as saved
from archrank.eval.auto.pool import Pool
from archrank.eval.auto.portfolio import PartReport, fit_portfolio
from archrank.eval.auto.scores import ScoreScale
from archrank.eval.engine.device import check_device
from archrank.eval.engine.labels import transform
from archrank.eval.engine.recipes import Recipe, common_recipe
from archrank.eval.engine.threads import limited
from archrank.eval.fitted_portfolio import QUANTILE, interval_beside, pool_without_table
from archrank.eval.given import checked_graphs, checked_scores
from archrank.eval.metrics import kendall
from archrank.eval.saved import SpaceHeader, check_same, space_of, write
from archrank.eval.statistics.kendall import kendall_interval
from archrank.eval.trials.job import check_without_table
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import Spec, parse

Floats = NDArray[np.float64]


class AutoPredictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """The best predictor archrank can make from some labels: `AutoPredictor(space).fit(graphs, scores)`.

    Several kinds of predictors are cross-validated inside the labels, weighted by what they say of held-out ones, and
    the errors of the whole are calibrated (`archrank list encoders`, `auto`).

    space: the search space the graphs belong to; a graph must have no edge outside `space.support`. portfolio: what it
    is made of, as on the command line (`auto[preset=fast]`, `auto[limit=60]`), or a function marked `@portfolio`.
    recipe: how its networks are trained, a name or a YAML file. direction: `max` if high scores are good. seed: folds,
    weights, order. Predictions are in the unit of the scores. After `fit`: `tau_`, Kendall's tau between scores and
    cross-validated predictions, and `tau_interval_`, its 95 % interval.
    """

    def __init__(
        self,
        space: SearchSpace | None = None,
        portfolio: Any = "auto",
        recipe: str = "common",
        direction: str = "max",
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.space = space
        self.portfolio = portfolio
        self.recipe = recipe
        self.direction = direction
        self.seed = seed
        self.device = device

    @limited(1)
    def fit(self, X: Graphs, y: ArrayLike, pool: Graphs | None = None) -> AutoPredictor:
        """Fit to graphs [n] with scores [n].

        pool: architectures without scores, those that will be predicted, say; networks are pre-trained on their graphs
        and those of X, unless the portfolio says `unlabelled=train`.

        ArchrankError if anything does not fit the space or each other, or are too few to hold some out.
        """
        check_device(self.device)
        X = checked_graphs(X, self.space, "AutoPredictor")
        scores = checked_scores(y, len(X), self.direction, self.seed)
        pool = None if pool is None else checked_graphs(pool, self.space, "AutoPredictor")
        self.scores_, self.graphs_ = scores, X.plain().to("cpu")
        self.labels_ = transform(scores, self._recipe().labels, self.direction, "")
        known, rows = self._pool(X, pool), np.arange(len(X))
        self.fitted_ = fit_portfolio(
            self._portfolio(), known, rows, self.labels_, self._recipe(), self.seed, device=self.device
        )
        return self._with_scale()

    def _with_scale(self) -> AutoPredictor:
        self.scale_ = ScoreScale.of(self.labels_, self.scores_)
        self.tau_ = self.fitted_.tau
        self.tau_interval_ = kendall_interval(self.labels_, self.fitted_.held_out)
        self.n_features_in_ = self.graphs_.nodes
        return self

    def predict(self, X: Graphs, return_std: bool = False) -> Any:
        """Scores [n] in their unit; with `return_std` also their deviations [n]: 1.645 of them on either side are an
        interval that holds the score of 90 % of architectures like those it was fitted to."""
        low, middle, high = self.interval(X)
        return (middle, (high - low) / (2 * QUANTILE)) if return_std else middle

    def interval(self, X: Graphs, level: float = 0.9) -> tuple[Floats, Floats, Floats]:
        """Lower end, prediction and upper end [n] of intervals that hold a score with probability `level`."""
        check_is_fitted(self, "fitted_")
        X = checked_graphs(X, self.space, "AutoPredictor")
        assert self.space is not None
        mean, half = interval_beside(self.fitted_, self.space, self.graphs_, X, level)
        ends = [self.scale_(mean + shift) for shift in (-half, half)]
        return np.minimum(*ends), self.scale_(mean), np.maximum(*ends)

    def score(self, X: Graphs, y: ArrayLike, sample_weight: None = None) -> float:
        """Kendall's tau-b between predictions and scores y [n]."""
        return kendall(np.asarray(y, np.float64), self.predict(X), "max")

    def explain(self) -> dict[str, Any]:
        """What was fitted: `tau` with its `interval`, `parts` (name, weight, tau on held-out labels, seconds; the
        heaviest first), `refused` (what was left out, and why), `labels` and `seconds`."""
        check_is_fitted(self, "fitted_")
        parts: list[PartReport] = self.fitted_.explain(self.labels_)
        return {
            "tau": self.tau_,
            "interval": list(self.tau_interval_),
            "parts": [vars(part) for part in parts],
            "refused": dict(self.fitted_.refused),
            "labels": len(self.scores_),
            "seconds": self.fitted_.seconds,
        }

    def save(self, path: Path | str) -> None:
        """Weights and labelled architectures as safetensors, the rest as JSON in their header. Regressors are fitted
        again when it is loaded, which gives what they were."""
        check_is_fitted(self, "fitted_")
        assert self.space is not None
        spec = self._spec()
        write(
            path,
            saved.PortfolioHeader(
                portfolio=spec.info.name,
                options=spec.config,
                recipe=str(self.recipe),
                direction=self.direction,  # type: ignore[arg-type]  # checked in fit
                seed=int(self.seed),
                space=SpaceHeader.of(self.space),
                **saved.described(self.fitted_),
            ),
            saved.tensors_of(self.fitted_, self.graphs_, self.scores_, self.space, self.predict(self.graphs_)),
        )

    @classmethod
    def load(cls, path: Path | str, portfolio: Any = None) -> AutoPredictor:
        """A saved predictor, ready to predict.

        portfolio: the function of a portfolio that is not built in; nothing that the file names is imported.
        ArchrankError for a file that `save` did not write, or if it would predict otherwise than when it was saved.
        """
        header, tensors = saved.load(path)
        name = saved.portfolio_of(path, header, portfolio)
        space = space_of(path, header.space, tensors)
        made = cls(space, {"name": name, **header.options}, header.recipe, header.direction, header.seed)
        made.graphs_, made.scores_ = saved.labelled(path, tensors, space)
        made.labels_ = transform(made.scores_, made._recipe().labels, made.direction, "")
        made.fitted_ = saved.restored(path, header, tensors, made._portfolio(), made._pool(made.graphs_), made.labels_)
        predictions = made._with_scale().predict(made.graphs_)
        asked = "was it saved with other versions of scikit-learn or archrank?"
        check_same(path, tensors["probe/scores"], predictions, asked)
        return made

    def _spec(self) -> Spec:
        spec = parse(self.portfolio, "here")[0]
        if not spec.info.portfolio:
            raise ArchrankError(f"AutoPredictor takes portfolios such as auto; {spec.label} is a single predictor")
        check_without_table(spec)
        return spec

    def _portfolio(self) -> Portfolio:
        spec = self._spec()
        made: Portfolio = spec.info.load()(self.space, **spec.own_config)
        return made

    def _recipe(self) -> Recipe:
        return common_recipe(find_recipe(self.recipe))

    def _pool(self, graphs: Graphs, others: Graphs | None = None) -> Pool:
        assert self.space is not None
        return pool_without_table(self._spec(), self.space, graphs, others)
