"""Importers: one module per benchmark, from its official files to the canonical table.

A module offers `locate(root) -> Path | None` (its file below a data folder) and `read(path) -> (frame, card)` (see
`archrank.datasets.benchmark` for both). This list is what `archrank list` shows, so it imports none of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A benchmark archrank can import.

    file: what `locate` looks for below a data folder. obtain: where a user gets the official file.
    module: the importer in this package. version: raise it when the importer's output changes.
    """

    name: str
    title: str
    file: str
    obtain: str
    module: str
    version: int = 1


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "nasbench201",
            "NAS-Bench-201 (NATS-Bench topology), 15,625 cells, CIFAR-10/100 and ImageNet16-120",
            "nasbench201/table.csv",
            "the NAS-Bench-201 project (github.com/D-X-Y/NAS-Bench-201), exported to one CSV row per architecture",
            "nasbench201",
        ),
    )
}
