"""What a group takes along to a machine that shares no files with this one, and what it brings back. No torch here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from archrank.datasets.errors import ArchrankError
from archrank.datasets.plugins.identity import built_on
from archrank.datasets.plugins.syntax import HOMES, package_root
from archrank.encoders.catalog.info import EncoderInfo
from archrank.eval.trials.files import replace_bytes
from archrank.eval.trials.groups import TrialGroup

# A trial that can be read has its predictions: records go last.
FOLDERS = ("pretraining", "predictions", "encodings", "trials")


@dataclass(frozen=True)
class Luggage:
    """The text of an encoder of a user's own file, and of the files that it is built on.

    main: the encoder's own file. files: path below a folder -> content. Data files that it reads do not travel.
    """

    main: str
    files: Mapping[str, bytes]


def pack(info: EncoderInfo) -> Luggage | None:
    """What another machine needs of an encoder; None of one that is installed, which must be installed there too."""
    if info.module is not None:
        return None
    files = [file for file in built_on(info.path) if not any(file.is_relative_to(home) for home in HOMES.values())]
    top = Path(os.path.commonpath([package_root(file) for file in files]))
    named = {file.relative_to(top).as_posix(): file.read_bytes() for file in files}
    return Luggage(info.path.relative_to(top).as_posix(), named)


def arrived(info: EncoderInfo, luggage: Luggage | None, folder: Path) -> EncoderInfo:
    """An encoder where it is on this machine: `luggage` written below `folder`, or installed. ArchrankError where it is
    missing here."""
    if luggage is not None:
        for name, content in luggage.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return replace(info, path=folder / luggage.main)
    spec = find_spec(info.module or "")
    if spec is None or spec.origin is None:
        raise ArchrankError(
            f"{info.module} is not installed on {os.uname().nodename}; install there what this machine has"
        )
    return replace(info, path=Path(spec.origin))


def unpack(group: TrialGroup, luggage: Luggage | None, folder: Path) -> TrialGroup:
    """The group with its encoder where it is on this machine (see `arrived`).

    Raises:
        ArchrankError: the encoder is missing here, or its source is not the one that was planned.
    """
    spec = group.members[0].spec
    here = arrived(spec.info, luggage, folder)
    if replace(spec, info=here).source != group.first.source:
        raise ArchrankError(
            f"the source of encoder {here.name} on {os.uname().nodename} is not the one that was planned; install there "
            "the versions of archrank and of the encoder's package that this machine has"
        )
    return replace(group, members=tuple(replace(item, spec=replace(item.spec, info=here)) for item in group.members))


def bring(store: Path, folders: Iterable[str] = FOLDERS) -> list[tuple[str, bytes]]:
    """Every file in these folders of a store, in an order in which another may take them: path below it and content."""
    return [
        (path.relative_to(store).as_posix(), path.read_bytes())
        for name in folders
        for path in sorted((store / name).glob("[!.]*"))
    ]


def put_into(store: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files that `bring` gave.

    Raises:
        NotWritten: the store cannot be written.
    """
    for name, content in files:
        replace_bytes(store / name, content)
