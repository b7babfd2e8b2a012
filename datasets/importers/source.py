"""What importers are made of: the benchmarks they read, and the files that can be fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Download:
    """A file that can be fetched without a browser.

    url: http(s) address. path: where it belongs below a data folder. digest: `sha256:...` or `md5:...`, always checked.
    limit: no more bytes than this are accepted.
    """

    url: str
    path: str
    digest: str
    limit: int = 4 << 30


@dataclass(frozen=True)
class Source:
    """A benchmark archrank can import.

    file: what `locate` looks for below a data folder. obtain: where a user gets the official file.
    version: raise it when the importer's output changes. variant: which of its benchmarks the importer is asked for.
    downloads: the files `archrank data get` can fetch.
    """

    name: str
    title: str
    file: str
    obtain: str
    version: int = 1
    variant: str = ""
    downloads: tuple[Download, ...] = ()


@dataclass(frozen=True)
class Importer:
    """A family of benchmarks and how its official files are read.

    summary: one line. sources: its benchmarks. locate: `(data folder, variant)` -> its file or folder below it, or
    None. read: `(path, variant)` -> the frame and card of `archrank.datasets.benchmark`; DataError for a file that is
    damaged or another one. files: `(path, variant)` -> all files that are read, where that is more than the one.
    """

    name: str
    summary: str
    sources: tuple[Source, ...]
    locate: Callable[[Path, str], Path | None]
    read: Callable[[Path, str], tuple[pd.DataFrame, dict[str, Any]]]
    files: Callable[[Path, str], list[Path]] | None = None
