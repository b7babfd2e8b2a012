"""Published results as a leaderboard takes them: the files of some folders, each with what became of its check."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from archrank.datasets.errors import ArchrankError, ArchrankWarning
from archrank.eval.trials.publication import Manifest, opened
from archrank.eval.trials.results import as_frame, latest
from archrank.eval.trials.verified import SUFFIX, Verified, read_verified
from archrank.reports.blocks import Cell
from archrank.reports.words import join, missing_cell

__all__ = ["Submission", "read_entries"]

MOST_FILES = 1000


@dataclass(frozen=True)
class Submission:
    """One published file: its manifest, its trials that count as a frame, its sha256, and its verification, if there
    is one of this very file."""

    manifest: Manifest
    frame: pd.DataFrame
    sha256: str
    verified: Verified | None

    @property
    def mark(self) -> Cell:
        """Whether somebody trained a sample again, and what came of it."""
        if self.verified is None:
            return missing_cell("not verified")
        word = (
            "does not hold"
            if not self.verified.holds
            else "equal"
            if self.verified.count("equal") == len(self.verified.checks)
            else "within intervals"
        )
        by = f", by {self.verified.by}" if self.verified.by else ""
        sign = "✓ " if self.verified.holds else "✗ "
        return Cell(f"{sign}{word}", tip=f"{self.verified.sentence()}{by}, {self.verified.date[:10]}")


def read_entries(sources: Sequence[Path]) -> list[Submission]:
    """Every published file of some folders, by title; a warning for each one that is none. ArchrankError if there is
    no other."""
    files: list[Path] = []
    for source in sources:
        if not source.exists():
            raise ArchrankError(f"{source}: there is no such file or folder")
        files += sorted(source.rglob("*.zip")) if source.is_dir() else [source]
    if len(files) > MOST_FILES:
        raise ArchrankError(f"{len(files):,} files, more than the {MOST_FILES:,} of one leaderboard")
    entries: dict[str, Submission] = {}
    for file in files:
        try:
            with opened(file) as content:
                records = [record for record in latest(content.reading.records)[0] if record.status == "done"]
                entries[content.sha256] = Submission(
                    content.manifest, as_frame(records), content.sha256, _verified(file, content.sha256)
                )
        except ArchrankError as error:
            warnings.warn(f"left out {error}", ArchrankWarning, stacklevel=2)
    if not entries:
        raise ArchrankError(f"no published results in {join([str(s) for s in sources])}; `archrank publish` makes them")
    return sorted(entries.values(), key=lambda entry: (entry.manifest.title, entry.sha256))


def _verified(file: Path, sha256: str) -> Verified | None:
    path = file.with_name(file.name + SUFFIX)
    if not path.exists():
        return None
    verification = read_verified(path)
    return verification if verification.sha256 == sha256 else None
