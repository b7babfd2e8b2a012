"""Importers: one module per family of benchmarks, from its official files to the canonical table.

A module ends in an `Importer`: its benchmarks, and how their files are found and read. Listing benchmarks imports the
importers, which are light.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from archrank.datasets.errors import ArchrankError
from archrank.datasets.importers.source import Download, Importer, Source
from archrank.datasets.registry import Registry

__all__ = ["IMPORTERS", "SOURCES", "Download", "Importer", "Source", "importer_of"]

IMPORTERS: Registry[Importer] = Registry("importer", "importers", __name__, Importer)


class _Sources(Mapping[str, Source]):
    """The benchmarks of all importers by name, gathered when first asked for. ArchrankError where two importers have
    one name for a benchmark."""

    @cached_property
    def importers(self) -> dict[str, Importer]:
        """Benchmark -> importer."""
        importers: dict[str, Importer] = {}
        for importer in IMPORTERS.values():
            for source in importer.sources:
                if source.name in importers:
                    raise ArchrankError(
                        f"benchmark '{source.name}' has two importers, {importers[source.name].name} and {importer.name}; "
                        "uninstall the package that one of them comes from"
                    )
                importers[source.name] = importer
        return importers

    def __getitem__(self, name: str) -> Source:
        return next(source for source in self.importers[name].sources if source.name == name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.importers)

    def __len__(self) -> int:
        return len(self.importers)


SOURCES = _Sources()


def importer_of(source: Source) -> Importer:
    """The importer that reads a benchmark."""
    return SOURCES.importers[source.name]
