"""Regret over queries: how soon a search finds a good architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from archrank.reports.figures.ranking import NAMED_LINES, plain
from archrank.reports.style import HATCH, INK, Drawing, Palette, canvas, name_end, spread, style

__all__ = ["RegretCurve", "regret_curves"]


@dataclass(frozen=True)
class RegretCurve:
    """Mean test regret after each query [Q] with its 95 % band."""

    label: str
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def regret_curves(
    curves: Sequence[RegretCurve], expected: NDArray[np.float64], floor: float, palette: Palette, title: str, unit: str
) -> Drawing:
    """One panel, regret on a logarithmic scale, best search first in the names at the right; 560 x 340 pixels.

    expected: what random search expects exactly after each query [Q], a dashed line. floor: what no regret is drawn
    below. The first NAMED_LINES curves are drawn in colour and named, the rest as thin grey lines.
    """
    with style():
        figure = canvas(560, 340)
        named = curves[:NAMED_LINES]
        right = min(0.42, max((len(palette.name(curve.label, 34)) for curve in named), default=4) * 0.0125 + 0.04)
        ax = figure.add_axes((0.11, 0.13, 0.88 - right, 0.78))
        queries = np.arange(1, len(expected) + 1)
        ax.set_yscale("log")
        for curve in curves[NAMED_LINES:]:
            ax.plot(
                queries,
                np.maximum(curve.mean, floor),
                color=HATCH,
                linewidth=0.8,
                alpha=0.6,
                gid=palette.gid(curve.label),
            )
        for curve in reversed(named):
            colour, gid = palette.colour(curve.label), palette.gid(curve.label)
            ax.fill_between(
                queries,
                np.maximum(curve.low, floor),
                np.maximum(curve.high, floor),
                color=colour,
                alpha=0.1,
                linewidth=0,
                gid=gid,
            )
            ax.plot(
                queries,
                np.maximum(curve.mean, floor),
                color=colour,
                linestyle=palette.dash(curve.label),
                linewidth=1.4,
                gid=gid,
            )
        ax.plot(queries, np.maximum(expected, floor), color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_xlim(1, len(expected))
        low, high = np.log10(ax.get_ylim())
        ends = [float(np.log10(max(curve.mean[-1], floor))) for curve in named]
        gap = (high - low) * 12.5 / 262
        for curve, at, y in zip(named, ends, spread(ends, gap, low + gap / 3, high - gap / 3)):
            name_end(
                ax,
                plain(palette.name(curve.label, 34)),
                (queries[-1], 10**at),
                10**y,
                palette.colour(curve.label),
                palette.gid(curve.label),
                1.03,
            )
        ax.set_xlabel("evaluated architectures (queries)", labelpad=2)
        ax.set_title(plain(title))
        ax.set_ylabel(f"test regret{unit}", labelpad=2)
        return Drawing(figure)
