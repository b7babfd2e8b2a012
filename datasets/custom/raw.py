"""A custom table as it was given, before its graphs are ordered and its scores are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from archrank.datasets.custom.graph import CustomGraph


@dataclass(frozen=True)
class RawTable:
    """Graphs as they were given and their scores, one row each. rows: what each row is called in an error. where: what
    the table is.

    repeats: metric -> columns of `scores` that hold its single training runs. notes: what was done when it was read.
    """

    graphs: Sequence[CustomGraph]
    scores: pd.DataFrame
    rows: Sequence[str]
    where: str
    arch: Sequence[str] | None = None
    repeats: Mapping[str, list[str]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
