"""Numbers and lists as a reader wants them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from archrank.reports.blocks import Bold, Cell, Inline

__all__ = [
    "FEW_LETTERS",
    "bold_join",
    "count",
    "finite",
    "join",
    "missing_cell",
    "plural",
    "rate",
    "replaced",
    "seconds",
    "share",
    "slug",
]

FEW_LETTERS = "Their differences make more groups than there are letters. Only a is given: to the first and to what does not differ significantly from it."


def join(names: Sequence[str], most: int = 8) -> str:
    """a, b and c; long lists are cut with their number."""
    names = list(names)
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def bold_join(names: Sequence[str], most: int = 8) -> tuple[Inline, ...]:
    """The same with every name in bold."""
    shown = list(names)[: most if len(names) <= most else most - 1]
    out: list[Inline] = []
    for i, name in enumerate(shown):
        last = i == len(shown) - 1 and len(shown) == len(names)
        out += [" and " if i and last else ", " if i else "", Bold(name)]
    if len(shown) < len(names):
        out.append(f" and {len(names) - len(shown)} more")
    return tuple(part for part in out if part != "")


def plural(number: int, singular: str, many: str = "") -> str:
    """1 seed, 5 seeds."""
    return f"{number:,} {singular if number == 1 else many or singular + 's'}"


def replaced(number: int) -> str:
    """Said wherever trials of one program of a label count."""
    return f"{plural(number, 'trial')} of other versions of an encoder or its table left out"


def seconds(value: float) -> str:
    """A duration with two or three digits in the unit that fits."""
    if not math.isfinite(value):
        return "–"
    if value < 1e-4:
        return f"{1e6 * value:.2g} µs"
    if value < 0.1:
        return f"{1000 * value:.2g} ms"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (math.inf, 3600, "h")):
        if value < limit:
            scaled = value / size
            return f"{scaled:.3g} {unit}" if scaled < 100 else f"{scaled:.0f} {unit}"
    raise AssertionError


def count(value: float) -> str:
    """A whole number with thousands separators."""
    return "–" if not math.isfinite(value) else f"{value:,.0f}"


def rate(value: float) -> str:
    """A throughput to three significant digits, from a million on in millions (M)."""
    if not math.isfinite(value):
        return "–"
    if value >= 1e6:
        return f"{float(f'{value / 1e6:.3g}'):,g} M"
    size = 10 ** max(0, math.floor(math.log10(max(value, 1))) - 2)
    return f"{round(value / size) * size:,}"


def slug(text: str) -> str:
    """A text as part of a file name or an id: lower-case letters, digits and hyphens, at most 48 of them."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48].strip("-") or "other"


def share(value: float, most: int = 0) -> str:
    """A share as per cent."""
    return "–" if not math.isfinite(value) else f"{100 * value:.{most}f} %"


def missing_cell(text: str = "–") -> Cell:
    """A cell that says there is nothing."""
    return Cell(text, tone="missing")


def finite(value: Any) -> Any:
    """A value as JSON may hold it: NaN and infinities have no form there; null says the same."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value
