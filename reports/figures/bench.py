"""Figures of `archrank bench`: how many times as long other variants take, and how cost grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from archrank.eval.bench.summary import Spread
from archrank.reports.figures.ranking import plain
from archrank.reports.style import COLOURS, INK, MUTED, Drawing, Palette, canvas, style

__all__ = ["Line", "growth_figure", "ratio_figure"]


@dataclass(frozen=True)
class Line:
    """Cost [s] by size, and the roofline bound [s] under it."""

    label: str
    sizes: tuple[float, ...]
    costs: tuple[float, ...]
    bounds: tuple[float, ...]


def ratio_figure(rows: Sequence[tuple[str, dict[str, Spread]]], variants: Sequence[str], title: str) -> Drawing:
    """For each encoder, a mark and its range for every variant: CPU seconds of the variant over those of the ensemble,
    on a logarithmic axis."""
    with style():
        height = 78 + 15 * sum(len(measured) + 0.6 for _, measured in rows)
        figure = canvas(560, height)
        ax = figure.add_axes((0.27, 42 / height, 0.7, 1 - 78 / height))
        ax.set_xscale("log")
        place, ticks = 0.0, []
        for label, measured in rows:
            ticks.append((place + (len(measured) - 1) / 2, label))
            for variant in [w for w in variants if w in measured]:
                number, s = variants.index(variant), measured[variant]
                colour = COLOURS[number][0]
                ax.plot([s.low, s.high], [place, place], color=colour, linewidth=2.4, alpha=0.5)
                ax.plot([s.median], [place], "osD^"[number % 4], color=colour, markersize=6)
                ax.annotate(
                    f"{s.median:.2g}",
                    (s.high, place),
                    (5, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    color=colour,
                )
                place += 1
            place += 0.6
        ax.axvline(1, color=INK, linewidth=1)
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, 0.8), high * 1.25)
        _ticks(ax, "x")
        ax.set_yticks([at for at, _ in ticks], [plain(label) for _, label in ticks])
        ax.set_ylim(place - 0.6, -1)
        ax.set_xlabel("CPU time per step and member, in times of the ensemble's", labelpad=2, x=0.4)
        ax.set_title(plain(title), x=-0.37)
        for number, variant in enumerate(variants):
            ax.plot([], [], "osD^"[number % 4], color=COLOURS[number][0], label=variant)
        figure.legend(
            loc="upper right", ncols=len(variants), frameon=False, fontsize=8.5, handletextpad=0.2, borderaxespad=0.1
        )
        return Drawing(figure)


def growth_figure(lines: Sequence[Line], palette: Palette, title: str, axis: str) -> Drawing:
    """Seconds against size, both logarithmic; the roofline bound of each encoder is dashed. 430 x 270 pixels."""
    with style():
        figure = canvas(430, 270)
        ax = figure.add_axes((0.125, 0.155, 0.68, 0.735))
        ax.set_xscale("log")
        ax.set_yscale("log")
        for line in lines:
            colour = palette.colour(line.label)
            ax.plot(line.sizes, line.costs, palette.mark(line.label), linestyle="-", color=colour)
            if line.bounds:
                ax.plot(
                    line.sizes[: len(line.bounds)],
                    line.bounds,
                    linestyle=(0, (3, 2)),
                    color=colour,
                    linewidth=1.2,
                    alpha=0.8,
                )
            ax.annotate(
                plain(line.label),
                (line.sizes[-1], line.costs[-1]),
                (6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.2,
                color=colour,
                annotation_clip=False,
            )
        _ticks(ax, "x")
        _ticks(ax, "y")
        ax.set_xlabel(axis, labelpad=2)
        ax.set_title(plain(title))
        ax.text(-0.02, 1.0, "s", transform=ax.transAxes, ha="right", va="bottom", color=MUTED, fontsize=8)
        if any(line.bounds for line in lines):
            ax.text(
                1.27,
                -0.115,
                "dashed: roofline bound",
                transform=ax.transAxes,
                ha="right",
                va="top",
                color=MUTED,
                fontsize=8,
            )
        return Drawing(figure)


def _ticks(ax: Axes, which: str) -> None:
    """Few ticks at 1, 2, 5 times powers of ten, as plain numbers."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    low, high = ax.get_xlim() if which == "x" else ax.get_ylim()
    steps = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [s * 10.0**k for k in powers for s in steps if low <= s * 10.0**k <= high]
    ticks = ticks[:: 1 + len(ticks) // 8]
    axis.set_ticks(ticks, [f"{t:,.0f}" if t >= 1 else f"{t:g}" for t in ticks])
    axis.set_minor_locator(NullLocator())
