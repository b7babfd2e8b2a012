"""Figures about where a predictor is right and wrong: rank density, residuals, single architectures as small graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from archrank.reports.figures.ranking import plain, short
from archrank.reports.style import GRID, INK, MUTED, Drawing, Palette, canvas, name_end, spread, style

__all__ = ["LARGEST_DRAWN", "architecture", "density", "residual_by_depth", "residual_by_op"]

LARGEST_DRAWN = 24
# The words at the two ends of an axis stand inside it.
SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
EDGES: tuple[Literal["bottom", "top"], ...] = ("bottom", "top")


def density(
    true: NDArray[np.float64], predicted: NDArray[np.float64], label: str, palette: Palette, note: str
) -> Drawing:
    """Density of architectures over predicted (across) and true (up) rank, both in [0, 1] with 1 the best; 215 x 225.

    The square root of the count is shown as opacity of the predictor's colour; the dashed square holds the true and
    predicted best tenth.
    """
    bins = 36
    counts = np.histogram2d(true, predicted, bins=bins, range=((0, 1), (0, 1)))[0]
    image = np.empty((bins, bins, 4))
    image[..., :3] = to_rgb(palette.colour(label))
    image[..., 3] = np.sqrt(counts / max(counts.max(), 1.0))
    with style():
        figure = canvas(215, 225)
        ax = figure.add_axes((0.13, 0.125, 0.84, 0.8))
        ax.grid(False)
        ax.imshow(image, extent=(0, 1, 0, 1), origin="lower", interpolation="none", aspect="auto", zorder=2)
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.7, zorder=3)
        ax.plot([0.9, 0.9, 1], [1, 0.9, 0.9], color=INK, linewidth=0.9, linestyle=(0, (3, 2)), zorder=3)
        ax.set_xticks([0, 1], ["worst", "best"])
        ax.set_yticks([0, 1], ["worst", "best"], rotation=90)
        for tick, side, edge in zip((0, 1), SIDES, EDGES):
            ax.get_xticklabels()[tick].set_horizontalalignment(side)
            ax.get_yticklabels()[tick].set_verticalalignment(edge)
        ax.set_xlabel("predicted rank →", labelpad=-8, fontsize=8, color=MUTED)
        ax.set_ylabel("true rank →", labelpad=-9, fontsize=8, color=MUTED)
        ax.set_title(plain(palette.name(label)), color=palette.colour(label), fontsize=8.4, pad=4)
        ax.text(1, 1.018, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=8.2, color=MUTED)
        return Drawing(figure)


def residual_by_depth(depths: NDArray[np.int64], mean: Mapping[str, NDArray[np.float64]], palette: Palette) -> Drawing:
    """Mean residual (predicted minus true rank, in percentile points) for each graph depth [D], one line a
    predictor."""
    with style():
        figure = canvas(430, 280)
        right = min(0.4, max((len(palette.name(label)) for label in mean), default=4) * 0.0165 + 0.045)
        ax = figure.add_axes((0.115, 0.15, 0.875 - right, 0.74))
        ax.axhline(0, color=INK, linewidth=0.9)
        for label, values in mean.items():
            colour, gid = palette.colour(label), palette.gid(label)
            ax.plot(depths, values, marker=palette.mark(label), linestyle=palette.dash(label), color=colour, gid=gid)
        low, high = ax.get_ylim()
        gap = (high - low) * 12.5 / 207
        ends = {label: int(np.flatnonzero(np.isfinite(v))[-1]) for label, v in mean.items() if np.isfinite(v).any()}
        places = spread([mean[label][i] for label, i in ends.items()], gap, low + gap / 3, high - gap / 3)
        for (label, i), y in zip(ends.items(), places):
            name_end(
                ax,
                plain(palette.name(label)),
                (depths[i], mean[label][i]),
                y,
                palette.colour(label),
                palette.gid(label),
            )
        ax.set_ylim(low, high)
        ax.set_xticks(depths if len(depths) <= 12 else depths[:: len(depths) // 10])
        ax.set_xlabel("depth (longest path, edges)", labelpad=2)
        ax.set_title("By depth: over-rated ↑, under-rated ↓")
        return Drawing(figure)


def residual_by_op(ops: Sequence[str], slope: Mapping[str, NDArray[np.float64]], palette: Palette) -> Drawing:
    """Change of the residual (percentile points) with one more node of an operation [O], one mark a predictor."""
    rows = len(ops)
    height = 74 + rows * 26
    with style():
        figure = canvas(430, height)
        left = min(0.36, 0.03 + 0.0155 * max((len(short(op)) for op in ops), default=4))
        ax = figure.add_axes((left, 38 / height, 0.97 - left, 1 - 68 / height))
        ax.axvline(0, color=INK, linewidth=0.9)
        offsets = np.linspace(0.28, -0.28, len(slope)) if len(slope) > 1 else np.zeros(1)
        for offset, (label, values) in zip(offsets, slope.items()):
            ax.plot(
                values,
                np.arange(rows)[::-1] + offset,
                palette.mark(label),
                color=palette.colour(label),
                markersize=5,
                gid=palette.gid(label),
            )
        ax.set_yticks(np.arange(rows)[::-1], [plain(short(op)) for op in ops])
        ax.set_ylim(-0.6, rows - 0.4)
        ax.set_xlabel("percentile points for one more node of the operation", labelpad=2)
        ax.set_title("By operation: under-rated ←  → over-rated")
        return Drawing(figure)


def architecture(names: Sequence[str], adj: NDArray[np.bool_], quiet: Sequence[bool], title: str, note: str) -> Drawing:
    """One architecture as a small graph, input on top: op names [V], adj bool [V, V], `quiet` nodes (no operation)
    pale.

    Only for graphs of at most LARGEST_DRAWN nodes.
    """
    place = _layout(adj)
    layers = int(place[:, 1].max()) + 1
    wide = max(2, int(np.bincount(place[:, 1].astype(int)).max()))
    width, height = max(240, 60 * wide), 46 + 34 * layers
    with style():
        figure = canvas(width, height)
        ax = figure.add_axes((0.02, 0.01, 0.96, 1 - 46 / height))
        ax.set(xlim=(-wide / 2, wide / 2), ylim=(-layers + 0.5, 0.5))
        ax.axis("off")
        for u, v in np.argwhere(adj):
            (x0, y0), (x1, y1) = (place[u, 0], -place[u, 1]), (place[v, 0], -place[v, 1])
            # An edge that jumps over a layer would run behind the boxes between; bending it keeps it visible.
            bend = 0.0 if place[v, 1] - place[u, 1] <= 1 else (0.32 if x0 + x1 >= 0 else -0.32)
            pale = quiet[u] or quiet[v]
            ax.add_patch(
                FancyArrowPatch(
                    (x0, y0),
                    (x1, y1),
                    arrowstyle="-|>",
                    mutation_scale=6,
                    shrinkA=7,
                    shrinkB=8,
                    linewidth=0.8,
                    color=GRID if pale else MUTED,
                    connectionstyle=f"arc3,rad={bend}",
                    zorder=1,
                )
            )
        for v, name in enumerate(names):
            box = {"boxstyle": "round,pad=0.25", "facecolor": GRID, "edgecolor": MUTED, "linewidth": 0.7}
            if quiet[v]:
                box["linestyle"] = (0, (2, 2))
            ax.text(
                place[v, 0],
                -place[v, 1],
                plain(short(name, 12 if wide < 4 else 9)),
                ha="center",
                va="center",
                fontsize=7.4 if wide < 4 else 6.8,
                color=MUTED if quiet[v] else INK,
                bbox=box,
                zorder=2,
            )
        figure.text(0.03, 1 - 15 / height, plain(title), fontsize=8.8, fontweight="bold", color=INK, va="center")
        figure.text(0.03, 1 - 32 / height, plain(note), fontsize=8.2, color=MUTED, va="center")
        return Drawing(figure)


def _layout(adj: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Places (x, layer) [V, 2]: layers by longest path, order inside a layer by the mean place of the predecessors."""
    nodes = len(adj)
    layer = np.zeros(nodes, int)
    for v in range(1, nodes):
        before = np.flatnonzero(adj[:v, v])
        layer[v] = layer[before].max() + 1 if len(before) else 0
    x = np.zeros(nodes)
    for row in range(int(layer.max()) + 1):
        members = np.flatnonzero(layer == row)
        wish = [float(x[adj[:, v]].mean()) if adj[:, v].any() else 0.0 for v in members]
        order = np.argsort(wish, kind="stable")
        x[members[order]] = np.arange(len(members)) - (len(members) - 1) / 2
    return np.column_stack([x, layer.astype(float)])
