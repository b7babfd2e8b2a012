"""Figures about order: intervals of every predictor, sample-efficiency curves, the matrix of paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.io.visible import visible
from archrank.reports.style import (
    BAD,
    GOOD,
    GRID,
    HATCH,
    INK,
    MUTED,
    PAPER,
    Drawing,
    Palette,
    canvas,
    name_end,
    spread,
    style,
)

__all__ = ["IntervalRow", "Published", "Series", "curves", "forest", "pairwise", "short"]

NAMED_LINES = 14
LEAST_AXIS = 150
MOST_LETTERS = 24


@dataclass(frozen=True)
class IntervalRow:
    """A value with its 95 % interval, and the tier letters of its predictor. outer: a second, wider interval, drawn as
    a thin line."""

    label: str
    value: float
    low: float
    high: float
    tier: str = ""
    text: str = ""
    outer: tuple[float, float] | None = None


@dataclass(frozen=True)
class Series:
    """A curve over label budgets: mean and 95 % band ([B] each, NaN where a result is missing)."""

    label: str
    budgets: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Published:
    """A published value under the same protocol, drawn as a hollow mark; `number` refers to the list of sources."""

    label: str | None
    budget: float
    value: float
    number: int


def short(text: str, limit: int = 19) -> str:
    """A label that fits beside a mark."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain(text: str) -> str:
    """Text that can be drawn: characters that XML does not know are shown escaped."""
    return visible(text)


def forest(rows: Sequence[IntervalRow], palette: Palette) -> Drawing:
    """Point and interval of every predictor, best on top, tier letters on the right, the first `MOST_LETTERS` of them;
    460 pixels wide, or as wide as names and letters need beside `LEAST_AXIS` pixels for the intervals."""
    height = 56 + 24 * len(rows)
    left = 14 + 7.9 * max((len(palette.name(row.label)) for row in rows), default=4)
    letters = [short(row.tier, MOST_LETTERS) for row in rows]
    right = 62 + max([42.0, *(7.6 * len(tier) for tier in letters)])
    width = max(460.0, left + LEAST_AXIS + right)
    axis = width - left - right
    with style():
        figure = canvas(width, height)
        ax = figure.add_axes((left / width, 40 / height, axis / width, 1 - 48 / height))
        for place, row in enumerate(rows):
            y = len(rows) - 1 - place
            colour, gid = palette.colour(row.label), palette.gid(row.label)
            if row.outer is not None:
                ax.plot(row.outer, [y, y], color=colour, linewidth=1.0, alpha=0.7, gid=gid)
            thick = 3 if row.outer is None else 5
            ax.plot(
                [row.low, row.high], [y, y], color=colour, linewidth=thick, alpha=0.45, gid=gid, solid_capstyle="round"
            )
            tip = f"{row.label}: {row.value:.3f} [{row.low:.3f}, {row.high:.3f}], tier {row.tier}"
            ax.plot(
                [row.value], [y], palette.mark(row.label), color=colour, markersize=6.5, gid=palette.gid(row.label, tip)
            )
            beside: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "gid": gid}
            ax.text(
                -10 / axis,
                y,
                plain(palette.name(row.label)),
                ha="right",
                color=colour,
                fontweight="bold",
                **beside,
            )
            ax.text(1 + 12 / axis, y, plain(row.text), color=INK, **beside)
            tier = {"color": MUTED, "fontweight": "bold"} | beside
            ax.text(1 + 60 / axis, y, letters[place], **tier)
        if any(row.outer is not None for row in rows):
            # The wide intervals may be ten times the narrow ones, which are what the letters rest on: the axis is for
            # those.
            low, high = min(row.low for row in rows), max(row.high for row in rows)
            ax.set_xlim(low - 0.3 * (high - low), high + 0.3 * (high - low))
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("Kendall τ  →")
        ax.locator_params(axis="x", nbins=5)
        return Drawing(figure)


def curves(
    series: Sequence[Series],
    palette: Palette,
    title: str,
    *,
    ceiling: float | None = None,
    published: Sequence[Published] = (),
) -> Drawing:
    """One panel of sample-efficiency curves with bands, labelled at their right ends; 430 x 300 pixels.

    The first NAMED_LINES series are drawn in colour and named, the rest as thin grey lines.
    """
    with style():
        figure = canvas(430, 300)
        right = min(0.4, max((len(palette.name(s.label)) for s in series[:NAMED_LINES]), default=4) * 0.0165 + 0.045)
        ax = figure.add_axes((0.105, 0.15, 0.885 - right, 0.745))
        budgets = sorted({float(b) for s in series for b in s.budgets})
        ax.set_xscale("log")
        _limits(ax, series, ceiling, published)
        for s in series[NAMED_LINES:]:
            ax.plot(s.budgets, s.value, color=HATCH, linewidth=0.8, alpha=0.6, gid=palette.gid(s.label))
        for s in reversed(series[:NAMED_LINES]):
            colour, gid = palette.colour(s.label), palette.gid(s.label)
            ax.fill_between(s.budgets, s.low, s.high, color=colour, alpha=0.12, linewidth=0, gid=gid)
            ax.plot(
                s.budgets,
                s.value,
                color=colour,
                linestyle=palette.dash(s.label),
                gid=gid,
                clip_on=False,
                zorder=3,
            )
            for budget, value, low, high in zip(s.budgets, s.value, s.low, s.high):
                if np.isfinite(value):
                    known = f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
                    tip = palette.gid(s.label, f"{s.label}, {budget:g} labels: {value:.3f}{known}")
                    ax.plot([budget], [value], palette.mark(s.label), color=colour, gid=tip, clip_on=False, zorder=3)
        _ends(ax, series[:NAMED_LINES], palette)
        if ceiling is not None:
            ax.axhline(ceiling, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
            ax.annotate(
                f"noise ceiling {ceiling:.3f}",
                (0, ceiling),
                (3, -3),
                xycoords=ax.get_yaxis_transform(),
                textcoords="offset points",
                va="top",
                fontsize=7.8,
                color=MUTED,
            )
        for mark in published:
            colour = palette.colour(mark.label) if mark.label is not None and mark.label in palette.place else MUTED
            ax.plot(
                [mark.budget],
                [mark.value],
                "o",
                markerfacecolor="none",
                markeredgecolor=colour,
                markersize=7,
                markeredgewidth=1.3,
                zorder=4,
            )
            ax.annotate(
                str(mark.number),
                (mark.budget, mark.value),
                (5, 3),
                textcoords="offset points",
                fontsize=7,
                color=colour,
            )
        ax.set_xticks(budgets, [f"{b:g}" for b in budgets])
        ax.minorticks_off()
        ax.set_xlabel("labelled architectures", labelpad=2)
        ax.set_title(plain(title))
        ax.text(-0.02, 1.0, "τ ↑", transform=ax.transAxes, ha="right", va="bottom", color=MUTED, fontsize=8)
        return Drawing(figure)


def _limits(ax: Any, series: Sequence[Series], ceiling: float | None, published: Sequence[Published]) -> None:
    values = [s.low for s in series] + [s.high for s in series] + [np.array([p.value for p in published])]
    values += [np.array([ceiling])] if ceiling is not None else []
    flat = np.concatenate(values)
    flat = flat[np.isfinite(flat)]
    low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 1.0)
    room = max(0.02, 0.06 * (high - low))
    ax.set_ylim(low - room, high + room)


def _ends(ax: Any, series: Sequence[Series], palette: Palette) -> None:
    """Names beside the last point of every curve, moved apart, with a thin line back to it."""
    ends = [(s, int(np.flatnonzero(np.isfinite(s.value))[-1])) for s in series if np.isfinite(s.value).any()]
    if not ends:
        return
    low, high = ax.get_ylim()
    values = [s.value[i] for s, i in ends]
    gap = (high - low) * 12.5 / 223
    for (s, i), y in zip(ends, spread(values, gap, low + gap / 3, high - gap / 3)):
        name_end(
            ax,
            plain(palette.name(s.label)),
            (s.budgets[i], s.value[i]),
            y,
            palette.colour(s.label),
            palette.gid(s.label),
        )


def pairwise(
    labels: Sequence[str],
    difference: NDArray[np.float64],
    covers: NDArray[np.bool_],
    palette: Palette,
    text: Mapping[tuple[int, int], str],
    title: str = "",
    most: int = 20,
) -> Drawing:
    """Paired differences row minus column ([L, L]); hatched where the difference is not significant, empty where
    unknown. title: lines for the empty corner. most: characters of a name."""
    n = len(labels)
    step = 46 if n <= 12 else max(22, 560 // n)
    left = 14 + 7.9 * max(len(palette.name(label, most)) for label in labels)
    top = 20 + 5.7 * max(len(palette.name(label, most)) for label in labels)
    width, height = left + n * step + max(20.0, top - step / 2), top + n * step + 6
    with style():
        figure = canvas(width, height)
        ax = figure.add_axes((left / width, 6 / height, n * step / width, n * step / height))
        known = np.isfinite(difference)
        scale = max(float(np.abs(difference[known]).max()), 1e-9) if known.any() else 1.0
        for i in range(n):
            for j in range(n):
                if i == j or not known[i, j]:
                    continue
                strength = 0.12 + 0.78 * abs(difference[i, j]) / scale
                colour = GOOD if difference[i, j] > 0 else BAD
                box: dict[str, Any] = {"xy": (j, n - 1 - i), "width": 1, "height": 1, "linewidth": 0}
                _box(ax, **box, facecolor=colour, alpha=0.15 if covers[i, j] else strength)
                if covers[i, j]:
                    _box(ax, **box, facecolor="none", edgecolor=HATCH, hatch="////")
                if step >= 40:
                    ground = {"boxstyle": "round,pad=0.12", "facecolor": PAPER, "alpha": 0.8, "linewidth": 0}
                    ax.text(
                        j + 0.5,
                        n - 0.5 - i,
                        text.get((i, j), ""),
                        ha="center",
                        va="center",
                        fontsize=7.6,
                        color=INK,
                        bbox=ground,
                    )
        for place, label in enumerate(labels):
            colour, name = palette.colour(label), plain(palette.name(label, most))
            ax.text(-0.12, n - 0.5 - place, name, ha="right", va="center", color=colour, fontweight="bold")
            ax.text(
                place + 0.45,
                n + 0.12,
                name,
                rotation=45,
                ha="left",
                va="bottom",
                color=colour,
                fontweight="bold",
                rotation_mode="anchor",
            )
        figure.text(6 / width, 1 - 6 / height, title, ha="left", va="top", color=MUTED, fontsize=8.5)
        for line in range(n + 1):
            ax.plot([0, n], [line, line], color=GRID, linewidth=0.7)
            ax.plot([line, line], [0, n], color=GRID, linewidth=0.7)
        ax.set(xlim=(0, n), ylim=(0, n))
        ax.axis("off")
        return Drawing(figure)


def _box(ax: Any, xy: tuple[float, float], width: float, height: float, **look: Any) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle(xy, width, height, **look))
