"""What the trick is worth: the paired difference that a pretext, a side input or a source table makes to an encoder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archrank.eval.statistics import Comparison, Interval, rounded
from archrank.eval.trials.records import TrialRecord
from archrank.reports.blocks import Block, Bold, Cell, Column, Heading, Section, Table, Text
from archrank.reports.sections import section
from archrank.reports.study import Group, Study, View
from archrank.reports.words import join, missing_cell, seconds

__all__ = ["Trick", "tricks", "tricks_section"]

DIMENSIONS = ("pretext", "side", "source")


@dataclass(frozen=True)
class Trick:
    """A pair of predictors that differ in one addition. with_: label of the one that has it. without: of the one that
    does not. what: the addition, as it is written. given: the other additions that both have."""

    with_: str
    without: str
    what: str
    given: str


def tricks(records: Sequence[TrialRecord], labels: Sequence[str]) -> list[Trick]:
    """Every pair of listed predictors that differ in one addition alone, in the order of `labels`."""
    known: dict[str, tuple[Any, Mapping[str, Any]]] = {}
    for record in records:
        if record.label in labels:
            known[record.label] = ((record.trial.encoder, record.trial.head), record.trial.config)
    by_program = {_program(about, config): label for label, (about, config) in known.items()}
    pairs = []
    for label in labels:
        about, config = known[label]
        for name in DIMENSIONS:
            if name not in config:
                continue
            gone = {name, "unlabelled"} if name == "pretext" else {name}
            less = {option: value for option, value in config.items() if option not in gone}
            if (without := by_program.get(_program(about, less))) is not None:
                what = ", ".join(f"{field}={config[field]}" for field in config if field in gone)
                given = ", ".join(f"{field}={less[field]}" for field in DIMENSIONS if field in less)
                pairs.append(Trick(label, without, what, given))
    return pairs


def _program(about: Any, config: Mapping[str, Any]) -> str:
    return json.dumps([about, dict(config)], sort_keys=True)


@section("tricks", order=45)
def tricks_section(study: Study) -> Section | None:
    """What a pretext, a side input or a source table is worth; nothing where no predictor has one."""
    blocks: list[Block] = []
    for group in study.groups:
        pairs = tricks(list(study.records.values()), group.views[0].order) if group.views else []
        if pairs:
            blocks += [Heading(f"{group.title[0].upper()}{group.title[1:]}"), *_group(study, group, pairs)]
    if not blocks:
        return None
    note = (
        "Each row compares an encoder with itself, on the same splits, with and without one addition: a positive "
        "difference in Kendall's τ is a gain. Bold is significant (paired test at the 5 % level, Holm-adjusted over all "
        "pairs of the leaderboard). Pre-training is shared by all trials of a table; its seconds are divided by the "
        "architectures of that table. Seeds that share a pre-training start from the same weights, so their spread is "
        "that of splits and of fine-tuning. Where a row names what both have, it says what is left of a gain beside it."
    )
    return Section("tricks", "What the trick is worth", [Text((note,), "note"), *blocks])


def _group(study: Study, group: Group, pairs: Sequence[Trick]) -> list[Block]:
    shown = [group.here, *(view for view in group.views if view.id[0] in "bt" and view.id[1:].isdigit())]
    columns = (
        Column("without", "encoder", "", False),
        Column("what", "addition", "", False),
        Column("given", "both have", "", False),
        *(Column(f"v{number}", "all" if not number else view.title, "up") for number, view in enumerate(shown)),
        Column("price", "pre-training", "down", help="seconds for a table, and per architecture of it"),
    )
    rows = []
    for trick in pairs:
        row = {
            "without": Cell(trick.without, label=trick.without),
            "what": Cell(trick.what),
            "given": Cell(trick.given or "–"),
            "price": _price(study, group, trick.with_),
        }
        for number, view in enumerate(shown):
            row[f"v{number}"] = _difference(view, trick)
        rows.append(row)
    caption = (
        f"Difference in Kendall's τ with and without an addition, {group.title}, 95 % intervals over paired splits."
    )
    table = Table(f"tricks-{group.id}", caption, columns, tuple(rows), sortable=True, paper=True)
    return [*(Text(line) for line in _sentences(group.here, pairs)), table]


def difference(view: View, trick: Trick) -> tuple[Comparison, Interval]:
    """The comparison of a pair, and its difference as a gain of the one that has the addition."""
    compared = view.comparison(trick.with_, trick.without)
    gain = compared.difference
    if compared.a != trick.with_:
        gain = Interval(-gain.estimate, -gain.high, -gain.low, gain.kind, gain.units)
    return compared, gain


def _difference(view: View, trick: Trick) -> Cell:
    if not {trick.with_, trick.without} <= set(view.order):
        return missing_cell()
    compared, gain = difference(view, trick)
    tone: Any = "normal" if not compared.significant else "best" if gain.estimate > 0 else "bad"
    return Cell(rounded(gain, signed=True), gain.estimate, tone=tone)


def _price(study: Study, group: Group, label: str) -> Cell:
    rows = group.frame[group.frame["label"] == label]
    spent = rows["pretrain_s"].fillna(0.0)
    if not (spent > 0).any():
        return Cell("none", 0.0)
    each = []
    for name, part in rows.assign(spent=spent).groupby("benchmark"):
        table = study.table(str(name))
        if not isinstance(table, str):
            each.append(float(part["spent"].median()) / len(table))
    median = float(np.median(spent))
    text = seconds(median) + (f" ({seconds(float(np.mean(each)))} each)" if each else "")
    return Cell(text, median)


def _sentences(view: View, pairs: Sequence[Trick]) -> list[tuple[Any, ...]]:
    """Which additions help, which harm, and which gains are left beside another one."""
    differences = [
        (trick, *difference(view, trick)) for trick in pairs if {trick.with_, trick.without} <= set(view.order)
    ]

    def named(better: bool, given: bool) -> list[str]:
        return [
            f"{trick.what} ({trick.without}, {rounded(gain, signed=True)})"
            for trick, compared, gain in differences
            if compared.significant and (gain.estimate > 0) == better and bool(trick.given) == given
        ]

    out: list[tuple[Any, ...]] = []
    if helped := named(True, False):
        out.append(("Over ", view.over, ", ", Bold("significant gains"), ": ", join(helped), "."))
    if harmed := named(False, False):
        out.append(("Over ", view.over, ", ", Bold("significant losses"), ": ", join(harmed), "."))
    if named_here := named(True, True):
        out.append(("Gains that are left beside another addition: ", join(named_here), "."))
    if differences and not out:
        widest = max(
            (max(abs(gain.low), abs(gain.high)) for _, _, gain in differences if math.isfinite(gain.low)),
            default=math.nan,
        )
        end = f"; every interval lies within ±{widest:.3f}" if math.isfinite(widest) else ""
        out.append((f"No addition changes the order of {view.over} significantly{end}.",))
    return out
