"""Tables of the performance page, and how their cells are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from archrank.eval.bench.summary import Spread


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, and an empty one."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def duration(seconds: float | None) -> str:
    """Three digits in the unit that fits."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    for size, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{three(seconds / size)} {unit}"
    return f"{three(seconds / 1e-9)} ns"


def three(value: float) -> str:
    """Three digits, or whole numbers with commas."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(ratio: Spread | None) -> str:
    """Median, smallest and largest of a ratio."""
    return "–" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def megabytes(value: float) -> str:
    """Bytes in whole megabytes."""
    return f"{value / 2**20:,.0f} MB"
