"""Figures of cost (tau against seconds and throughput) and of what an encoder sees (its encodings in the plane)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrank.reports.fig_ranking import plain, short
from archrank.reports.style import GRID, HATCH, INK, MUTED, Palette, canvas, spread, style, svg_text

__all__ = ["Price", "encoding_map", "pareto"]

# Low to high score; every step is visible on white and on the dark ground alike.
SCORE_STEPS = ("#5a4fcf", "#3f78cf", "#1d8a99", "#00936b", "#7f9420", "#c98a1b", "#d55e00")


@dataclass(frozen=True)
class Price:
    """What a predictor reaches and costs: value with interval, and the cost on the figure's axis."""

    label: str
    value: float
    low: float
    high: float
    cost: float


def pareto(points: Sequence[Price], palette: Palette, title: str, axis: str, *, cheap: str, value: str = "Kendall τ") -> str:
    """Value against cost on a logarithmic axis with the Pareto front; `cheap` is "low" or "high". 430 x 290 pixels."""
    with style():
        figure = canvas(430, 290)
        ax = figure.add_axes((0.105, 0.155, 0.87, 0.735))
        cost = np.array([p.cost for p in points])
        ax.set_xscale("log")
        room = 10 ** (0.14 * max(np.log10(cost.max() / cost.min()), 0.6))
        ax.set_xlim(cost.min() / room, cost.max() * room)
        low, high = min(p.low for p in points), max(p.high for p in points)
        ax.set_ylim(low - 0.07 * (high - low + 1e-3), high + 0.12 * (high - low + 1e-3))
        front = _front(points, cheap)
        edge = ax.get_xlim()[1 if cheap == "low" else 0]
        xs = [p.cost for p in front] + [edge]
        ys = [p.value for p in front] + [front[-1].value]
        ax.step(xs, ys, where="post", color=HATCH, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        for p in points:
            colour, gid = palette.colour(p.label), palette.gid(p.label)
            ax.plot([p.cost, p.cost], [p.low, p.high], color=colour, linewidth=2, alpha=0.45, gid=gid)
            ax.plot([p.cost], [p.value], palette.mark(p.label), color=colour, markersize=6, gid=gid)
        _names(ax, points, palette)
        ax.set_xlabel(axis, labelpad=2)
        ax.set_title(plain(short(title, 52)))
        ax.text(0, 1.0, f"{value} ↑", transform=ax.transAxes, ha="right", va="bottom", color=MUTED, fontsize=8)
        return svg_text(figure)


def _front(points: Sequence[Price], cheap: str) -> list[Price]:
    """The points no other beats in both, from cheap to dear."""
    ordered = sorted(points, key=lambda p: (p.cost if cheap == "low" else -p.cost, -p.value))
    front: list[Price] = []
    for p in ordered:
        if not front or p.value > front[-1].value:
            front.append(p)
    return front


def _names(ax: object, points: Sequence[Price], palette: Palette) -> None:
    """Names beside the marks; those of near neighbours are moved apart up and down."""
    from matplotlib.axes import Axes

    assert isinstance(ax, Axes)
    low, high = ax.get_ylim()
    left, right = np.log10(ax.get_xlim())
    gap = (high - low) * 12.5 / 213
    across = np.array([(np.log10(p.cost) - left) / (right - left) for p in points])
    for side in ("left", "right"):
        chosen = [i for i in range(len(points)) if (across[i] <= 0.58) == (side == "left")]
        ys = spread([points[i].value for i in chosen], gap, low + gap / 2, high - gap / 2)
        for i, y in zip(chosen, ys):
            p = points[i]
            arrow = {"arrowstyle": "-", "color": palette.colour(p.label), "linewidth": 0.5, "alpha": 0.5, "shrinkA": 0,
                     "shrinkB": 3}
            shift = 1.0 + 0.022 * (right - left) * np.log(10)
            x = p.cost * shift if side == "left" else p.cost / shift
            ax.annotate(plain(short(p.label)), (p.cost, p.value), (x, y), va="center", fontsize=8.2,
                        ha="left" if side == "left" else "right", color=palette.colour(p.label), arrowprops=arrow,
                        gid=palette.gid(p.label))


def encoding_map(place: NDArray[np.float64], score: NDArray[np.float64], label: str, palette: Palette, note: str) -> str:
    """Encodings in the plane [N, 2], coloured by the septile of the true score; 215 x 225 pixels.

    All points of a septile are one path of dots, so that a map takes a few kilobytes.
    """
    with style():
        figure = canvas(215, 225)
        ax = figure.add_axes((0.03, 0.03, 0.94, 0.86))
        ax.grid(False)
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ("top", "right", "left", "bottom"):
            ax.spines[side].set_visible(True)
            ax.spines[side].set_color(GRID)
        order = np.argsort(np.argsort(score, kind="stable"), kind="stable")
        step = order * len(SCORE_STEPS) // len(order)
        for k, colour in enumerate(SCORE_STEPS):
            at = place[step == k]
            dots = np.repeat(at, 3, axis=0)
            dots[2::3] = np.nan
            ax.plot(dots[:, 0], dots[:, 1], color=colour, linewidth=3.6, alpha=0.75, solid_capstyle="round")
        ax.set_title(plain(short(label, 17)), color=palette.colour(label), fontsize=9.5, pad=4)
        ax.text(1, 1.018, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=8.2, color=INK)
        return svg_text(figure)
