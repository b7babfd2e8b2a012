"""Medians, ratios and exponents of raw samples. No torch here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from archrank.eval.bench.results import Sample


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some repeats."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Iterable[float]) -> Spread | None:
    """None where there is no value."""
    finite = [value for value in values if math.isfinite(value)]
    return Spread(float(np.median(finite)), min(finite), max(finite), len(finite)) if finite else None


def select(samples: Iterable[Sample], **fields: object) -> list[Sample]:
    """The samples whose fields have these values."""
    return [sample for sample in samples if all(sample.get(name) == value for name, value in fields.items())]


def clock(samples: Sequence[Sample]) -> str:
    """The field that says what work took: `cpu`, the steadier, on a CPU; `wall` on any other device, for which the CPU
    only waits."""
    return "cpu" if all(sample["machine"]["device"] == "cpu" for sample in samples) else "wall"


def ratios(samples: Sequence[Sample], above: str, below: str, field: str) -> Spread | None:
    """`field` of variant `above` over that of `below`, repeat by repeat: both were measured right after one another."""
    under = {sample["repeat"]: sample[field] for sample in select(samples, variant=below)}
    return spread(
        sample[field] / under[sample["repeat"]]
        for sample in select(samples, variant=above)
        if under.get(sample["repeat"], 0) > 0
    )


@dataclass(frozen=True)
class Growth:
    """cost ~ size ** exponent, fitted by least squares of logarithms on the sizes from `first` to `last` (`points` of
    them)."""

    exponent: float
    first: float
    last: float
    points: int


def growth(sizes: Sequence[float], costs: Sequence[float]) -> Growth | None:
    """The exponent over the upper half of the range: sizes at or above the geometric mean of the smallest and the
    largest, two at least.

    Below it fixed costs flatten every curve. None with fewer than two sizes.
    """
    pairs = sorted((x, y) for x, y in zip(sizes, costs) if x > 0 and y > 0)
    if len({x for x, _ in pairs}) < 2:
        return None
    middle = math.sqrt(pairs[0][0] * pairs[-1][0])
    upper = [pair for pair in pairs if pair[0] >= middle * (1 - 1e-9)]
    if len({x for x, _ in upper}) < 2:
        upper = pairs[-2:]
    x, y = np.log([pair[0] for pair in upper]), np.log([pair[1] for pair in upper])
    return Growth(float(np.polyfit(x, y, 1)[0]), upper[0][0], upper[-1][0], len(upper))


def distinct(samples: Iterable[Sample], key: Callable[[Sample], str]) -> list[str]:
    """The values of `key` in the order of their first appearance."""
    return list(dict.fromkeys(key(sample) for sample in samples))


def roofline_seconds(bound: Sample, kind: str, scale: float = 1) -> tuple[float, float]:
    """Seconds of arithmetic and of bytes that `scale` times a member's `step`, or a `score` of one architecture, take
    at the measured rates."""
    return scale * bound[f"{kind}_flops"] / bound["flops_s"], scale * bound[f"{kind}_bytes"] / bound["bytes_s"]
