"""Fitting one predictor of a portfolio: to every part of the labels that leaves a fold out, and to all of them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.encoders.registry import Part
from archrank.encoders.reserved import RESERVED, split_options
from archrank.encoders.views import build
from archrank.eval.auto.combine import Scale
from archrank.eval.auto.pool import Floats, Pool
from archrank.eval.engine.batching import Member, Rows
from archrank.eval.engine.heads import Fitted
from archrank.eval.engine.heads.layers import Head
from archrank.eval.engine.predicting import predict, prepared
from archrank.eval.engine.pretraining import Weights, load_weights
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.engine.recipes import Recipe
from archrank.eval.engine.regressors import block_scales, fit_regressor, same_features
from archrank.eval.engine.training import Trained, fit

# Known architectures that new ones are encoded beside, to see that features do not depend on the company.
KNOWN = 2


class Models(Protocol):
    """M models of one kind, fitted to different parts of the labels."""

    def outputs(self, pool: Pool, rows: Rows) -> Floats:
        """What they give some architectures: float64 [M, len(rows)], higher is better."""
        ...


@dataclass(eq=False)
class Regressors:
    """A regressor on a fixed encoding.

    fitted: [M], each with the factors of its features. seen: float64 [KNOWN, F], the features of the first
    architectures that they were fitted to.
    """

    part: Part
    fitted: list[tuple[Fitted, Floats | float]]
    seen: Floats

    def outputs(self, pool: Pool, rows: Rows) -> Floats:
        """As `Models.outputs`. ArchrankError where the pool's known architectures have other features than before."""
        features, known = pool.features(self.part)[0], pool.known
        if known and not same_features(features[:known], self.seen[:known]):
            raise ArchrankError(
                f"{self.part.encoder_name} gives an architecture other features when it is encoded beside others, so that "
                "new ones do not fit what was fitted; leave it out of the portfolio"
            )
        return np.array([model.predict(features[rows] * factors) for model, factors in self.fitted], np.float64)


@dataclass(eq=False)
class Networks:
    """An ensemble of networks. layers: of their heads."""

    part: Part
    trained: Trained
    layers: Head

    def outputs(self, pool: Pool, rows: Rows) -> Floats:
        """As `Models.outputs`."""
        ensemble = self.trained.ensemble
        graphs = prepared(ensemble, pool.graphs)
        return np.array(predict(ensemble, graphs, [rows] * ensemble.size, weights=self.trained.average), np.float64)


@dataclass(eq=False)
class FittedPart:
    """A part after its fit.

    scale: of the outputs of its M models. used: the models whose mean is its prediction. held_out: float64 [n], for
    each labelled architecture what the model says that was not trained on it. seconds: of fitting, without encoding;
    pretrain_s: of the pre-training that it started from.
    """

    part: Part
    models: Models
    scale: Scale
    used: list[int]
    held_out: Floats
    seconds: float
    pretrain_s: float = 0.0

    def predict(self, pool: Pool, rows: Rows) -> Floats:
        """What every model says, on the scale of all: [M, len(rows)]."""
        return self.scale(self.models.outputs(pool, rows))


def fit_part(
    part: Part,
    pool: Pool,
    rows: Rows,
    labels: Floats,
    folds: NDArray[np.int64],
    recipe: Recipe,
    seed: int,
    *,
    device: torch.device | str = "cpu",
    compiled: bool = False,
) -> FittedPart:
    """Fit a part to labels [n] of rows [n], once without each fold (folds: int64 [n]) and once to all.

    Networks are the members of one ensemble: one for each fold, and `part.repeats` of all labels.
    """
    if part.learned and (
        given := {name for name, value in split_options(part.options)[1].items() if value != RESERVED[name].default}
        - {"view", "pretext"}
    ):
        raise ArchrankError(f"a part of a portfolio has no {', '.join(sorted(given))}")
    count = int(folds.max()) + 1
    models = training_rows(folds, count + (part.repeats if part.learned else 1))
    weights, pretrain_s = pool.start(part, device) if part.learned else (None, 0.0)
    start = time.perf_counter()
    fitted: Models
    if part.learned:
        fitted = _networks(part, pool, rows, labels, models, recipe, seed, weights, device, compiled)
    else:
        fitted = fit_regressors(part, pool, rows, labels, models, seed)
    outputs = fitted.outputs(pool, rows)
    seconds = time.perf_counter() - start
    scale = Scale.of(outputs, models)
    held_out = scale(outputs)[folds, np.arange(len(rows))]
    used = list(range(len(models))) if part.learned else [count]
    return FittedPart(part, fitted, scale, used, held_out, seconds, pretrain_s)


def training_rows(folds: NDArray[np.int64], models: int) -> list[Rows]:
    """Positions of the labels that each model is fitted to: those outside a fold [n] for one model each, all for the
    other ones."""
    count = int(folds.max()) + 1
    left = [np.flatnonzero(folds != fold) for fold in range(count)]
    return left + [np.arange(len(folds))] * (models - count)


def fit_regressors(part: Part, pool: Pool, rows: Rows, labels: Floats, models: Sequence[Rows], seed: int) -> Regressors:
    """Fit a head to labels [n] of rows [n]. models: positions in `rows` that each is fitted to."""
    features, blocks = pool.features(part)
    fitted: list[tuple[Fitted, Floats | float]] = []
    for chosen in models:
        training = features[rows[chosen]]
        factors: Floats | float = block_scales(training, blocks) if blocks else 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out labels judge the fit
            model = fit_regressor(part.head, training * factors, labels[chosen], seed, part.head_options)
        fitted.append((model, factors))
    return Regressors(part, fitted, features[rows[:KNOWN]])


def _networks(
    part: Part,
    pool: Pool,
    rows: Rows,
    labels: Floats,
    models: Sequence[Rows],
    recipe: Recipe,
    seed: int,
    weights: Weights | None,
    device: torch.device | str,
    compiled: bool,
) -> Networks:
    members = [
        Member(derive_seed(seed, f"{part.label}/{number}"), rows[chosen], labels[chosen], rows[:0])
        for number, chosen in enumerate(models)
    ]
    recipe = _of_part(recipe, part, min(len(chosen) for chosen in models))

    def made(member: Member, probe: Graphs) -> nn.Module:
        encoder = build(part.encoder, pool.space, part.options)
        return encoder if weights is None else load_weights(encoder, weights)

    trained = fit(
        made,
        pool.graphs,
        members,
        recipe,
        device=device,
        compiled=compiled,
        verified=part.built_in,
    )
    return Networks(part, trained, recipe.head)


def _of_part(recipe: Recipe, part: Part, least: int) -> Recipe:
    """The recipe with the part's own fields, its share of updates, and batches no larger than the `least` labels of a
    member."""
    fields: dict[str, Any] = {"batch": min(recipe.batch, least), **part.recipe}
    if recipe.updates is not None:
        fields["updates"] = max(1, round(recipe.updates * part.share))
    return recipe.model_copy(update=fields)
