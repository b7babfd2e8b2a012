"""What a learned encoder can be pre-trained on: unlabelled graphs and a task that follows from them. One module each.

A pretext is a class under `@pretext("name")`, an `nn.Module` made as `Class(encoder, graphs, space, **options)` whose
`forward(encoder, graphs, done)` gives the loss of a batch. It never sees a label. Listing them imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.plain_yaml import read_plain_text
from archrank.datasets.plugins.identity import source_hash
from archrank.datasets.registry import Entry, Registry
from archrank.datasets.source_text import Option, checked_options

if TYPE_CHECKING:
    from torch import nn

    from archrank.datasets.graphs import Graphs
    from archrank.datasets.space import SearchSpace

__all__ = ["PRETEXTS", "TRAINING", "Pretext", "Task", "parse_call", "parse_pretext", "pretext"]


@dataclass(frozen=True)
class Pretext:
    """A pretext by its name, as `@pretext` makes it.

    objective: the class. states: whether it needs the encoder's `states`, one vector per node. hidden_op: whether its
    space has one more operation, the last, for nodes whose operation is hidden. proxy: whether it reads a column of the
    table that its option `proxy` names.
    """

    name: str
    objective: Callable[..., nn.Module]
    states: bool = False
    hidden_op: bool = False
    proxy: bool = False

    def __call__(self, encoder: nn.Module, graphs: Graphs, space: SearchSpace, **options: Any) -> nn.Module:
        """The objective for an encoder, all unlabelled graphs [N] and their space."""
        return self.objective(encoder, graphs, space, **options)


def pretext(
    name: str, *, states: bool = False, hidden_op: bool = False, proxy: bool = False
) -> Callable[[Callable[..., nn.Module]], Pretext]:
    """Register a pretext: an `nn.Module` class made as `Class(encoder, graphs, space, **options)`, where `graphs` [N]
    are all unlabelled architectures; its `forward(encoder, graphs, done)` gives the loss, a scalar, of a batch [B] of
    them, `done` being the share of the training that is over.

    Its parameters (decoders, say) are trained with the encoder's and then dropped. Keyword-only arguments of `__init__`
    are options; `updates`, `batch`, `lr` and `seed` are options of every pretext. Give the keywords here as literals:
    planning reads them from the source text.

    Args:
        name: as users write it, `gin[pretext=name]`.
        states: it calls `encoder.states(graphs)`, [B, V, dim]; encoders without that hook are left out.
        hidden_op: `space` has one more operation at the end, which stands for a hidden one. The encoder is built for
            that space and cut to its own afterwards.
        proxy: its option `proxy` names a column of the table, which it finds in `graphs.columns["proxy"]`,
            float64 [N]. Only columns that cost no training are given, and never the target.
    """

    def attach(objective: Callable[..., nn.Module]) -> Pretext:
        return Pretext(name, objective, states, hidden_op, proxy)

    return attach


PRETEXTS: Registry[Pretext] = Registry("pretext", "pretexts", __name__, Pretext, markers=("pretext",))

TRAINING = {
    "updates": Option(int, 1000, False),
    "batch": Option(int, 256, False),
    "lr": Option(float, 1e-3, False),
    "seed": Option(int, 0, False),
}
"""Options of every pretext: optimiser updates, architectures in a batch, learning rate, and the seed of all that is
random in it."""


@dataclass(frozen=True)
class PretextTask:
    """A pretext with its options, checked: own ones, and those of its training that differ from `TRAINING`.

    reference: its name, or `file.py:Class`.
    """

    reference: str
    entry: Entry
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """How it is written: `masked_ops(rate=0.5)`."""
        inside = ",".join(f"{name}={_text(value)}" for name, value in self.options.items())
        return self.reference + (f"({inside})" if inside else "")

    @property
    def own(self) -> dict[str, Any]:
        """The options of the pretext itself."""
        return {name: value for name, value in self.options.items() if name not in TRAINING}

    @property
    def training(self) -> dict[str, Any]:
        """Every option of `TRAINING`, with its default where none is given."""
        return {name: self.options.get(name, option.default) for name, option in TRAINING.items()}

    @property
    def source(self) -> str:
        """sha256 over its file and every file that this is built on."""
        return source_hash(self.entry.path) if self.entry.path else ""

    def needs(self, what: str) -> bool:
        """Whether the pretext is registered with `states`, `hidden_op` or `proxy`."""
        return self.entry.words.get(what) is True


def parse_pretext(text: str) -> PretextTask:
    """The pretext that `name`, `name(option=value,...)` or `file.py:Class` means. ArchrankError for an unknown name, a
    misspelt option or a wrong value."""
    reference, given = parse_call(text, "pretext")
    entry = PRETEXTS.find(reference)
    return PretextTask(
        reference, entry, checked_options(f"pretext {entry.name}", TRAINING | dict(entry.options), given)
    )


def parse_call(text: str, kind: str) -> tuple[str, dict[str, Any]]:
    """`name(option=value,...)` in its parts, values as plain YAML has them. kind: what it is, in messages."""
    matched = re.fullmatch(r"([^()]+)(?:\((.*)\))?", text.strip())
    if not matched:
        raise ArchrankError(f"{kind} '{text}' is not of the form name(option=value,...)")
    given: dict[str, Any] = {}
    for part in filter(None, (matched[2] or "").split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ArchrankError(f"{kind} '{text}': option '{part}' has no value; write {matched[1]}({part}=...)")
        given[name.strip()] = read_plain_text(value, f"{kind} '{text}': option '{part}'")
    return matched[1].strip(), given


def _text(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
