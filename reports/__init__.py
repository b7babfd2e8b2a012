"""Reports: one page that says which encoder ranks best, by how much, at what cost, and whether that is significant.

    from archrank.reports import build
    build(["results/store"], "results", formats=("html", "md"))

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "reports":  # the folder of a checkout, found from its root
    raise ImportError(
        "this is archrank.reports, imported from the root of archrank's repository under another name: import archrank.reports"
    )

from archrank.reports.blocks import FORMATS

if TYPE_CHECKING:
    from archrank.datasets import Benchmark

__all__ = ["FORMATS", "build"]


def build(
    stores: Sequence[str | Path],
    out: str | Path,
    *,
    formats: Sequence[str] = ("html", "md"),
    only: Sequence[str] | None = None,
    title: str = "",
    name: str = "report",
    load: Callable[[str], Benchmark] | None = None,
) -> list[Path]:
    """Write a report on the trials of some stores and return the files written, the main ones first.

    Args:
        stores: folders in the form of docs/store.md; their trials are taken together.
        out: the folder for `report.html`, `report.md`, `report.tex`, `report.json`; pictures go to `figures/` in it.
        formats: any of `FORMATS`. `md` brings the pictures as SVG files with it, `svg` and `pdf` write them alone.
            `csv` writes every table to `tables/` and all trials to `trials.csv`, `parquet` these to `trials.parquet`.
        only: labels or encoder names to compare; everything is computed among those alone.
        title: the heading; by default made from the benchmarks.
        name: stem of the file names.
        load: how to get a benchmark by name, default `archrank.datasets.load`. Where it fails, the parts that need
            the benchmark's table say so.

    Raises:
        ArchrankError: no trials, an unknown format, nothing left after `only`.
    """
    from archrank.reports.page import write

    return write([Path(s) for s in stores], Path(out), formats=formats, only=only, title=title, name=name, load=load)
