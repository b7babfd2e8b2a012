"""The critical-difference diagram, drawn only where there are enough independent search spaces for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archrank.reports.figures.ranking import plain
from archrank.reports.style import INK, MUTED, Drawing, Palette, canvas, style

__all__ = ["critical_difference"]


def critical_difference(
    ranks: Mapping[str, float], groups: Sequence[Sequence[str]], difference: float, palette: Palette
) -> Drawing:
    """Mean rank of every predictor over search spaces, best on top, with a bar beside each group without a significant
    difference in Nemenyi's test.

    J. Demšar (JMLR 7, 2006) draws the same on one axis; a line each keeps long names apart. `difference` is shown as a
    scale.
    """
    labels = sorted(ranks, key=lambda label: (ranks[label], label))
    place = {label: len(labels) - 1 - i for i, label in enumerate(labels)}
    bars = [[place[label] for label in group] for group in groups if len(group) > 1]
    height = 78 + 24 * len(labels)
    with style():
        figure = canvas(460, height)
        left = (max(len(palette.name(label)) for label in labels) * 7.9 + 14) / 460
        right = (46 + 11 * len(bars)) / 460
        ax = figure.add_axes((left, 40 / height, 1 - left - right, 1 - 78 / height))
        for label in labels:
            y, colour, gid = place[label], palette.colour(label), palette.gid(label)
            ax.plot([ranks[label]], [y], palette.mark(label), color=colour, markersize=6.5, gid=gid)
            beside: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "gid": gid}
            ax.text(-0.04, y, plain(palette.name(label)), ha="right", color=colour, fontweight="bold", **beside)
            ax.text(1.04, y, f"{ranks[label]:.1f}", color=INK, **beside)
        wide = 460 * (1 - left - right)
        for number, bar in enumerate(bars):
            x = 1 + (44 + 11 * number) / wide
            ax.plot(
                [x, x],
                [min(bar) - 0.25, max(bar) + 0.25],
                color=MUTED,
                linewidth=3,
                transform=ax.get_yaxis_transform(),
                clip_on=False,
            )
        ax.plot([1, 1 + difference], [len(labels) - 0.1] * 2, color=INK, linewidth=2, clip_on=False)
        ax.annotate(
            f"critical difference {difference:.2f}",
            (1, len(labels) - 0.1),
            (0, 4),
            textcoords="offset points",
            fontsize=8,
            color=MUTED,
            annotation_clip=False,
        )
        ax.set(xlim=(0.8, max(len(labels), 1 + difference) + 0.2), ylim=(-0.6, len(labels) - 0.3))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("←  mean rank over search spaces")
        return Drawing(figure)
