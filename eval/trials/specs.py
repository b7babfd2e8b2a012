"""How a predictor is written: `encoder[option=value,...]+head[option=value,...]`, such as `flowerformer[layers=3]` or
`path+gp`. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.io.bounded import shown
from archrank.datasets.io.plain_yaml import read_plain_text
from archrank.encoders import catalog
from archrank.encoders.catalog import EncoderInfo, Reach
from archrank.eval.engine import heads
from archrank.eval.engine.heads.layers import Head
from archrank.eval.trials.additions import Additions, additions_of


@dataclass(frozen=True)
class Spec:
    """An encoder and a head, each with its configuration (only what differs from the defaults)."""

    info: EncoderInfo
    config: dict[str, Any] = field(default_factory=dict)
    head: str = "linear"
    head_config: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def additions(self) -> Additions:
        """What a learned encoder, or a portfolio, is given beside graphs and labels. ArchrankError for what is misspelt
        or makes no sense."""
        return additions_of(self.info, self.config) if self.info.reserved else Additions()

    @property
    def own_config(self) -> dict[str, Any]:
        """The options without those that the harness provides."""
        return {name: value for name, value in self.config.items() if name not in self.info.reserved}

    @property
    def source(self) -> str:
        """sha256 over the encoder's source and, where it is given something, over that."""
        return self.additions.identity(self.info.source)

    @property
    def pretrained(self) -> bool:
        """Whether something is trained before the labels are learned from, which trials share."""
        return self.info.pretrained or self.additions.pretrains

    @property
    def default_head(self) -> str:
        """Learned encoders end in a linear head, fixed encodings in the one they name or an MLP, those that rank by
        themselves in none."""
        return "linear" if self.info.learned else "none" if self.info.ranks else self.info.head or "mlp"

    @property
    def label(self) -> str:
        """What tables and figures call it."""
        return (
            self.info.name
            + _bracketed(self.config)
            + (f"+{self.head_text}" if self.head_text != self.default_head else "")
        )

    @property
    def head_text(self) -> str:
        """The head with its options, as it is written."""
        return self.head + _bracketed(self.head_config)

    @property
    def head_identity(self) -> str:
        """What a trial's key says of the head: its text, and for one from outside archrank the hash of its source."""
        source = heads.HEADS.find(self.head).source
        return self.head_text + (f"@{source[:16]}" if source else "")

    @property
    def reference(self) -> str:
        """How to name it again on a command line: the label, or for an encoder without a registered name its module, or
        its file (from here)."""
        path, here = self.info.path, Path.cwd()
        return self._named(path.relative_to(here) if path.is_relative_to(here) else path)

    @property
    def address(self) -> str:
        """The same, a file with its whole path."""
        return self._named(self.info.path)

    def _named(self, file: Path) -> str:
        if self.info.name in catalog.known():
            return self.label
        return f"{self.info.module or file}:{self.info.object}" + self.label.removeprefix(self.info.name)

    @property
    def neural(self) -> bool:
        """Whether it is trained by the harness (else by scikit-learn, or not at all)."""
        return heads.is_neural(self.head)

    def layers(self) -> Head | None:
        """The layers of a neural head; None where a learned encoder leaves them to its recipe, and for a regressor."""
        if not self.neural or (self.info.learned and self.head == "linear"):
            return None
        return heads.head_layers(self.head, **self.head_config)

    def check_head(self) -> None:
        """Import the head. ArchrankError where that fails, or where it needs a package that is not installed."""
        head = heads.HEADS[self.head]
        if isinstance(head, heads.Regressor):
            head.check_installed()


def parse_list(text: str | Sequence[str | Any], reach: Reach = "text") -> list[Spec]:
    """Specs from a comma-separated text or a list; globs expand; commas inside brackets do not split.

    reach: whether and where the code of users' encoders may run to learn what their text leaves open (see
    `catalog.find`). ArchrankError for anything unknown, misspelt or given twice.
    """
    items: list[Any] = re.split(r",(?![^\[]*\])", text) if isinstance(text, str) else list(text)
    items = [item.strip() if isinstance(item, str) else item for item in items]
    specs = [spec for item in items if item != "" for spec in parse(item, reach)]
    if not specs:
        raise ArchrankError("no encoder given: say --encoders path,gcn (see `archrank list`)")
    for spec in specs:
        if others := [
            other
            for other in specs
            if other.info.name == spec.info.name
            and (other.info.path, other.info.object) != (spec.info.path, spec.info.object)
        ]:
            raise ArchrankError(
                f"encoders {spec.info.place} and {others[0].info.place} are both called '{spec.info.name}': give one of them another "
                "name in its @encoder(...)"
            )
    labels = [spec.label for spec in specs]
    for label in labels:
        if labels.count(label) > 1:
            raise ArchrankError(f"encoder '{label}' is listed twice")
    return specs


def parse(item: str | Any, reach: Reach = "text") -> list[Spec]:
    """The specs one item means (several for a glob): text as at the top of this module, a class, or {name: text or
    class, option: value}."""
    if isinstance(item, dict):
        if not isinstance(item.get("name"), str) and not callable(item.get("name")):
            raise ArchrankError(f"encoder {str(item)[:80]} has no name; write {{name: ..., option: value}}")
        if not isinstance(item.get("head"), str | None):
            raise ArchrankError(f"encoder {item['name']}: its head is not text; known: {', '.join(heads.HEADS)}")
        options = {key: value for key, value in item.items() if key not in ("name", "head")}
        head, head_options = named_options(item["head"], f"head {item['head']}") if item.get("head") else (None, {})
        return [_spec(info, options, head, head_options) for info in _find(item["name"], reach)]
    if not isinstance(item, str):
        return [_spec(info, {}, None, {}) for info in _find(item, reach)]
    matched = re.fullmatch(r"([^\[\]+]+(?:\[.*?\])?)(?:\+([^\[\]+]+(?:\[.*\])?))?", item)
    if not matched:
        raise ArchrankError(f"encoder '{item}' is not of the form name[option=value,...]+head")
    reference, options = named_options(matched[1], f"encoder '{item}'")
    head, head_options = named_options(matched[2], f"encoder '{item}'") if matched[2] else (None, {})
    return [_spec(info, options, head, head_options) for info in _find(reference, reach)]


def named_options(text: str, what: str) -> tuple[str, dict[str, Any]]:
    """`name[option=value,...]` in its parts. what: for messages."""
    name, _, inside = text.rstrip("]").partition("[")
    options = {}
    for part in re.split(r",(?![^(]*\))", inside) if inside else []:
        key, equals, value = part.partition("=")
        if not equals:
            raise ArchrankError(f"{what}: option '{part}' has no value; write {name}[{part}=...]")
        options[key.strip()] = _value(value, f"{what}: option '{part}'")
    return name, options


def _find(reference: Any, reach: Reach) -> list[EncoderInfo]:
    """The encoders a reference means; a path that no file system takes is one line too."""
    try:
        return catalog.find(reference, reach)
    except ArchrankError:
        raise
    except (OSError, ValueError) as error:
        raise ArchrankError(f"encoder {shown(reference)}: {one_line(error, 80)}") from None


def _spec(info: EncoderInfo, options: dict[str, Any], head: str | None, head_options: dict[str, Any]) -> Spec:
    spec = Spec(info, info.validate(options))
    spec = Spec(info, spec.additions.written(spec.config))
    head = head or spec.default_head
    entry = heads.HEADS.find(head)
    head_config = entry.validate(head_options)
    if info.learned and entry.marker == "regressor":
        raise ArchrankError(
            f"encoder {info.name} is learned with its head; +{head} needs a fixed encoding such as path or adjacency"
        )
    if head != "none" and info.portfolio:
        raise ArchrankError(
            f"encoder {info.name} is a portfolio, whose parts have heads of their own; leave +{head} out"
        )
    if head == "none" and not info.ranks:
        raise ArchrankError(
            f"encoder {info.name} does not rank by itself; +none needs one that does, such as parameters"
        )
    return Spec(info, spec.config, head, head_config)


def _value(text: str, what: str) -> Any:
    """The value of an option: a YAML scalar, or several in parentheses."""
    if text.startswith("(") and text.endswith(")"):
        text = f"[{text[1:-1]}]"
    value = read_plain_text(text, what)
    if isinstance(value, dict):
        raise ArchrankError(f"{what} is no value of an option; write a number, a word, true, null or (1,2)")
    return value


def _bracketed(config: dict[str, Any]) -> str:
    """`[option=value,...]`, or nothing where there are none."""
    return "[" + ",".join(f"{key}={_text(value)}" for key, value in config.items()) + "]" if config else ""


def _text(value: Any) -> str:
    """What `_value` reads as that value."""
    if isinstance(value, (list, tuple)):
        return f"({','.join(map(_text, value))})"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
