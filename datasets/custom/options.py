"""What a user says of a custom benchmark beside its graphs and scores."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from archrank.datasets.catalog import is_official
from archrank.datasets.errors import DataError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class TableOptions:
    """What a user says of a table beside its graphs and scores; None: what the table itself shows.

    name: of the benchmark. title: in full. space: the search space it belongs to (default: one of its own, called like
    the table); tables of one space count once in statistics. ops: the vocabulary in the order of its ids (default: what
    occurs, sorted). roles: op name by role (`input`, `output`, `none`, `skip`; further ones `input_2`, ...; default: by
    usual names). minimize: metrics where less is better (default: by their names). units: of metrics. default_target:
    the metric predicted when none is named (default: the first). source: where the table comes from.
    """

    name: str = "own"
    title: str | None = None
    space: str | None = None
    ops: Sequence[str] | None = None
    roles: Mapping[str, str] | None = None
    minimize: Collection[str] | None = None
    units: Mapping[str, str] | None = None
    default_target: str | None = None
    source: str = "custom benchmark"

    def check(self) -> None:
        """DataError for names that cannot be those of a benchmark or a space."""
        for what, name in (("benchmark", self.name), ("search space", self.space)):
            if name is not None and not _NAME.fullmatch(name):
                raise DataError(
                    f"'{name[:80]}' cannot be the name of a {what}: letters, digits, '_', '-' and '.', at most 64"
                )
        if is_official(self.name):
            raise DataError(
                f"'{self.name}' is the name of a benchmark that archrank comes with; choose another one (name=..., --as NAME)"
            )
