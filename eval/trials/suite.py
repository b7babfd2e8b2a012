"""Suites: a declared set of trials in YAML, and what a run of one leaves in its store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from archrank.datasets.catalog import available
from archrank.datasets.errors import ArchrankError, DataError, unknown
from archrank.datasets.importers import SOURCES
from archrank.datasets.io.bounded import read_bytes
from archrank.datasets.io.paths import is_file
from archrank.datasets.io.plain_yaml import read_plain_file
from archrank.eval.trials.fields import Name, Text
from archrank.eval.trials.seeds import parse_seeds

SHIPPED = Path(__file__).parent / "suites"
MOST_NOTE = 1 << 20


class Suite(BaseModel):
    """A declared set of trials: every encoder on every benchmark, target, budget and seed."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    benchmarks: list[str] = Field(min_length=1)
    """always run; one that is not available locally stops the run"""
    optional: list[str] = []
    """run where their tables are available locally, skipped with a line elsewhere"""
    encoders: list[str | dict[str, Any]] = Field(min_length=1)
    """as on the command line (`gin[layers=3]`, `path+gp`, `my_file.py:MyEncoder`), or `{name: ..., option: value}`"""
    budgets: list[int] = Field(min_length=1)
    """numbers of labelled architectures"""
    seeds: int | list[int] | str = 5
    """how many, from 0; or which: a list, or text such as `3-5,8`"""
    targets: list[str] | None = None
    """metrics to predict; none means each benchmark's default"""
    protocol: str = "clean"
    """how splits are drawn"""
    recipe: str = "common"
    """how predictors are trained: a name, or a YAML file"""

    @field_validator("seeds")
    @classmethod
    def _which(cls, seeds: int | list[int] | str) -> int | list[int]:
        try:
            return parse_seeds(seeds) if isinstance(seeds, str) else seeds
        except ArchrankError as error:
            raise ValueError(str(error)) from None

    def available_locally(self) -> tuple[list[str], dict[str, str]]:
        """The benchmarks to run here, and those to skip: name -> how to get it. ArchrankError for an optional name
        nobody knows."""
        state = available()
        skipped = {}
        for name in self.optional:
            if name not in state:
                raise unknown("benchmark", name, state)
            if state[name] == "missing":
                skipped[name] = f"put {SOURCES[name].file} into a data folder; get it from {SOURCES[name].obtain}"
        return self.benchmarks + [name for name in self.optional if name not in skipped], skipped


def shipped() -> Iterable[str]:
    """Names of the suites inside the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def read_suite(name: str) -> Suite:
    """A shipped suite by name, or a YAML file. ArchrankError, one line, for anything wrong in it."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if not is_file(path):
        raise (
            ArchrankError(f"suite file {name} does not exist")
            if path == Path(name)
            else unknown("suite", name, shipped())
        )
    fields = read_plain_file(path, f"suite {path}")
    misspelt = [str(field) for field in fields if field not in Suite.model_fields] if isinstance(fields, dict) else []
    if misspelt:  # before the rest: a field that is lacking may be this one
        raise unknown(f"field of suite {path}", misspelt[0], Suite.model_fields)
    try:
        return Suite.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ArchrankError(f"suite {path}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from None


class SkippedNote(BaseModel):
    """What `note_skipped` leaves in a store: benchmark that was not run -> how to get it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    suite: Name
    skipped: dict[Name, Text]


def note_skipped(store: Path, suite: str, skipped: Mapping[str, str]) -> None:
    """Leave in the store which benchmarks of a suite were not run and how to get them, so that a report can say so; a
    later run replaces it."""
    from archrank.eval.trials.files import replace_bytes  # reads and writes tables; reading a suite needs neither

    name = Path(suite).stem
    text = json.dumps({"suite": name, "skipped": dict(skipped)}, indent=1, ensure_ascii=False) + "\n"
    replace_bytes(store / "suites" / f"{name}.json", text.encode())


def read_skipped(stores: Iterable[Path]) -> dict[str, dict[str, str]]:
    """Suite -> benchmark that was not run -> how to get it, from `note_skipped`; a file that is not whole is passed
    over."""
    skipped: dict[str, dict[str, str]] = {}
    for path in (path for store in stores for path in sorted((store / "suites").glob("*.json"))):
        try:
            note = SkippedNote.model_validate_json(read_bytes(path, MOST_NOTE))
        except (DataError, ValidationError):
            continue
        skipped.setdefault(note.suite, {}).update(note.skipped)
    return skipped
