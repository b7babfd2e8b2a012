"""From a reference to an encoder: a registered name, a glob over them, `file.py:Class`, `package.module:Class`, or a
class."""

from __future__ import annotations

import fnmatch
import inspect
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from archrank.datasets.errors import ArchrankError, unknown
from archrank.datasets.plugins.syntax import ENCODERS
from archrank.datasets.registry import entry_points_of
from archrank.datasets.source_text import mentions, module_file
from archrank.encoders.catalog.info import EncoderInfo, Reach
from archrank.encoders.catalog.reading import read
from archrank.encoders.catalog.scanning import DECORATORS, named, scan


@lru_cache(maxsize=1)
def builtin() -> dict[str, EncoderInfo]:
    """The encoders of this package by name."""
    files = sorted(
        (path for path in ENCODERS.glob("*/*.py") if path.parent.name != "catalog"), key=lambda path: path.stem
    )
    infos = [
        info
        for path in files
        if mentions(path, DECORATORS)
        for info in scan(path, f"archrank.encoders.{path.parent.name}.{path.stem}", "built-in")
    ]
    return {info.name: info for info in sorted(infos, key=lambda info: info.name)}


@lru_cache(maxsize=1)
def plugins() -> dict[str, EncoderInfo]:
    """Encoders that installed packages offer through the entry-point group `archrank.encoders`, without those of a name
    that is taken."""
    infos: dict[str, EncoderInfo] = {}
    for info in _offered()[0]:
        if info.name not in builtin():
            infos.setdefault(info.name, info)
    return infos


@lru_cache(maxsize=1)
def _offered() -> tuple[list[EncoderInfo], dict[str, str]]:
    """What entry points offer, and by their names what is wrong with the others."""
    infos, broken = [], {}
    for point in entry_points_of("archrank.encoders"):
        origin = f"plug-in {point.dist.name if point.dist else point.module}"
        try:
            infos.append(_from_module(point.module, point.attr, origin))
        except ArchrankError as error:
            broken[point.name] = f"{origin}: {error}"
    return infos, broken


def known() -> dict[str, EncoderInfo]:
    """Every encoder that has a name: built-in and installed."""
    return builtin() | plugins()


def find(reference: str | Any, reach: Reach = "text") -> list[EncoderInfo]:
    """The encoders that a reference means (several for a glob); ArchrankError if none, or if one has a name that is
    taken.

    reach: whether the code of an encoder that is not built in may run to learn what its text leaves open, and where:
    `text` not at all, `here` in this process, `apart` in one of its own.
    """
    infos = [info if info.origin == "built-in" else replace(info, reach=reach) for info in _find(reference)]
    infos = [read(info) if info.open and reach != "text" else info for info in infos]
    for info in infos:
        _check_name(info)
    return infos


def _find(reference: str | Any) -> list[EncoderInfo]:
    if not isinstance(reference, str):
        return [_from_object(reference)]
    if ":" in reference:
        place, _, name = reference.rpartition(":")
        return [
            named(Path(place), None, "file", name) if place.endswith(".py") else _from_module(place, name, "module")
        ]
    everything = known()
    if any(sign in reference for sign in "*?"):
        if matched := [info for name, info in everything.items() if fnmatch.fnmatchcase(name, reference)]:
            return matched
        raise unknown("encoder", reference, everything)
    if reference.endswith(".py"):
        raise ArchrankError(f"encoder '{reference}': name the class too, as in {reference}:MyEncoder")
    if reference not in everything:
        if reference in _offered()[1]:
            raise ArchrankError(_offered()[1][reference])
        raise unknown("encoder", reference, everything)
    return [everything[reference]]


def _check_name(info: EncoderInfo) -> None:
    """ArchrankError if another encoder, built in or installed, has its name."""
    others = [*builtin().values(), *_offered()[0]] if info.origin != "built-in" else []
    for other in others:
        if other.name == info.name and (other.path, other.object) != (info.path, info.object):
            raise ArchrankError(
                f"encoder {info.place} is called '{info.name}', as the {other.origin if other.origin != 'built-in' else 'built-in'} "
                f"encoder is; choose another name in its @encoder(...) or @encoding(...)"
            )


def _from_module(module: str, name: str, origin: str) -> EncoderInfo:
    if (path := module_file(module)) is None:
        raise ArchrankError(f"encoder '{module}:{name}': there is no importable module '{module}'")
    return named(path, module, origin, name)


def _from_object(thing: Any) -> EncoderInfo:
    if not callable(thing) or not hasattr(thing, "__qualname__"):
        raise ArchrankError(f"encoder {thing!r}: give a name, a class, or file.py:Class")
    try:
        infos = scan(Path(inspect.getfile(thing)), None, "class", only=thing.__name__)
    except (OSError, TypeError):
        infos = []
    if not infos:
        raise ArchrankError(
            f"encoder {thing.__name__}: its source file cannot be found; define it at the top level of a .py file"
        )
    module = thing.__module__ if thing.__module__ != "__main__" and "." in thing.__module__ else None
    return replace(infos[0], module=module)
