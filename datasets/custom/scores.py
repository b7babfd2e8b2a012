"""Scores of a custom benchmark: columns of numbers with direction, unit and single runs; and which of them is predicted
by default."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets.card import STRUCTURE
from archrank.datasets.custom.graph import Problems, as_list, as_value
from archrank.datasets.custom.options import TableOptions
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown
from archrank.datasets.markers import marker

# Direction a metric has when none is given and its name says so.
_SMALLER_IS_BETTER = re.compile(
    r"latency|loss|error|energy|param|flops|seconds|runtime|perplexity|memory|"
    r"(?<![a-z])(time|cost|macs|err|mse|rmse|mae|nll|ppl|wer)(?![a-z])",
    re.IGNORECASE,
)


def score_table(scores: Any, where: str) -> pd.DataFrame:
    """Scores as a frame: metric -> numbers (lists, arrays, tensors), a frame, or numbers alone (then the metric is
    called `score`)."""
    if isinstance(scores, pd.DataFrame):
        return scores
    columns = scores if isinstance(scores, Mapping) else {"score": scores}
    values_of: dict[str, list[Any]] = {}
    for metric, values in columns.items():
        try:
            values_of[str(metric)] = as_list(values)
        except TypeError:
            raise DataError(f"{where}: scores of '{metric}' are {shown(values)}, no list of numbers") from None
        if nested := next((value for value in values_of[str(metric)] if isinstance(value, (list, tuple, dict))), None):
            raise DataError(
                f"{where}: scores of '{metric}' hold {shown(nested)}; one number per architecture is needed"
            )
    if len({len(values) for values in values_of.values()}) > 1:
        raise DataError(
            f"{where}: scores of different length: "
            + ", ".join(f"{metric} {len(values)}" for metric, values in values_of.items())
        )
    return pd.DataFrame(values_of)


@dataclass(frozen=True)
class Scores:
    """Columns of numbers [N]: metrics first, then their single runs. minimize: metrics where less is better. target:
    the default one."""

    metrics: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]
    repeats: Mapping[str, list[str]]
    minimize: Collection[str]
    units: Mapping[str, str]
    target: str

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        repeats: Mapping[str, list[str]],
        rows: Sequence[str],
        options: TableOptions,
        where: str,
        problems: Problems,
    ) -> Scores:
        """Scores of a frame; fields that are no numbers become problems of their rows, wrong options raise
        DataError."""
        if len(twice := table.columns[table.columns.duplicated()]):
            raise DataError(f"{where}: metric '{twice[0]}' comes twice; name it once")
        runs = {column for columns in repeats.values() for column in columns}
        metrics = tuple(str(metric) for metric in table.columns if metric not in runs)
        if not metrics:
            raise DataError(f"{where}: has no metric; add a column of scores")
        if len(table) != len(rows):
            raise DataError(f"{where}: {len(rows)} graphs but {len(table)} rows of scores; give one row each")
        if taken := [metric for metric in metrics if metric in STRUCTURE]:
            raise DataError(f"{where}: a metric cannot be called '{taken[0]}'; that column describes the graphs")
        target = options.default_target or metrics[0]
        for what, named in (
            ("default_target", [target]),
            ("units", options.units or ()),
            ("minimize", options.minimize or ()),
        ):
            if unknown := sorted(set(named) - set(metrics)):
                raise DataError(
                    f"{where}: '{what}' names '{unknown[0]}', which is no metric; known: {', '.join(metrics)}"
                )
        columns = {str(name): numbers(table[name], rows, str(name), problems) for name in table.columns}
        less = (
            set(options.minimize)
            if options.minimize is not None
            else {metric for metric in metrics if _SMALLER_IS_BETTER.search(metric)}
        )
        return cls(metrics, columns, repeats, less, options.units or {}, target)

    def check(self, where: str) -> None:
        """DataError where there is nothing to rank."""
        known = self.columns[self.target][np.isfinite(self.columns[self.target])]
        if len(known) < 2 or (known == known[0]).all():
            raise DataError(
                f"{where}: metric '{self.target}' is the same for every architecture; there is nothing to rank"
            )

    def cards(self) -> dict[str, dict[str, Any]]:
        """The metrics as a card has them."""
        return {
            metric: {
                "unit": str(self.units.get(metric, "")),
                "direction": "min" if metric in self.minimize else "max",
                "description": metric,
            }
            | ({"repeats": self.repeats[metric]} if metric in self.repeats else {})
            for metric in self.metrics
        }

    def missing(self) -> dict[str, int]:
        """How many architectures have no score, of the metrics where some have none."""
        counts = {metric: int(np.isnan(self.columns[metric]).sum()) for metric in self.metrics}
        return {metric: count for metric, count in counts.items() if count}

    def gaps(self) -> list[str]:
        """What follows from scores that are missing, in a sentence."""
        total = len(self.columns[self.metrics[0]])
        parts = [f"'{metric}' in {count:,}" for metric, count in self.missing().items()]
        if not parts:
            return []
        return [
            f"of {total:,} architectures some have no score ({', '.join(parts)}); they are left out where it is the target"
        ]

    def markers(self) -> list[str]:
        """What looks like a marker of missing values, metric by metric."""
        return [f"'{metric}': {said}" for metric in self.metrics if (said := marker(self.columns[metric]))]


def numbers(values: pd.Series, rows: Sequence[str], metric: str, problems: Problems) -> NDArray[np.float64]:
    """A column as numbers [N], NaN where nothing was measured; fields that are no finite numbers become problems of
    their rows."""
    numeric = np.full(len(values), np.nan)
    for row, value in enumerate(map(as_value, values)):
        if value is None or value is pd.NA or (isinstance(value, str) and not value.strip()):
            continue
        try:
            number = float(value) if not isinstance(value, complex) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or np.isinf(number) or (isinstance(value, str) and np.isnan(number)):
            problems.add(
                rows[row], f"'{metric}' is {shown(value)}, not a finite number; leave it empty if it was not measured"
            )
        else:
            numeric[row] = number
    return numeric
