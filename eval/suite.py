"""Suites: a declared set of trials in YAML."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archrank.datasets.errors import ArchrankError, unknown

if TYPE_CHECKING:
    from archrank.eval.trials import Plan

SHIPPED = Path(__file__).parent / "suites"


class Suite(BaseModel):
    """Fields of a suite file. seeds: how many, from 0, or a list. targets: none means each benchmark's default."""

    model_config = ConfigDict(extra="forbid")
    benchmarks: list[str] = Field(min_length=1)
    encoders: list[str | dict[str, Any]] = Field(min_length=1)
    budgets: list[int] = Field(min_length=1)
    seeds: int | list[int] = 5
    targets: list[str] | None = None
    protocol: str = "clean"
    recipe: str = "common"

    def plan(self) -> Plan:
        """The suite's trials, checked."""
        from archrank.eval.specs import parse_list
        from archrank.eval.trials import make_plan

        return make_plan(parse_list(self.encoders), benchmarks=self.benchmarks, budgets=self.budgets, seeds=self.seeds, targets=self.targets,
                         protocol=self.protocol, recipe=self.recipe)


def shipped() -> Iterable[str]:
    """Names of the suites inside the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def read_suite(name: str) -> Suite:
    """A shipped suite by name, or a YAML file. ArchrankError, one line, for anything wrong in it."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if not path.is_file():
        raise ArchrankError(f"suite file {name} does not exist") if path == Path(name) else unknown("suite", name, shipped())
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Suite.model_validate(fields)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", -1) + 1
        raise ArchrankError(f"suite {path}, line {line}: not valid YAML") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ArchrankError(f"suite {path}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from None
