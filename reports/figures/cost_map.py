"""Figures of cost (tau against seconds and throughput) and of what an encoder sees (its encodings in the plane)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from archrank.reports.figures.ranking import plain, short
from archrank.reports.style import GRID, HATCH, INK, MUTED, PAPER, Drawing, Palette, annotate, canvas, leader, style

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


def pareto(
    points: Sequence[Price], palette: Palette, title: str, axis: str, *, cheap: str, unit: str = "", value: str = "τ"
) -> Drawing:
    """Value against cost on a logarithmic axis with the Pareto front; `cheap` is "low" or "high", `unit` the cost's.
    430 x 290 pixels."""
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
            known = f" [{p.low:.3f}, {p.high:.3f}]" if p.high > p.low else ""
            tip = palette.gid(p.label, f"{p.label}: {value} {p.value:.3f}{known} at {p.cost:.3g} {unit}".rstrip())
            ax.plot([p.cost], [p.value], palette.mark(p.label), color=colour, markersize=6, gid=tip)
        _names(ax, points, palette)
        _ticks(ax, unit)
        ax.set_xlabel(axis, labelpad=2)
        ax.set_title(plain(short(title, 52)))
        ax.text(-0.02, 1.0, f"{value} ↑", transform=ax.transAxes, ha="right", va="bottom", color=MUTED, fontsize=8)
        return Drawing(figure)


def _front(points: Sequence[Price], cheap: str) -> list[Price]:
    """The points no other beats in both, from cheap to dear."""
    ordered = sorted(points, key=lambda p: (p.cost if cheap == "low" else -p.cost, -p.value))
    front: list[Price] = []
    for p in ordered:
        if not front or p.value > front[-1].value:
            front.append(p)
    return front


def _ticks(ax: Axes, unit: str) -> None:
    """Ticks at 1, 2, 5 times powers of ten, few enough to stand apart, with the prefixes of the SI: 20 ms, 100 k."""
    low, high = ax.get_xlim()
    steps: tuple[float, ...] = (1, 2, 5) if high / low < 300 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [s * 10.0**k for k in powers for s in steps if low <= s * 10.0**k <= high]
    ax.set_xticks(ticks[:: 1 + len(ticks) // 8])
    ax.xaxis.set_major_formatter(EngFormatter(unit, sep=" " if unit else "\N{THIN SPACE}"))
    ax.minorticks_off()


def _names(ax: Axes, points: Sequence[Price], palette: Palette) -> None:
    """A name beside every mark, on the side and at the height where it touches no other name and no mark."""
    wide, tall = 374.0, 213.0
    left, right = np.log10(ax.get_xlim())
    low, high = ax.get_ylim()
    at = [((math.log10(p.cost) - left) / (right - left) * wide, (p.value - low) / (high - low) * tall) for p in points]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in at]
    for p, (x, y) in zip(points, at):
        name = palette.name(p.label)
        length = 6.4 * len(name)
        tries = [(side, lift) for lift in (0, 9, -9, 14, -14, 22, -22, 31, -31, 40, -40, 52, -52) for side in (1, -1)]
        boxes = [
            (x + 9 if side > 0 else x - 9 - length, y + lift - 6, x + 9 + length if side > 0 else x - 9, y + lift + 6)
            for side, lift in tries
        ]
        inside = [k for k, box in enumerate(boxes) if box[0] > 2 and box[2] < wide - 2 and box[1] > 0 and box[3] < tall]
        free = [k for k in inside if not any(_touch(boxes[k], other) for other in taken)]
        best = (free or inside or [0])[0]
        side, lift = tries[best]
        taken.append(boxes[best])
        annotate(
            ax,
            plain(name),
            (p.cost, p.value),
            (9 * side * 0.75, lift * 0.75),
            textcoords="offset points",
            va="center",
            ha="left" if side > 0 else "right",
            fontsize=8.2,
            color=palette.colour(p.label),
            arrowprops=leader(palette.colour(p.label), 3) if lift else None,
            gid=palette.gid(p.label),
            bbox={"boxstyle": "square,pad=0.1", "facecolor": PAPER, "alpha": 0.75, "linewidth": 0},
        )


def _touch(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def encoding_map(
    place: NDArray[np.float64], score: NDArray[np.float64], label: str, palette: Palette, note: str
) -> Drawing:
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
        ax.set_title(plain(palette.name(label)), color=palette.colour(label), fontsize=8.8, pad=4)
        ax.text(1, 1.018, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=8.2, color=INK)
        return Drawing(figure)
