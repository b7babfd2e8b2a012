"""Plain English with the digits that the interval allows."""

from __future__ import annotations

from archrank.eval.statistics.results import Comparison, Interval

__all__ = ["rounded", "sentence"]


def rounded(interval: Interval, *, signed: bool = False, bare: bool = False) -> str:
    """E.g. "0.871 [0.852, 0.890]", "+0.031 [+0.012, +0.050]"; ``bare``: only the estimate, same digits."""
    raise NotImplementedError


def sentence(comparison: Comparison) -> str:
    """One sentence: who ranks better, where, by how much, over how many splits - or that nobody can tell.

    "flowerformer ranks better than gcn on nasbench201/c10_val at 78 labels: tau +0.031 [+0.012, +0.050] over 5 paired
    splits." / "flowerformer and gcn are not separable on ...: tau +0.004 [-0.010, +0.018] over 5 paired splits."
    """
    raise NotImplementedError
