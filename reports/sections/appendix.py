"""Section 10: every trial, what differs in configuration, and how each number is computed."""

from __future__ import annotations

import math

from archrank.eval.metrics import METRICS
from archrank.eval.statistics import KINDS
from archrank.reports.blocks import Block, Bold, Cell, Column, Details, Mono, Section, Table, Text
from archrank.reports.sections import section
from archrank.reports.study import MAIN, Study, grouped, task_name
from archrank.reports.words import count, join, missing_cell, plural

__all__ = ["appendix"]

MOST_TRIALS = 3000


@section("appendix", order=100)
def appendix(study: Study) -> Section:
    """Every trial, what differs in configuration, and how each number is computed."""
    said, *listed = _trials(study)
    blocks: list[Block] = [
        said,
        *listed,
        Details("Configurations: what each label stands for", (_configurations(study),)),
        Details("How each number is computed", tuple(_method()), "method"),
    ]
    return Section("appendix", "Appendix", blocks)


def _trials(study: Study) -> list[Block]:
    frame = study.frame.sort_values(["protocol", "recipe", "benchmark", "target", "label", "budget", "seed"])
    said = Text(
        (
            f"{plural(len(frame), 'trial')}. One JSON file each in the store; ",
            Mono("archrank show KEY"),
            " prints everything about one, and the command that repeats it; ",
            "report.json lists every key."
            if "json" in study.formats
            else "trials.csv lists every key."
            if "csv" in study.formats
            else "archrank report --format csv writes a table of all.",
        ),
        "note",
    )
    if len(frame) > MOST_TRIALS:
        return [said, _summary(study)]
    tables: list[Block] = []
    for (protocol, recipe, benchmark, target), part in grouped(frame, "protocol", "recipe", "benchmark", "target"):
        seeds = sorted(int(v) for v in part["seed"].unique())
        columns = (
            Column("label", "predictor", "", False),
            Column("budget", "labels"),
            *(Column(f"s{v}", f"seed {v}") for v in seeds),
        )
        rows = []
        for (label, budget), cells in grouped(part, "label", "budget"):
            row = {"label": Cell(label, label=label), "budget": Cell(str(budget), float(budget))}
            row |= {f"s{v}": missing_cell() for v in seeds}
            for seed, status, value in zip(cells["seed"], cells["status"], cells[MAIN]):
                known = status == "done" and math.isfinite(value)
                row[f"s{seed}"] = (
                    Cell(f"{value:.4f}", value)
                    if known
                    else missing_cell("failed" if status != "done" else "undefined")
                )
            rows.append(row)
        title = f"{task_name(benchmark, target)}, protocol {protocol}, recipe {recipe}: {plural(len(part), 'trial')}"
        tables.append(Details(title, (Table(f"trials-{len(tables)}", title, columns, tuple(rows), compact=True),)))
    return [said, Details("Every trial, benchmark by benchmark", tuple(tables))]


def _summary(study: Study) -> Block:
    columns = (
        Column("group", "protocol / recipe", "", False),
        Column("task", "benchmark", "", False),
        Column("labels", "predictors"),
        Column("budgets", "budgets", "", False),
        Column("done", "done"),
        Column("failed", "failed"),
    )
    rows = []
    for (protocol, recipe, benchmark, target), part in grouped(
        study.frame, "protocol", "recipe", "benchmark", "target"
    ):
        done = int((part["status"] == "done").sum())
        rows.append(
            {
                "group": Cell(f"{protocol} / {recipe}"),
                "task": Cell(task_name(str(benchmark), str(target))),
                "labels": Cell(str(part["label"].nunique())),
                "budgets": Cell(join([str(b) for b in sorted(part["budget"].unique())])),
                "done": Cell(count(done)),
                "failed": Cell(count(len(part) - done)),
            }
        )
    return Table(
        "trials",
        f"Trials by benchmark; with more than {MOST_TRIALS:,} of them they are not listed here.",
        columns,
        tuple(rows),
        compact=True,
    )


def _configurations(study: Study) -> Block:
    seen: dict[str, dict[str, object]] = {}
    for record in study.records.values():
        trial = record.trial
        here = seen.setdefault(
            record.label,
            {
                "encoder": trial.encoder,
                "config": trial.config,
                "head": trial.head,
                "family": record.family,
                "source": set(),
                "parameters": set(),
            },
        )
        for field, value in (("source", trial.source[:10]), ("parameters", record.model.parameters)):
            if value is not None:
                values = here[field]
                assert isinstance(values, set)
                values.add(value)
    columns = tuple(
        Column(k, k, "", False) for k in ("label", "family", "encoder", "config", "head", "parameters", "source")
    )
    rows = []
    for label, here in sorted(seen.items()):
        config, sizes, sources = here["config"], here["parameters"], here["source"]
        assert isinstance(config, dict) and isinstance(sizes, set) and isinstance(sources, set)
        text = ", ".join(f"{k}={v}" for k, v in sorted(config.items())) or "defaults"
        size = (
            "–" if not sizes else count(min(sizes)) if len(sizes) == 1 else f"{count(min(sizes))}–{count(max(sizes))}"
        )
        rows.append(
            {
                "label": Cell(label, label=label),
                "family": Cell(str(here["family"])),
                "encoder": Cell(str(here["encoder"])),
                "config": Cell(text),
                "head": Cell(str(here["head"])),
                "parameters": Cell(size),
                "source": Cell(join(sorted(sources), 4)),
            }
        )
    return Table(
        "configurations",
        "What each label stands for; config lists what differs from the encoder's defaults.",
        columns,
        tuple(rows),
        compact=True,
    )


def _method() -> list[Block]:
    out: list[Block] = [
        Text((Bold(f"{name} {metric.arrow}: "), f"{metric.description}."), "item")
        for name, metric in METRICS.items()
        if metric.default
    ]
    out += [Text((Bold(f"Intervals “{kind}”: "), f"{text}."), "item") for kind, text in KINDS.items()]
    out += [
        Text(
            (
                Bold("Pairing: "),
                "predictors are compared on identical splits and test sets, over the settings (benchmark, target, budget, seed) present for all of them; nothing is imputed.",
            ),
            "item",
        ),
        Text(
            (
                Bold("Weights: "),
                "every search space counts the same, within it every benchmark target, within that every budget, within that every split.",
            ),
            "item",
        ),
        Text(
            (
                Bold("Tiers: "),
                "paired two-sided tests of every pair at the 5 % level, Holm-adjusted over all pairs of a table; labels share a letter if and only "
                "if they do not differ significantly.",
            ),
            "item",
        ),
        Text(
            (
                Bold("Digits: "),
                f"a value is printed to the place of the second digit of its interval at most. {METRICS[MAIN].description} on 200 "
                "test architectures is itself known to about ±0.03, on 5,000 to about ±0.006.",
            ),
            "item",
        ),
    ]
    return out
