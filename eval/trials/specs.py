"""How a predictor is written: `encoder[option=value,...]+head`, for example `flowerformer[layers=3]` or `path+gp`. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archrank.datasets.errors import ArchrankError, one_line, unknown
from archrank.datasets.io.bounded import shown
from archrank.encoders import catalog
from archrank.encoders.catalog import EncoderInfo
from archrank.eval.trials.plain_yaml import read_plain_text

NEURAL = ("linear", "mlp")
REGRESSORS = ("ridge", "gp", "forest", "boosting", "dngo", "none")
HEADS = (*NEURAL, *REGRESSORS)


@dataclass(frozen=True)
class Spec:
    """An encoder with its configuration (only what differs from the defaults) and a head."""

    info: EncoderInfo
    config: dict[str, Any] = field(default_factory=dict)
    head: str = "linear"

    @property
    def default_head(self) -> str:
        """Learned encoders end in a linear head, fixed encodings in an MLP, those that rank by themselves in none."""
        return "linear" if self.info.learned else "none" if self.info.ranks else "mlp"

    @property
    def label(self) -> str:
        """What tables and figures call it."""
        options = ",".join(f"{key}={_text(value)}" for key, value in self.config.items())
        return self.info.name + (f"[{options}]" if options else "") + (f"+{self.head}" if self.head != self.default_head else "")

    @property
    def reference(self) -> str:
        """How to name it again on a command line: the label, or for an encoder without a registered name its module, or its file (from here)."""
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
        return self.head in NEURAL


def parse_list(text: str | Sequence[str | Any]) -> list[Spec]:
    """Specs from a comma-separated text or a list; globs expand; commas inside brackets do not split.

    ArchrankError for anything unknown, misspelt or given twice.
    """
    items: list[Any] = re.split(r",(?![^\[]*\])", text) if isinstance(text, str) else list(text)
    items = [item.strip() if isinstance(item, str) else item for item in items]
    specs = [spec for item in items if item != "" for spec in parse(item)]
    if not specs:
        raise ArchrankError("no encoder given: say --encoders path,gcn (see `archrank list`)")
    labels = [spec.label for spec in specs]
    for label in labels:
        if labels.count(label) > 1:
            places = {spec.info.path.name for spec in specs if spec.label == label}
            raise ArchrankError(f"encoder '{label}' is listed twice" + (f" (in {' and '.join(sorted(places))}): give one of them another name in its "
                                                                        "@encoder(...)" if len(places) > 1 else ""))
    return specs


def parse(item: str | Any) -> list[Spec]:
    """The specs one item means (several for a glob): text as at the top of this module, a class, or {name: ..., option: value}."""
    if isinstance(item, dict):
        if not isinstance(item.get("name"), str):
            raise ArchrankError(f"encoder {str(item)[:80]} has no name; write {{name: ..., option: value}}")
        if not isinstance(item.get("head"), str | None):
            raise ArchrankError(f"encoder {item['name']}: its head is not text; known: {', '.join(HEADS)}")
        options = {key: value for key, value in item.items() if key not in ("name", "head")}
        return [_spec(info, options, item.get("head")) for info in _find(item["name"])]
    if not isinstance(item, str):
        return [_spec(info, {}, None) for info in _find(item)]
    matched = re.fullmatch(r"([^\[\]+]+)(?:\[(.*)\])?(?:\+(\w+))?", item)
    if not matched:
        raise ArchrankError(f"encoder '{item}' is not of the form name[option=value,...]+head")
    reference, text, head = matched.groups()
    options = {}
    for part in re.split(r",(?![^(]*\))", text) if text else []:
        key, equals, value = part.partition("=")
        if not equals:
            raise ArchrankError(f"encoder '{item}': option '{part}' has no value; write {reference}[{part}=...]")
        options[key.strip()] = _value(value, f"encoder '{item}': option '{part}'")
    return [_spec(info, options, head) for info in _find(reference)]


def _find(reference: Any) -> list[EncoderInfo]:
    """The encoders a reference means; a path that no file system takes is one line too."""
    try:
        return catalog.find(reference)
    except ArchrankError:
        raise
    except (OSError, ValueError) as error:
        raise ArchrankError(f"encoder {shown(reference)}: {one_line(error, 80)}") from None


def _spec(info: EncoderInfo, options: dict[str, Any], head: str | None) -> Spec:
    spec = Spec(info, info.validate(options))
    head = head or spec.default_head
    if head not in HEADS:
        raise unknown("head", head, HEADS)
    if info.learned and head in REGRESSORS:
        raise ArchrankError(f"encoder {info.name} is learned with its head; +{head} needs a fixed encoding such as path or adjacency")
    if head == "none" and not info.ranks:
        raise ArchrankError(f"encoder {info.name} does not rank by itself; +none needs one that does, such as parameters")
    return Spec(info, spec.config, head)


def _value(text: str, what: str) -> Any:
    """The value of an option: a YAML scalar, or several in parentheses."""
    if text.startswith("(") and text.endswith(")"):
        text = f"[{text[1:-1]}]"
    value = read_plain_text(text, what)
    if isinstance(value, dict):
        raise ArchrankError(f"{what} is no value of an option; write a number, a word, true, null or (1,2)")
    return value


def _text(value: Any) -> str:
    """What `_value` reads as that value."""
    if isinstance(value, (list, tuple)):
        return f"({','.join(map(_text, value))})"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
