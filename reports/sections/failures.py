"""Section 9: what failed, what deviated, what leaks."""

from __future__ import annotations

from archrank.datasets import PROTOCOLS
from archrank.reports.blocks import Block, Bold, Cell, Column, Details, Section, Table, Text
from archrank.reports.sections import section
from archrank.reports.stores import alike, cells
from archrank.reports.study import MAIN, Study
from archrank.reports.words import join, plural

__all__ = ["failures"]

MOST_ROWS = 60


@section("failures", order=90)
def failures(study: Study) -> Section:
    """Failed trials, undefined metrics, notes on deviations, recipes of their own and leaky protocols."""
    blocks: list[Block] = []
    failed = study.frame[study.frame["status"] != "done"]
    if failed.empty:
        blocks.append(Text(("No trial failed.",)))
    else:
        blocks.append(_failed(study))
    blocks += [Text((f"{line[:1].upper()}{line[1:]}.",), "warning") for line in study.problems]
    done = study.frame[study.frame["status"] == "done"]
    undefined = done[done[MAIN].isna()]
    if len(undefined):
        blocks.append(
            Text(
                (
                    Bold(plural(len(undefined), "trial")),
                    " finished with an undefined τ (a constant prediction orders "
                    f"nothing): {join(sorted(undefined['label'].unique()))}. They count as missing, not as 0.",
                ),
                "warning",
            )
        )
    blocks += _notes(study)
    own = sorted(
        {
            (str(label), str(recipe))
            for label, recipe in zip(study.frame["label"], study.frame["recipe"])
            if recipe != "common"
        }
    )
    blocks.append(
        Text(
            (
                f"{plural(len(own), 'predictor')} ran under another recipe than the common one, each recipe in tables of its own: "
                + join([f"{label} ({recipe})" for label, recipe in own], 12)
                + ".",
            )
            if own
            else ("Every trial used the common recipe, so within a table the encoder is the only difference.",)
        )
    )
    leaky = [
        (name, PROTOCOLS[name].leaks)
        for name in sorted({g.protocol for g in study.groups})
        if name in PROTOCOLS and PROTOCOLS[name].leaks
    ]
    blocks += [Text((Bold(name), f": {leak}."), "warning") for name, leak in leaky] or [
        Text(("None of the protocols used here lets the test set leak into training.",))
    ]
    return Section("failures", "Failures and deviations", blocks, "Failures")


def _failed(study: Study) -> Table:
    failed = [record for record in study.records.values() if record.status != "done"]
    kinds = alike(failed)
    columns = (
        Column("label", "predictor", "", False),
        Column("task", "benchmark", "", False),
        Column("type", "error", "", False),
        Column("message", "message", "", False),
        Column("cells", "budget/seed", "", False),
        Column("n", "trials"),
        Column("key", "key of the first", "", False),
    )
    rows = tuple(
        {
            "label": Cell(label, label=label),
            "task": Cell(task),
            "type": Cell(kind, tone="bad"),
            "message": Cell(message[:200]),
            "cells": Cell(join(cells(records), 6)),
            "n": Cell(str(len(records)), float(len(records))),
            "key": Cell(records[0].key[:12]),
        }
        for (label, task, kind, message), records in list(kinds.items())[:MOST_ROWS]
    )
    more = f" The first {MOST_ROWS} of {len(kinds)} kinds." if len(kinds) > MOST_ROWS else ""
    return Table(
        "failed",
        f"{plural(len(failed), 'failed trial')}, equal errors together; archrank show with the key has the traceback.{more}",
        columns,
        rows,
        sortable=True,
        compact=True,
    )


def _notes(study: Study) -> list[Block]:
    noted: dict[str, dict[str, int]] = {}
    for record in study.records.values():
        for note in record.notes:
            who = noted.setdefault(note, {})
            who[record.label] = who.get(record.label, 0) + 1
    if not noted:
        return [Text(("No trial recorded a deviation.",))]
    listed = sorted(noted.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    out: list[Block] = [
        Text((Bold(join(sorted(who))), f" ({plural(sum(who.values()), 'trial')}): {note}"), "item")
        for note, who in listed[:MOST_ROWS]
    ]
    if len(listed) > MOST_ROWS:
        out.append(Text((f"{len(listed) - MOST_ROWS} more notes are in the trials themselves.",), "note"))
    return [Details(f"{plural(len(listed), 'kind of note', 'kinds of notes')} on deviations and fallbacks", tuple(out))]
