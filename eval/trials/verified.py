"""What became of published results when somebody trained a sample of them again: one JSON file. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from archrank.datasets.errors import ArchrankError
from archrank.eval.trials.fields import Count, Name, Number, Part, Sha256, first_fault
from archrank.eval.trials.files import read_whole, replace_bytes
from archrank.eval.trials.records import Damaged

__all__ = ["SUFFIX", "TrialCheck", "Verdict", "Verified", "read_verified", "write_verified"]

SUFFIX = ".verified.json"
"""What a publication's file name is followed by in the name of its verification."""
LIMIT = 16 << 20

Verdict = Literal["equal", "within", "outside", "failed"]


class TrialCheck(Part):
    """A trial that was trained again."""

    key: Sha256
    """of the published trial"""
    label: Name
    """the predictor"""
    task: Name
    """benchmark/target"""
    budget: Count
    """labelled architectures"""
    seed: Count
    """which split"""
    verdict: Verdict
    """`equal` to the last bit, `within` what another seed of it could give, `outside` of that, or `failed` here"""
    published: Number | None
    """Kendall's tau as published"""
    again: Number | None
    """Kendall's tau as trained again"""
    remark: Name = ""
    """why it is not equal, where that is known"""


class Verified(Part):
    """A verification."""

    schema_version: Literal[1] = Field(1, alias="schema")
    """version of this form"""
    sha256: Sha256
    """of the published file"""
    by: Name = ""
    """who verified"""
    date: Name
    """UTC"""
    archrank: Name
    """version that trained again"""
    hardware: Name
    """what it was trained on"""
    draw: Count
    """seed that drew the sample"""
    trials: Count
    """finished trials in the file"""
    checks: list[TrialCheck]
    """every trial that was trained again"""
    unchecked: dict[Name, Count]
    """why trials cannot be trained again here -> how many"""

    def count(self, verdict: Verdict) -> int:
        """Trials of one verdict."""
        return sum(check.verdict == verdict for check in self.checks)

    @property
    def holds(self) -> bool:
        """Whether something was checked, and all of it was equal or within."""
        return bool(self.checks) and not self.count("outside") and not self.count("failed")

    def sentence(self) -> str:
        """One line for a person."""
        parts = [f"{n} {word}" for word in ("equal", "within", "outside", "failed") if (n := self.count(word))]
        return f"{len(self.checks)} of {self.trials:,} trials trained again: {', '.join(parts) or 'none'}"


def write_verified(path: Path, verified: Verified) -> None:
    """Write a verification as JSON."""
    replace_bytes(path, (verified.model_dump_json(by_alias=True, indent=1) + "\n").encode())


def read_verified(path: Path) -> Verified:
    """A verification from its file. ArchrankError if it is none."""
    try:
        return Verified.model_validate_json(read_whole(path, LIMIT))
    except Damaged as error:
        raise ArchrankError(f"{path}: {error}") from None
    except ValidationError as error:
        raise ArchrankError(f"{path}: not a verification: {first_fault(error)[1]}") from None
