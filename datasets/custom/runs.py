"""One row per training: rows of one architecture become one, with the mean of their scores and the single runs beside
it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from archrank.datasets.custom.graph import CustomGraph, Problems
from archrank.datasets.custom.raw import RawTable
from archrank.datasets.custom.scores import numbers
from archrank.datasets.errors import DataError

MOST_RUNS = 64


def averaged(raw: RawTable, runs: Sequence[str] | None = None, column: str = "") -> RawTable:
    """The table with one row per architecture. runs: what tells the trainings of one architecture apart, from the
    column of that name; None: nothing does, and they are numbered from 1 as they come.

    Rows belong together that have one name (where there are names) and equal graphs. The table comes back as it is
    where no two do. DataError where a training comes twice, or there are more than 64.
    """
    members = _members(raw)
    if len(members) == len(raw.graphs) or any(graph.problem for graph in raw.graphs):
        return raw
    if runs is None:
        numbered = {row: number for rows in members.values() for number, row in enumerate(rows, 1)}
        runs = [str(numbered[row]) for row in range(len(raw.graphs))]
    labels = list(dict.fromkeys(runs)) if column else sorted(set(runs), key=int)
    if len(labels) > MOST_RUNS:
        reason = (
            f"column '{column}' tells {len(labels)} trainings apart" if column else f"{len(labels)} rows repeat one"
        )
        raise DataError(f"{raw.where}: {reason}; at most {MOST_RUNS} are held, average them first")
    for rows in members.values():
        seen: dict[str, int] = {}
        for row in rows:
            if runs[row] in seen:
                raise DataError(
                    f"{raw.where}: {raw.rows[row]}: repeats '{column}' {runs[row]} of {raw.rows[seen[runs[row]]]} for one architecture"
                )
            seen[runs[row]] = row
    problems = Problems(raw.where)
    columns: dict[str, np.ndarray] = {}
    repeats: dict[str, list[str]] = {}
    for metric in raw.scores.columns:
        values = numbers(raw.scores[metric], raw.rows, str(metric), problems)
        table = np.full((len(members), len(labels)), np.nan)
        for place, rows in enumerate(members.values()):
            table[place, [labels.index(runs[row]) for row in rows]] = values[rows]
        counts = (~np.isnan(table)).sum(1)
        columns[str(metric)] = np.where(counts > 0, np.nansum(table, 1) / np.maximum(counts, 1), np.nan)
        repeats[str(metric)] = [f"{metric}/{label}" for label in labels]
        columns |= dict(zip(repeats[str(metric)], table.T))
    problems.check()
    first = [rows[0] for rows in members.values()]
    sizes = sorted({len(rows) for rows in members.values()})
    each = f"{'' if sizes[0] == sizes[-1] else f'{sizes[0]} to '}{sizes[-1]} trainings each"
    reason = f" (column '{column}')" if column else ""
    note = f"{len(raw.graphs):,} rows are {each}{reason} of {len(members):,} architectures; scores are their means"
    ordered = [*repeats, *(column for columns_of in repeats.values() for column in columns_of)]
    return replace(
        raw,
        graphs=[raw.graphs[row] for row in first],
        scores=pd.DataFrame({name: columns[name] for name in ordered}),
        rows=[raw.rows[row] for row in first],
        arch=[raw.arch[row] for row in first] if raw.arch else None,
        repeats=repeats,
        notes=[*raw.notes, note],
    )


def repeated_note(raw: RawTable) -> list[str]:
    """What a user should know where rows repeat a graph and stay architectures of their own."""
    if any(graph.problem for graph in raw.graphs) or raw.repeats:
        return []
    again = len(raw.graphs) - len({_identity(graph) for graph in raw.graphs})
    if not again:
        return []
    return [
        f"{again:,} rows repeat the graph of another row and share its isomorphism class; --average takes them for repeated "
        "measurements of one architecture"
    ]


def _members(raw: RawTable) -> dict[Hashable, list[int]]:
    """Rows of each architecture, by name and graph."""
    members: dict[Hashable, list[int]] = {}
    for row, graph in enumerate(raw.graphs):
        members.setdefault((raw.arch[row] if raw.arch else "", _identity(graph)), []).append(row)
    return members


def _identity(graph: CustomGraph) -> Hashable:
    attrs = tuple((name, tuple(values)) for name, values in sorted(graph.attrs.items()))
    return tuple(graph.ops), tuple(sorted(graph.edges)), tuple(graph.cell or ()), attrs
