"""One visual language: colours, marks and type of every figure, and deterministic SVG.

Figures are drawn in light colours. Inlined into a page, each of those colours becomes a CSS variable, so that one
drawing serves light and dark; saved as files, they stay as they are on a transparent ground.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from scipy.optimize import isotonic_regression

from archrank.datasets.io.visible import visible
from archrank.reports.svg import minified

matplotlib.use("agg")
from matplotlib.figure import Figure as Canvas

__all__ = [
    "COLOURS",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "VARIABLES",
    "Drawing",
    "Palette",
    "annotate",
    "canvas",
    "css_variables",
    "spread",
    "style",
]

INK, MUTED, GRID, PAPER, HATCH = "#1c2126", "#68707a", "#dfe3e8", "#fefefd", "#9aa3ad"
GOOD, BAD = "#2f7fb8", "#c2571a"
# Order follows Okabe and Ito's colour-blind-safe set, yellow and black left out because they vanish on one of the two
# grounds; each hue has a lighter form for the dark page. Marks differ as well, so colour is never the only sign.
COLOURS: tuple[tuple[str, str], ...] = (
    ("#0072b2", "#56b0ea"),
    ("#d55e00", "#ff9147"),
    ("#00936b", "#35cfa0"),
    ("#b5478a", "#ef93c9"),
    ("#8a6d00", "#dcb93f"),
    ("#5a4fcf", "#a9a1ff"),
    ("#1d8a99", "#5fd3e2"),
    ("#8c2f39", "#f08a94"),
    ("#6b4a2b", "#cfa67e"),
    ("#5b6570", "#aeb7c1"),
)
_CHROME = {
    INK: ("ink", "#e8eaed"),
    MUTED: ("muted", "#9aa4af"),
    GRID: ("grid", "#31373e"),
    PAPER: ("paper", "#14171a"),
    HATCH: ("hatch", "#6d7680"),
    GOOD: ("good", "#5fb0e8"),
    BAD: ("bad", "#f2995c"),
}
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))

_RC: Any = {
    "svg.hashsalt": "archrank",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelsize": 9.0,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "hatch.linewidth": 0.7,
    "path.simplify": True,
    "axes.unicode_minus": True,
    # A dollar sign in a label starts no formula.
    "text.parse_math": False,
}


def _without_options(label: str) -> str:
    return re.sub(r"\[.*\]", "[…]", label)


class Palette:
    """The colour and the mark of every predictor, by its place among the sorted labels."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.place: Mapping[str, int] = {label: i for i, label in enumerate(sorted(set(labels)))}
        self._bare = Counter(_without_options(label) for label in self.place)

    def colour(self, label: str) -> str:
        """The light form; `inline` turns it into a variable."""
        return COLOURS[self.place[label] % len(COLOURS)][0]

    def mark(self, label: str) -> str:
        """The matplotlib marker."""
        place = self.place[label]
        return _MARKS[(place + place // len(COLOURS)) % len(_MARKS)]

    def dash(self, label: str) -> Any:
        """The line style: solid for the first ten predictors, then dashed forms."""
        return _DASHES[self.place[label] // len(COLOURS) % len(_DASHES)]

    def name(self, label: str, most: int = 20) -> str:
        """The label as it can be seen, in at most `most` characters: without its options where it is too long and no
        other predictor differs in them alone, else cut."""
        bare = _without_options(label)
        shown = visible(bare if len(visible(label)) > most and self._bare[bare] == 1 else label)
        return shown if len(shown) <= most else shown[: most - 1] + "…"

    def gid(self, label: str, tip: str = "") -> str:
        """The name that a drawn mark carries, so that a page can hide a predictor everywhere, and say `tip` where the
        pointer is (`svg.minified` makes an attribute of it)."""
        return f"enc{self.place[label]}" + (f"-tip-{visible(tip).encode().hex()}" if tip else "")


@contextmanager
def style() -> Iterator[None]:
    """Draws inside this context look alike, whatever the user's own matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def canvas(width: float, height: float) -> Canvas:
    """An empty figure of width x height CSS pixels (96 to the inch; text sizes are points)."""
    return Canvas(figsize=(width / 96, height / 96), dpi=96)


class Drawing:
    """A finished figure: its SVG text, and on demand a PDF for a paper."""

    def __init__(self, figure: Canvas) -> None:
        self._figure = figure
        self.svg = _svg(figure)

    def pdf(self) -> bytes:
        """The figure as a PDF, without dates."""
        stream = io.BytesIO()
        with style():
            self._figure.savefig(
                stream, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None}
            )
        return stream.getvalue()


def _svg(figure: Canvas) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return minified(stream.getvalue())


VARIABLES: Mapping[str, str] = {light: f"var(--c{i})" for i, (light, _) in enumerate(COLOURS)} | {
    light: f"var(--{name})" for light, (name, _) in _CHROME.items()
}
"""What a colour of a drawing becomes inside a page."""


def css_variables() -> tuple[str, str]:
    """The declarations of every colour for the light page and for the dark one."""
    light = [f"--c{i}:{pair[0]}" for i, pair in enumerate(COLOURS)] + [f"--{n}:{v}" for v, (n, _) in _CHROME.items()]
    dark = [f"--c{i}:{pair[1]}" for i, pair in enumerate(COLOURS)] + [f"--{n}:{v}" for n, v in _CHROME.values()]
    return ";".join(light), ";".join(dark)


def annotate(ax: Any, text: str, *args: Any, gid: str, **look: Any) -> None:
    """An annotation of which every part, its arrow too, carries the name `gid`."""
    arrow = ax.annotate(text, *args, gid=gid, **look).arrow_patch
    if arrow is not None:
        arrow.set_gid(gid)


def leader(colour: str, gap: float) -> dict[str, Any]:
    """The look of a thin line from a name to its point, ending `gap` points before it."""
    return {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6, "shrinkA": 0, "shrinkB": gap}


def name_end(
    ax: Any, text: str, end: tuple[float, float], height: float, colour: str, gid: str, right: float = 1.05
) -> None:
    """A curve's name beside the axes at data height `height` (`right`: in widths of the axes), with a thin line from
    the curve's `end` to the left edge of the name, so that it crosses no other name."""
    annotate(
        ax,
        text,
        end,
        (right, height),
        fontsize=8.2,
        color=colour,
        textcoords=ax.get_yaxis_transform(),
        va="center",
        annotation_clip=False,
        arrowprops={**leader(colour, 4), "relpos": (0.0, 0.5)},
        gid=gid,
    )


def spread(places: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Places for labels near `places` ([n], any order), at least `gap` apart and inside [low, high] where they fit.

    Exact least-squares placement: sorted wishes minus their minimal offsets, made monotone by pooling neighbours.
    """
    wish = np.asarray(places, float)
    if not len(wish):
        return wish
    gap = min(gap, (high - low) / max(len(wish) - 1, 1))
    order = np.argsort(wish, kind="stable")
    offset = gap * np.arange(len(wish))
    placed = isotonic_regression(wish[order] - offset).x
    placed = np.clip(placed, low, high - offset[-1]) + offset
    out = np.empty_like(wish)
    out[order] = placed
    return out
