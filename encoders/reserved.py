"""Options that every learned encoder, or every portfolio, has without declaring them: the harness provides them. No
torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from archrank.datasets.errors import ArchrankError
from archrank.datasets.source_text import Option

if TYPE_CHECKING:
    from archrank.encoders.pretexts import PretextTask


@dataclass(frozen=True)
class ReservedOption:
    """An option of every learned encoder. type: as an annotation. summary: what it does, in a line."""

    type: Any
    default: Any
    summary: str

    @property
    def option(self) -> Option:
        """The same as a declared option."""
        return Option(self.type, self.default, False)


RESERVED: dict[str, ReservedOption] = {
    "view": ReservedOption(
        Literal["drawn", "canonical", "both"],
        "drawn",
        "the graph it encodes: as the benchmark draws it, without dead operations and identities, or both with the two "
        "embeddings side by side",
    ),
    "pretext": ReservedOption(
        str | None,
        None,
        "what it is pre-trained on, on graphs without labels, before it learns from labels (`archrank list pretexts`)",
    ),
    "unlabelled": ReservedOption(
        Literal["all", "train"],
        "all",
        "the graphs a pretext sees: of all architectures (transductive), or of those left for training alone",
    ),
    "side": ReservedOption(
        str | None,
        None,
        "numbers put beside its embedding: fixed encodings, parameters, flops, zcp (every proxy of the table) or columns "
        "of the table, joined by +",
    ),
    "source": ReservedOption(
        str | None,
        None,
        "other tables, joined by +, on whose labels it is trained first: table(labels=1000,updates=2000,target=...)",
    ),
}
"""By name. An encoder's own options must have other names."""

PORTFOLIO_RESERVED = {
    "source": ReservedOption(
        str | None,
        None,
        "other tables, joined by +, on whose labels trees are trained first; what they say of an architecture stands "
        "beside the features of fixed encodings: table(labels=1000,target=...)",
    ),
    "unlabelled": ReservedOption(
        Literal["all", "train"],
        "all",
        "the graphs that pretexts of its networks see: of all architectures (transductive), or of those left for training "
        "alone",
    ),
}
"""Those of portfolios."""

RESERVED_BY_KIND = {"learned encoder": RESERVED, "portfolio": PORTFOLIO_RESERVED}
"""All of them, by what has them."""


def split_options(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A learned encoder's own options, and every reserved one with its value or default."""
    own = {name: value for name, value in config.items() if name not in RESERVED}
    return own, {name: config.get(name, said.default) for name, said in RESERVED.items()}


def check_states(task: PretextTask, encoder: str, given: bool, view: str) -> None:
    """ArchrankError where a pretext asks for states of nodes that an encoder does not give.

    encoder: its name. given: whether it has the hook `states`. view: the graph it encodes; states are of a drawn one.
    """
    if task.needs("states") and not (given and view == "drawn"):
        raise ArchrankError(f"pretext {task.text} asks for states of nodes, which {encoder} does not give here")
