"""Which columns of a file are scores, which of them is predicted by default, and what is left out, with the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown

# Columns that number rows or say how trainings were set, in full.
_NUMBERING = re.compile(
    r"(arch|model|network|cell|row|run|trial|train(ing)?|random)?[_ -]?(index|idx|id|uid|number|no|seed|epochs?)|row|run|trial|fold|"
    r"repeat|repetition|replicate|budget",
    re.IGNORECASE,
)
RUNS = re.compile(
    r"(random|train(ing)?|run|trial)?[_ -]?(seed|run|trial|fold|repeat|repetition|replicate)([_ -]?(id|no|number|index))?",
    re.IGNORECASE,
)
_COST = re.compile(
    r"latency|energy|param|flops|macs|seconds|runtime|memory|(?<![a-z])(time|cost|size|price)(?![a-z])", re.IGNORECASE
)
_ACCURACY = re.compile(r"acc|top.?1", re.IGNORECASE)
_LOGICAL = {"true", "false", "yes", "no"}
_FEWEST_NUMBERED = 10


@dataclass(frozen=True)
class MetricChoice:
    """metrics: columns that are scores. target: the one predicted by default. left_out: other columns and why. notes:
    what a user should know."""

    metrics: list[str]
    target: str
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def choose(
    frame: pd.DataFrame, rows: Sequence[str], path: Path, metrics: Sequence[str] | None, target: str | None
) -> MetricChoice:
    """The scores among the columns of `frame`, which has none that describe graphs.

    metrics: columns the user names, otherwise those of which most fields are numbers and that do not number rows or
    trainings.
    target: what the user names, otherwise the first that is no cost. DataError where nothing is left or a name is not
    there.
    """
    if metrics:
        if missing := [metric for metric in metrics if metric not in frame.columns]:
            raise DataError(
                f"{path}: column '{missing[0]}' is missing (it has: {', '.join(map(str, frame.columns))[:200]})"
            )
        return MetricChoice(list(metrics), target or metrics[0])
    numeric, left_out = _numeric(frame, rows, path)
    numbering = {column: why for column in numeric if (why := _numbers_rows(column, frame[column]))}
    candidates = [column for column in numeric if column not in numbering]
    if not candidates:
        also = f"; {', '.join(numbering)} look like numbers of rows or trainings" if numbering else ""
        raise DataError(f"{path}: no column looks like a score{also}; name the scores (--metrics a,b)")
    scores = [column for column in candidates if not _COST.search(column)] or candidates
    accuracies = [column for column in scores if _ACCURACY.search(column)]
    chosen = target or (accuracies or scores)[0]
    notes = (
        []
        if target or accuracies or len(scores) == 1
        else [
            f"the default target is '{chosen}', the first of {', '.join(scores[:6])}{', ...' if len(scores) > 6 else ''}; --target takes another"
        ]
    )
    return MetricChoice(candidates, chosen, left_out | numbering, notes)


def _numeric(frame: pd.DataFrame, rows: Sequence[str], path: Path) -> tuple[list[str], dict[str, str]]:
    """Columns of which most filled fields are numbers, and why the others are none.

    One wrong field shall be named, not make a column disappear; nor shall scores in a form that is not read, such as
    91,2 or 91.2%.
    """
    numeric, left_out = list[str](), dict[str, str]()
    for column in frame.columns:
        name, filled = str(column), frame[column].reset_index(drop=True).dropna().astype(str).str.strip()
        filled = filled[filled != ""]
        words = filled[pd.to_numeric(filled, errors="coerce").isna()]
        if not len(filled):
            left_out[name] = "empty"
        elif not name.strip() or name.startswith("Unnamed: "):
            left_out[name] = "it has no name; the numbers of rows, if pandas wrote them"
        elif len(words) < 0.5 * len(filled):
            numeric.append(name)
        elif filled.str.match(r"\s*[\[(]").mean() >= 0.5:
            left_out[name] = f"lists such as {shown(words.iloc[0])}"
        elif filled.str.contains(r"\d").mean() >= 0.5 or set(words.str.lower()) <= _LOGICAL:
            raise DataError(
                f"{path}: {rows[words.index[0]]}: '{name}' is {shown(words.iloc[0])}, not a number, like others of this column; "
                "write scores such as 91.2, or name the columns that are scores (--metrics a,b)"
            )
        else:
            left_out[name] = f"text such as {shown(words.iloc[0])}"
    return numeric, left_out


def _numbers_rows(name: str, column: pd.Series) -> str:
    """Why a column of numbers is taken for numbers of rows or settings of trainings; empty if it is not."""
    if _NUMBERING.fullmatch(name.strip()):
        return "its name says that it numbers rows or sets trainings; --metrics takes it all the same"
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    if len(values) >= _FEWEST_NUMBERED and (np.diff(values) == 1).all():
        return "the numbers of rows; --metrics takes it all the same"
    return ""
