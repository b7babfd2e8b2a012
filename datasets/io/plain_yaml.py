"""The part of YAML that options and suites are written in: plain scalars, lists and mappings, nothing that stands for
something else.

No tags, anchors, aliases, merge keys or dates; a document is bounded in size and depth before it is built, so that a
small file cannot become a large object. Scalars are those of YAML 1.2's core schema: `null`, `true`, `false`, decimal
numbers, and text for everything else.
"""

from __future__ import annotations

import re
from math import isinf
from pathlib import Path
from typing import Any

import yaml

from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.paths import is_file

__all__ = ["read_plain_file", "read_plain_text"]

MOST_CHARACTERS = 100_000
MOST_DEPTH = 8
_INTEGER = re.compile(r"[-+]?\d{1,18}")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_WORDS = {"null": None, "~": None, "": None, "true": True, "false": False}


def read_plain_file(path: Path, what: str) -> Any:
    """The value in a file.

    Args:
        path: a regular file of at most `MOST_CHARACTERS` bytes, UTF-8.
        what: how an error names it, as "suite mine.yaml".

    Raises:
        ArchrankError: it cannot be read, is not UTF-8, is too large, or is not plain YAML; one line that names the line
        of the file.
    """
    if not is_file(path):
        raise ArchrankError(f"{what}: no such file, or no regular one")
    with path.open("rb") as stream:
        data = stream.read(MOST_CHARACTERS + 1)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) <= MOST_CHARACTERS:
            raise ArchrankError(f"{what}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
        text = data.decode("latin-1")
    return read_plain_text(text, what)


def read_plain_text(text: str, what: str) -> Any:
    """The value of a YAML text: None, bool, int, float, str, list or dict with text as keys.

    Args:
        text: at most `MOST_CHARACTERS` characters, lists and mappings at most `MOST_DEPTH` deep.
        what: how an error names it.

    Raises:
        ArchrankError: not YAML, or more of YAML than is read here; one line.
    """
    if len(text) > MOST_CHARACTERS:
        raise ArchrankError(f"{what}: longer than {MOST_CHARACTERS:,} characters")
    building: list[_Open] = []
    documents: list[Any] = []
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            _refuse_references(event, what)
            if isinstance(event, yaml.CollectionStartEvent):
                if len(building) == MOST_DEPTH:
                    raise ArchrankError(
                        f"{_where(event, what)}: more than {MOST_DEPTH} lists or mappings inside each other"
                    )
                building.append(_Open(isinstance(event, yaml.MappingStartEvent)))
            elif isinstance(event, yaml.CollectionEndEvent):
                _place(building.pop().value, event, building, documents, what)
            elif isinstance(event, yaml.ScalarEvent):
                _place(_scalar(event, what), event, building, documents, what)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ArchrankError(f"{what}{f', line {mark.line + 1}' if mark else ''}: not valid YAML") from None
    if len(documents) > 1:
        raise ArchrankError(f"{what}: several documents (a line of ---); give one")
    return documents[0] if documents else None


class _Open:
    """A list or mapping that is being read."""

    def __init__(self, mapping: bool) -> None:
        self.value: Any = {} if mapping else []
        self.key: str | None = None


def _where(event: Any, what: str) -> str:
    return f"{what}, line {event.start_mark.line + 1}" if event.start_mark.line else what


def _refuse_references(event: Any, what: str) -> None:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise ArchrankError(
            f"{_where(event, what)}: anchors and aliases (& and *) are not read; write the value out, or quote the text"
        )
    if getattr(event, "tag", None) not in (None, "!"):
        raise ArchrankError(
            f"{_where(event, what)}: tags (!) are not read; write a number, text, true, false, null or a list, or quote the text"
        )


def _scalar(event: Any, what: str) -> Any:
    text = event.value
    if event.style is not None:  # quoted: text, whatever it looks like
        return text
    if text.lower() in _WORDS and text in (text.lower(), text.upper(), text.capitalize()):
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        if isinf(number) or (number.is_integer() and text.lstrip("+-").isdigit()):
            raise ArchrankError(
                f"{_where(event, what)}: the number {text[:24]}{'...' if len(text) > 24 else ''} is too large"
            )
        return number
    if text.lower().lstrip("+-") in (".inf", ".nan"):
        raise ArchrankError(f"{_where(event, what)}: {text} is no finite number")
    return text


def _place(value: Any, event: Any, building: list[_Open], documents: list[Any], what: str) -> None:
    """Put a finished value where it belongs: into the list or mapping that is open, else it is the document."""
    if not building:
        documents.append(value)
        return
    inside = building[-1]
    if isinstance(inside.value, list):
        inside.value.append(value)
    elif inside.key is None:
        if not isinstance(value, str):
            raise ArchrankError(f"{_where(event, what)}: a key must be text")
        if value in inside.value:
            raise ArchrankError(f"{_where(event, what)}: '{value}' is given twice")
        inside.key = value
    else:
        inside.value[inside.key], inside.key = value, None
