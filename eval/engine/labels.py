"""What a loss sees of the training scores. Always turned so that higher is better, and fitted on the training labels
alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.registry import Registry

__all__ = ["LABELS", "LabelTransform", "label_transform", "transform"]

Values = NDArray[np.float64]


@dataclass(frozen=True)
class LabelTransform:
    """A label transform by its name. function: see `label_transform`."""

    name: str
    function: Callable[[Values, str, str], Values]


def label_transform(name: str) -> Callable[[Callable[[Values, str, str], Values]], LabelTransform]:
    """Register a label transform: `(scores, direction, unit) -> labels`, float64 [n] both.

    scores: of the training architectures, turned so that higher is better. direction, unit: of the target ("min" scores
    were negated).
    """

    def attach(function: Callable[[Values, str, str], Values]) -> LabelTransform:
        return LabelTransform(name, function)

    return attach


LABELS: Registry[LabelTransform] = Registry("label transform", "labels", __name__, LabelTransform, ("label_transform",))


def transform(scores: Values, kind: str, direction: str = "max", unit: str = "%") -> Values:
    """Labels [n] from raw training scores [n]. kind: a name of `LABELS`. direction, unit: of the target."""
    values = np.asarray(scores, np.float64) * {"max": 1.0, "min": -1.0}[direction]
    return LABELS[kind].function(values, direction, unit)


@label_transform("normal")
def normal(values: Values, direction: str, unit: str) -> Values:
    """Normal scores of the ranks, ties sharing the mean rank: Blom's (r - 3/8) / (n + 1/4)."""
    from scipy.stats import norm, rankdata

    return np.asarray(norm.ppf((rankdata(values) - 0.375) / (len(values) + 0.25)), np.float64)


@label_transform("standard")
def standard(values: Values, direction: str, unit: str) -> Values:
    """Mean 0 and deviation 1; a constant becomes 0."""
    spread = values.std()
    return (values - values.mean()) / (spread if spread > 0 else 1.0)


@label_transform("raw")
def raw(values: Values, direction: str, unit: str) -> Values:
    """The scores themselves."""
    return values


@label_transform("unit")
def unit_interval(values: Values, direction: str, unit: str) -> Values:
    """Into [0, 1] for a sigmoid output: percent divided by 100, a fraction as it is, any other from its smallest to its
    largest value."""
    if direction == "max" and unit in ("%", "fraction"):
        return values / (100.0 if unit == "%" else 1.0)
    span = float(np.ptp(values))
    return (values - values.min()) / span if span > 0 else np.full_like(values, 0.5)
