"""A registry: every entry of one kind (losses, heads, metrics, ...) by name, the built-in ones and those of installed
packages.

An entry is a definition at the top of a module, `@loss("hinge")` above a function or `KENDALL = Metric("kendall",
...)`. Built-in ones are found in the source text of the kind's own package or module, so that a new one is one
definition in one file. Installed packages offer theirs through the entry-point group `archrank.<kind>`, and
`module:object` or `file.py:object` names one without installing it. Listing reads text and runs nobody's code; a module
is imported when its entry is first used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from archrank.datasets.errors import ArchrankError, one_line, unknown
from archrank.datasets.io.paths import is_file
from archrank.datasets.plugins.identity import source_hash
from archrank.datasets.plugins.loading import import_file, import_module
from archrank.datasets.source_text import Definition, Option, checked_options, definitions, mentions, module_file

T = TypeVar("T")
BUILT_IN = "built-in"


@dataclass(frozen=True)
class Entry:
    """What a registry says of an entry without importing it.

    name: as users write it. kind: such as "loss". place: `module:object` or `file.py:object`. origin: "built-in",
    "plug-in PACKAGE" or "file".
    marker: what registers it in its source ("loss"). summary: one line. options: its keyword-only arguments. path: its
    source file. words: literal keyword arguments of what registers it.
    """

    name: str
    kind: str
    place: str
    origin: str
    marker: str = ""
    summary: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    path: Path | None = None
    words: Mapping[str, Any] = field(default_factory=dict)

    @property
    def built_in(self) -> bool:
        """Whether it is part of archrank."""
        return self.origin == BUILT_IN

    @property
    def source(self) -> str:
        """sha256 of its source file and of what that is built on (`plugins.identity`); empty for a built-in one, for
        which archrank's version stands, and where there is no file."""
        return "" if self.built_in or self.path is None else source_hash(self.path)

    def validate(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """`options` with values of the declared types, without those that equal their default; ArchrankError names what
        is wrong."""
        return checked_options(f"{self.kind} {self.name}", self.options, options)

    def load(self) -> Any:
        """Import its module and return the object. ArchrankError, one line, if that fails."""
        module, _, name = self.place.rpartition(":")
        try:
            loaded = import_file(Path(module).resolve()) if module.endswith(".py") else import_module(module)
            return getattr(loaded, name)
        except ArchrankError:
            raise
        except (Exception, SystemExit) as error:
            raise ArchrankError(
                f"{self.kind} '{self.name}' ({self.origin}) cannot be imported from {self.place}: {one_line(error)}"
            ) from error


class Registry(Mapping[str, T], Generic[T]):
    """Entries of one kind, by name. As a mapping: membership, length and names import nothing; values are imported when
    they are asked for.

    Args:
        kind: what one entry is called in messages: "loss".
        group: what all of them are called, in `archrank list GROUP` and as the entry-point group `archrank.GROUP`:
            "losses".
        home: the package or module (`__name__`) whose source text holds the built-in entries, in the order of files and
            lines.
        accepts: the class, or classes, that entries are instances of.
        markers: the names of what makes an entry in source text: decorators, classes or functions; by default those of
            `accepts`.
    """

    def __init__(
        self, kind: str, group: str, home: str, accepts: type[T] | tuple[type, ...], markers: tuple[str, ...] = ()
    ) -> None:
        self.kind, self.group, self.home = kind, group, home
        self.accepts = accepts if isinstance(accepts, tuple) else (accepts,)
        self.markers = markers or tuple(kind.__name__ for kind in self.accepts)
        self._loaded: dict[str, T] = {}

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every entry by name, the built-in ones first. ArchrankError where two have one name."""
        entries: dict[str, Entry] = {}
        for entry in [*self._built_in(), *map(self._installed, entry_points_of(f"archrank.{self.group}"))]:
            if entry.name in entries:
                other = entries[entry.name]
                raise ArchrankError(
                    f"two entries are called {self.kind} '{entry.name}': {other.place} ({other.origin}) and {entry.place} "
                    f"({entry.origin}); rename one, or uninstall the package it comes from"
                )
            entries[entry.name] = entry
        return entries

    def find(self, reference: str) -> Entry:
        """The entry of a name, or of a `module:object` or `file.py:object`. ArchrankError, with the nearest names, if
        there is none."""
        if reference in self.entries:
            return self.entries[reference]
        if ":" not in reference:
            raise unknown(self.kind, reference, self.entries)
        place, _, name = reference.rpartition(":")
        path = Path(place) if place.endswith(".py") else module_file(place)
        if path is None or not is_file(path):
            raise ArchrankError(
                f"{self.kind} '{reference}': there is no {'file' if place.endswith('.py') else 'importable module'} {place}"
            )
        return self._described(reference, reference, "file", path, name)

    def __getitem__(self, reference: str) -> T:
        """The object itself, imported. ArchrankError for an unknown name, a failing import, or an object of another
        class."""
        if reference not in self._loaded:
            entry = self.find(reference)
            loaded = entry.load()
            if not isinstance(loaded, self.accepts):
                kinds = " or ".join(kind.__name__ for kind in self.accepts)
                raise ArchrankError(
                    f"{self.kind} '{reference}' ({entry.origin}): {entry.place} is of type {type(loaded).__name__}; it must be "
                    f"of type {kinds}, as {self.markers[0]}(...) makes it"
                )
            self._loaded[reference] = cast(T, loaded)
        return self._loaded[reference]

    def get(self, name: str, default: Any = None) -> Any:
        """The object of a registered name, or `default`."""
        return self[name] if name in self.entries else default

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def _built_in(self) -> Iterator[Entry]:
        module = sys.modules[self.home]
        file = Path(str(module.__file__))
        for path in sorted(file.parent.glob("*.py")) if file.name == "__init__.py" else [file]:
            name = self.home if path == file else f"{self.home}.{path.stem}"
            for definition in definitions(path) if mentions(path, self.markers) else []:
                if definition.marker in self.markers:
                    yield self._entry(definition.name, f"{name}:{definition.object}", BUILT_IN, path, definition)

    def _installed(self, point: EntryPoint) -> Entry:
        origin = f"plug-in {point.dist.name if point.dist else point.module}"
        return self._described(
            point.name, f"{point.module}:{point.attr}", origin, module_file(point.module), point.attr
        )

    def _described(self, name: str, place: str, origin: str, path: Path | None, object_name: str) -> Entry:
        """An entry at a place that somebody named; one whose text cannot be read is listed all the same, and fails when
        it is used."""
        try:
            listed = definitions(path) if path is not None else []
        except (ArchrankError, OSError) as error:
            return Entry(name, self.kind, place, origin, summary=f"cannot be read: {error}", path=path)
        definition = next((item for item in listed if item.object == object_name), None)
        return self._entry(name, place, origin, path, definition or Definition(object_name))

    def _entry(self, name: str, place: str, origin: str, path: Path | None, definition: Definition) -> Entry:
        return Entry(
            name,
            self.kind,
            place,
            origin,
            definition.marker,
            definition.summary,
            definition.options,
            path,
            definition.words,
        )


@cache
def _every_point() -> Any:  # another class before Python 3.12
    # Reading the metadata of all installed packages takes longer than reading our own entries: once for all groups.
    return entry_points()


def entry_points_of(group: str) -> list[EntryPoint]:
    """What installed packages offer in a group of entry points, by name."""
    return sorted(_every_point().select(group=group), key=lambda point: (point.name, point.value))
