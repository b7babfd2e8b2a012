"""The document model of a report: what is said, apart from how HTML, Markdown, LaTeX or JSON write it.

A section builds blocks once; every output format renders the same blocks, so the formats cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from archrank.reports.style import Drawing

__all__ = [
    "FORMATS",
    "Block",
    "Bold",
    "Cell",
    "Code",
    "Column",
    "Details",
    "Figure",
    "Heading",
    "Inline",
    "Leaderboard",
    "Mono",
    "Panel",
    "Section",
    "Table",
    "Text",
]


FORMATS = ("html", "md", "tex", "json", "svg", "pdf")
"""What a report may be written as."""


@dataclass(frozen=True)
class Bold:
    """Words that carry the sentence."""

    text: str


@dataclass(frozen=True)
class Mono:
    """A name or a command inside a sentence."""

    text: str


Inline = str | Bold | Mono


@dataclass(frozen=True)
class Text:
    """A paragraph; `tone` marks the lead sentence, a remark, a warning or an item of a list."""

    parts: tuple[Inline, ...]
    tone: Literal["normal", "lead", "note", "warning", "item"] = "normal"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    level: int = 3


@dataclass(frozen=True)
class Code:
    """A command or a piece of text to copy as it is."""

    text: str


@dataclass(frozen=True)
class Cell:
    """One cell: what is printed, what it sorts by, and the predictor whose colour stands beside it."""

    text: str
    sort: float | None = None
    label: str | None = None
    low: float | None = None
    high: float | None = None
    tone: Literal["normal", "best", "hole", "bad"] = "normal"


@dataclass(frozen=True)
class Column:
    """One column; `better` says which way is better and becomes an arrow."""

    key: str
    title: str
    better: Literal["up", "down", ""] = ""
    numeric: bool = True
    help: str = ""


@dataclass(frozen=True)
class Table:
    """A table; `id` names it in files and links, `paper` says whether it is worth a LaTeX form."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    sortable: bool = False
    paper: bool = False
    compact: bool = False


@dataclass(frozen=True)
class Leaderboard:
    """A leaderboard: the table of every view (a budget, or all of them), and the draws it is recomputed from."""

    id: str
    caption: str
    views: tuple[tuple[str, Table], ...]
    draws: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """One picture, and the words for those who do not see it."""

    name: str
    picture: Drawing
    alt: str
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """Panels under one caption; `width` is the least width of a panel in pixels before it wraps."""

    id: str
    caption: str
    panels: tuple[Panel, ...]
    width: int = 320

    @property
    def across(self) -> int:
        """How many small panels stand side by side on a wide page, so that no row is left with one: six, or fewer in
        rows of equal length."""
        return math.ceil(len(self.panels) / math.ceil(len(self.panels) / 6))


@dataclass(frozen=True)
class Details:
    """Blocks folded away under one line."""

    summary: str
    blocks: tuple[Block, ...]


Block = Text | Heading | Code | Table | Leaderboard | Figure | Details


@dataclass(frozen=True)
class Section:
    """A numbered part of the page."""

    id: str
    title: str
    blocks: Sequence[Block]
    short: str = ""
