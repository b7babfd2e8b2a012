"""The document model of a report: what is said, apart from how HTML, Markdown, LaTeX or JSON write it.

A section builds blocks once; every output format renders the same blocks, so the formats cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from archrank.reports.style import Drawing

__all__ = [
    "FORMATS",
    "Block",
    "Bold",
    "Cell",
    "Choice",
    "Code",
    "Column",
    "Details",
    "Figure",
    "Heading",
    "Inline",
    "Leaderboard",
    "Link",
    "Live",
    "Mono",
    "Panel",
    "Section",
    "Table",
    "Text",
    "walk",
]


FORMATS = ("html", "md", "tex", "json", "csv", "parquet", "svg", "pdf")
"""What a report may be written as."""


@dataclass(frozen=True)
class Bold:
    """Words that carry the sentence."""

    text: str


@dataclass(frozen=True)
class Mono:
    """A name or a command inside a sentence."""

    text: str


@dataclass(frozen=True)
class Link:
    """Words that lead somewhere: `to` is the id of a section, table or figure of the page, or another page of the
    same site (`name.html`)."""

    text: str
    to: str


Inline = str | Bold | Mono | Link


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
    """One cell: what is printed, what it sorts by, and the predictor whose colour stands beside it.

    low, high: ends of the value's interval. tone: `best` and `tied` mark the highest mean and what does not differ
    significantly from it. shade: strength of the cell's ground, 0 to 1. tip: what a page says under the pointer.
    link: another page of the same site.
    """

    text: str
    sort: float | None = None
    label: str | None = None
    low: float | None = None
    high: float | None = None
    tone: Literal["normal", "best", "tied", "missing", "bad"] = "normal"
    shade: float | None = None
    tip: str = ""
    link: str = ""


@dataclass(frozen=True)
class Column:
    """One column; `better` says which way is better and becomes an arrow. choose: a page lets a reader keep the rows of
    one of its texts."""

    key: str
    title: str
    better: Literal["up", "down", ""] = ""
    numeric: bool = True
    help: str = ""
    choose: bool = False


@dataclass(frozen=True)
class Table:
    """A table; `id` names it in files and links, `paper` says whether it is worth a LaTeX form, `look` how a page draws
    it."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    sortable: bool = False
    paper: bool = False
    compact: bool = False
    look: str = ""


@dataclass(frozen=True)
class Leaderboard:
    """A leaderboard: the table of every view (a budget, or all of them), and the trials' values it is recomputed
    from."""

    id: str
    caption: str
    views: tuple[tuple[str, Table], ...]
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """One picture, and the words for those who do not see it. label: the one predictor that it is about."""

    name: str
    picture: Drawing
    alt: str
    title: str = ""
    label: str | None = None


@dataclass(frozen=True)
class Figure:
    """Panels under one caption; `width` is the least width of a panel in pixels before it wraps. pick: the first panel
    and two others that a reader chooses are shown at a time."""

    id: str
    caption: str
    panels: tuple[Panel, ...]
    width: int = 320
    pick: bool = False

    @property
    def across(self) -> int:
        """How many small panels stand side by side on a wide page, so that no row is left with one: six, or fewer in
        rows of equal length."""
        return math.ceil(len(self.panels) / math.ceil(len(self.panels) / 6))


@dataclass(frozen=True)
class Details:
    """Blocks folded away under one line; `id` names it in links."""

    summary: str
    blocks: tuple[Block, ...]
    id: str = ""


@dataclass(frozen=True)
class Choice:
    """Blocks of which a reader sees one option at a time: (title, blocks) each; `title` says what is chosen."""

    id: str
    title: str
    options: tuple[tuple[str, tuple[Block, ...]], ...]


@dataclass(frozen=True)
class Live:
    """Blocks that a page draws anew when a reader chooses a metric, a benchmark, a budget or predictors.

    kind: `matrix` (predictors by benchmark and budget), `pairs` (all against all) or `duel` (two of them by setting).
    board: id of the leaderboard whose values it is drawn from. table: id of the table that is drawn.
    """

    kind: Literal["matrix", "pairs", "duel"]
    board: str
    table: str
    blocks: tuple[Block, ...]


Block = Text | Heading | Code | Table | Leaderboard | Figure | Details | Choice | Live


@dataclass(frozen=True)
class Section:
    """A numbered part of the page."""

    id: str
    title: str
    blocks: Sequence[Block]
    short: str = ""


def _inner(block: Block) -> Sequence[Block]:
    """The blocks that a block holds."""
    match block:
        case Details(_, blocks) | Live(blocks=blocks):
            return blocks
        case Choice(options=options):
            return [inner for _, blocks in options for inner in blocks]
    return ()


def walk(blocks: Sequence[Block]) -> Iterator[Block]:
    """Every block in order, those that others hold after these."""
    for block in blocks:
        yield block
        yield from walk(_inner(block))
