"""Heads: from encodings to scores. A neural head is layers that the harness trains; a regressor is fitted to fixed
encodings.

A module per kind; listing them imports neither torch nor scikit-learn.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError
from archrank.datasets.registry import Registry

if TYPE_CHECKING:
    from archrank.eval.engine.heads.layers import Head

__all__ = [
    "HEADS",
    "Fitted",
    "FittedWithStd",
    "NeuralHead",
    "PredictorHead",
    "Regressor",
    "head_layers",
    "is_neural",
    "neural_head",
    "regressor",
]

Floats = NDArray[np.float64]


class Fitted(Protocol):
    """A regressor after its fit."""

    def predict(self, features: Floats) -> Floats:
        """Scores [n] of features [n, F], higher is better."""
        ...


@runtime_checkable
class FittedWithStd(Fitted, Protocol):
    """One that also knows how sure it is."""

    def std(self, features: Floats) -> Floats:
        """Standard deviation [n] of what it predicts for features [n, F], >= 0, in the unit of the labels."""
        ...


@dataclass(frozen=True)
class PredictorHead:
    """A head by its name."""

    name: str


@dataclass(frozen=True)
class NeuralHead(PredictorHead):
    """layers: `(**options) -> Head`; see `neural_head`."""

    layers: Callable[..., Head]


@dataclass(frozen=True)
class Regressor(PredictorHead):
    """fit: `(features, labels, seed, **options) -> Fitted`; see `regressor`. requires: a package that it needs beyond
    archrank's own."""

    fit: Callable[..., Fitted]
    requires: str = ""

    def check_installed(self) -> None:
        """ArchrankError, with the command that installs it, where the package it requires is missing."""
        if self.requires and importlib.util.find_spec(self.requires) is None:
            raise ArchrankError(
                f"head {self.name} needs the package {self.requires}: pip install 'archrank[boosting]', or {self.requires} alone"
            )


def neural_head(name: str) -> Callable[[Callable[..., Head]], NeuralHead]:
    """Register a neural head: a function without positional arguments that gives its layers. Keyword-only arguments are
    options, `+mlp[dropout=0.1]`."""

    def attach(function: Callable[..., Head]) -> NeuralHead:
        return NeuralHead(name, function)

    return attach


def regressor(name: str, *, requires: str = "") -> Callable[[Callable[..., Fitted]], Regressor]:
    """Register a regressor: a function `(features, labels, seed, *, options)` that fits and returns an object with
    `predict`, and `std` if it can.

    features: float64 [n, F]. labels: float64 [n], higher is better. seed: below 2**32, the member's own. What it
    returns need not be scikit-learn's. Keyword-only arguments are options, `+forest[trees=100]`. requires: the package
    that must be installed.
    """

    def attach(function: Callable[..., Fitted]) -> Regressor:
        return Regressor(name, function, requires)

    return attach


HEADS: Registry[PredictorHead] = Registry("head", "heads", __name__, PredictorHead, ("neural_head", "regressor"))


def is_neural(name: str) -> bool:
    """Whether the harness trains that head, as its source says; imports nothing. ArchrankError for an unknown name."""
    return HEADS.find(name).marker == "neural_head"


def head_layers(name: str, **options: Any) -> Head:
    """The layers of a neural head. ArchrankError for a regressor."""
    head = HEADS[name]
    if not isinstance(head, NeuralHead):
        raise ArchrankError(f"head {name} has no layers; it is a regressor")
    return head.layers(**options)
