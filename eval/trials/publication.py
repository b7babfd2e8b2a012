"""A store as one file that others can check: its trials, what they predicted, and a manifest of digests. No torch here.

The file is a zip archive of `manifest.json`, `trials-0001.json` and so on (lists of trials: side by side they pack four
times smaller than each by itself) and, unless left out, `predictions/<key>.parquet`, in a fixed order and with fixed
dates: the same trials give the same bytes. It holds data only. Reading it unpacks no other member, nothing larger than
a trial can be, and runs no code. Files of earlier versions, with a member `trials/<key>.json` for each, are read too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.bounded import zip_members
from archrank.datasets.io.visible import visible
from archrank.eval.trials.fields import Count, Name, Part, Sha256, Text, first_fault
from archrank.eval.trials.files import TABLE_LIMIT, replace
from archrank.eval.trials.provenance import own_version
from archrank.eval.trials.results import Reading, read_stores
from archrank.eval.trials.store import Store

__all__ = ["Manifest", "Publication", "Submitter", "digest_of", "opened", "publish"]

MEMBER = re.compile(r"(?:trials-[0-9]{4}\.json|trials/[0-9a-f]{64}\.json|predictions/[0-9a-f]{64}\.parquet)")
BETWEEN = re.compile(r"[\s,]*(\]?)")
MANIFEST = "manifest.json"
TOGETHER = 10_000
_DATE = (1980, 1, 1, 0, 0, 0)


class Submitter(Part):
    """Who publishes, and how they want to be cited."""

    name: Name = ""
    """a person or a group"""
    url: Name = ""
    """a page about the results; `https://` only"""
    citation: Text = ""
    """BibTeX, or a sentence"""


class Manifest(Part):
    """What a publication says of itself."""

    schema_version: Literal[1] = Field(1, alias="schema")
    """version of this form"""
    title: Name
    """what the results are called"""
    submitter: Submitter = Submitter()
    """who publishes them"""
    archrank: Name = ""
    """version that packed the file"""
    finished: Name = ""
    """when the newest trial was done, UTC"""
    trials: Count
    """number of trials"""
    files: dict[Name, Sha256]
    """sha256 of every other member"""


@dataclass(frozen=True)
class Publication:
    """An opened publication: its manifest, the store it was unpacked to, its trials, and the sha256 of the file."""

    manifest: Manifest
    store: Store
    reading: Reading
    sha256: str


def publish(stores: Iterable[Path], file: Path, title: str, submitter: Submitter, predictions: bool = True) -> Manifest:
    """Pack the trials of some stores into one file.

    Args:
        stores: folders of results; their trials are taken together.
        file: where it goes; a file of that name is replaced.
        title: what the results are called.
        submitter: who publishes them, and how to cite.
        predictions: with what every trial predicted, so that its metrics can be computed again.

    Returns:
        The manifest.

    Raises:
        ArchrankError: no trial, damaged files, two results for one trial, or a place that cannot be written.
    """
    reading = read_stores(stores)
    if reading.damaged or reading.conflicts:
        raise ArchrankError(
            f"{reading.problems()[0]}: publish a store without damaged files and without two results for a trial"
        )
    if not reading.records:
        raise ArchrankError("no trial to publish; `archrank run` makes them")
    if submitter.url and not re.fullmatch(r"https://[\w.~:/?#@!$&*+,;=%-]+", submitter.url):
        raise ArchrankError(f"--url {submitter.url}: give an address that begins with https://")
    stores_of = [(Store(reading.store_of[record.key]), record.key) for record in reading.records]
    lists = {
        f"trials-{number + 1:04d}.json": _list(store.path(key) for store, key in stores_of[first : first + TOGETHER])
        for number, first in enumerate(range(0, len(stores_of), TOGETHER))
    }
    paths = {
        f"predictions/{key}.parquet": store.path(key, "predictions")
        for store, key in stores_of
        if predictions and store.has_predictions(key)
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in lists.items()}
    digests = dict(sorted((digests | {name: digest_of(path) for name, path in paths.items()}).items()))
    newest = max((record.provenance.finished or "" for record in reading.records), default="")
    manifest = Manifest(
        schema=1,
        title=visible(title),
        submitter=submitter,
        archrank=own_version(),
        finished=newest,
        trials=len(reading.records),
        files=digests,
    )

    def write(scratch: Path) -> None:
        with zipfile.ZipFile(scratch, "w") as archive:
            _add(archive, MANIFEST, (manifest.model_dump_json(by_alias=True, indent=1) + "\n").encode())
            for name in digests:
                _add(archive, name, lists[name] if name in lists else paths[name].read_bytes())

    replace(file, write)
    return manifest


def _list(paths: Iterable[Path]) -> bytes:
    """Trials as one JSON list, each as its store has it."""
    return b"[\n" + b",\n".join(path.read_bytes().strip() for path in paths) + b"\n]\n"


def _each(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of every trial of such a list. ValueError, KeyError, TypeError, RecursionError: it is none."""
    text, decoder = data.decode(), json.JSONDecoder()
    place = text.index("[") + 1
    while (found := BETWEEN.match(text, place)) and not found[1]:
        record, place = decoder.raw_decode(text, found.end())
        yield record["key"], text[found.end() : place]


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    member = zipfile.ZipInfo(name, _DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    archive.writestr(member, data)


def digest_of(path: Path) -> str:
    """sha256 of a file, read in parts."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def opened(file: Path) -> Iterator[Publication]:
    """A publication, unpacked into a temporary folder while it is used.

    Raises:
        ArchrankError: no such archive, larger than a store can be, a member that is no part of a publication, a digest
            that is not that of the manifest, or a trial that is not what a run wrote.
    """
    with tempfile.TemporaryDirectory(prefix="archrank-") as folder:
        store = Store(folder)
        manifest: Manifest | None = None
        entries: dict[str, str] = {}
        for name, data in zip_members(file, "", TABLE_LIMIT):
            if name == MANIFEST:
                manifest = _manifest(file, data)
            elif MEMBER.fullmatch(name) and name not in entries:
                entries[name] = hashlib.sha256(data).hexdigest()
                _unpack(file, store.folder, name, data)
            else:
                raise ArchrankError(f"{file}: member '{visible(name)[:80]}' is no part of published results")
        if manifest is None:
            raise ArchrankError(f"{file}: it has no {MANIFEST}; `archrank publish` makes such files")
        if entries != manifest.files:
            name = min(set(entries.items()) ^ set(manifest.files.items()))[0]
            raise ArchrankError(
                f"{file}: '{visible(name)[:80]}' is missing, or is not what the manifest names; get the file again"
            )
        reading = read_stores([store.folder])
        if reading.damaged:
            raise ArchrankError(f"{file}: {reading.damaged[0].removeprefix(folder + os.sep)}")
        if len(reading.records) != manifest.trials or not reading.records:
            raise ArchrankError(
                f"{file}: it holds {len(reading.records):,} trials, its manifest says {manifest.trials:,}"
            )
        yield Publication(manifest, store, reading, digest_of(file))


def _unpack(file: Path, folder: Path, name: str, data: bytes) -> None:
    """Write a member's files to a store's folder."""
    files = {name: data}
    if name.startswith("trials-"):
        try:
            files = {f"trials/{key}.json": f"{text}\n".encode() for key, text in _each(data)}
        except (ValueError, KeyError, TypeError, RecursionError):
            files = {}
        if not files or not all(map(MEMBER.fullmatch, files)):
            raise ArchrankError(f"{file}: member '{name}' is no list of trials; get the file again")
    for place, content in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _manifest(file: Path, data: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        place, why = first_fault(error)
        raise ArchrankError(f"{file}: its {MANIFEST} is not valid: {place}: {why}") from None
