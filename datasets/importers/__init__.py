"""Importers: one module per family of benchmarks, from its official files to the canonical table.

A module offers `locate(root, variant) -> Path | None` (its file or folder below a data folder) and `read(path, variant) -> (frame, card)`
(see `archrank.datasets.benchmark` for both); where it reads more than one file, also `files(path, variant) -> list[Path]`. The list of
benchmarks is in `archrank.datasets.importers.known`; it is what `archrank list` shows, so it imports none of the modules.
"""

from __future__ import annotations

from archrank.datasets.importers.known import SOURCES, Download, Source

__all__ = ["SOURCES", "Download", "Source"]
