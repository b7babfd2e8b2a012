"""Section 2: what was run, on what, and the command that runs it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from archrank.datasets import PROTOCOLS
from archrank.datasets.card import MetricCard
from archrank.eval.statistics import ComparisonError, coverage
from archrank.eval.trials.provenance import own_version
from archrank.reports.blocks import Block, Bold, Cell, Code, Column, Details, Section, Table, Text
from archrank.reports.cite import bibtex, citations, finished
from archrank.reports.sections import section
from archrank.reports.study import MAIN, Group, Study, task_name
from archrank.reports.words import count, join, missing_cell, plural, replaced

__all__ = ["repeat", "what_was_run"]

UNUSED = {"None", "0"}
"""What a field of a recipe says when it plays no part."""


@section("run", order=20)
def what_was_run(study: Study) -> Section:
    """What was run: protocol, recipe, cards, coverage, machines, versions, command."""
    frame = study.frame
    done = int((frame["status"] == "done").sum())
    failed = len(frame) - done
    blocks: list[Block] = [
        Text(
            (
                Bold(plural(done, "trial")),
                f" of {plural(frame['label'].nunique(), 'predictor')} on "
                f"{plural(len(frame.groupby(['benchmark', 'target'])), 'benchmark target')} in "
                f"{plural(frame['space'].nunique(), 'search space')}; {plural(failed, 'failure')}"
                + (f"; {replaced(study.superseded)}" if study.superseded else "")
                + "."
                + (f" Suites run: {join(study.suites)}." if study.suites else ""),
            )
        )
    ]
    blocks += [
        Text((Bold(f"Not run: {name}"), f" of suite {suite}, whose table was not available locally; {how}."), "warning")
        for name, (suite, how) in study.skipped.items()
    ]
    blocks.append(Code("\n".join(line for group in study.groups for line in repeat(study, group))))
    dates = f"Newest trial {newest} (UTC); " if (newest := finished(study)) else ""
    blocks.append(Text((f"{dates}report written by archrank {own_version()}.",), "note"))
    for group in study.groups:
        blocks += _coverage(group)
    for name in sorted({g.protocol for g in study.groups}):
        if name in PROTOCOLS and PROTOCOLS[name].leaks:
            blocks.append(Text((Bold(f"protocol {name} leaks: "), f"{PROTOCOLS[name].leaks}."), "warning"))
    blocks += [
        Details("Protocols and recipes", tuple(_protocols(study))),
        Details("Benchmarks, from their cards", (_cards(study),)),
        Details("Machines and versions", (_machines(study),)),
        Details("How to cite", tuple(_cite(study))),
    ]
    return Section("run", "What was run", blocks, "Run")


def _cite(study: Study) -> list[Block]:
    said: list[Block] = [Code(bibtex())]
    return said + [Text((Bold(f"{name}: "), text), "item") for name, text in citations(study)]


def repeat(study: Study, group: Group, seeds: str = "") -> list[str]:
    """The command lines that run the trials of a group: one for all benchmarks with the same budgets and targets, or
    each with its default one. seeds: others than those of the trials, as `--seeds` takes them."""
    alike: dict[tuple[str, str], list[str]] = {}
    for name, part in group.frame.groupby("benchmark"):
        target, budgets = (",".join(map(str, sorted(part[column].unique()))) for column in ("target", "budget"))
        table = study.table(str(name))
        own = not isinstance(table, str) and target == table.default_target
        alike.setdefault(("" if own else target, budgets), []).append(str(name))
    return [
        _command(study, group, benchmarks, target, budgets, seeds) for (target, budgets), benchmarks in alike.items()
    ]


def _command(study: Study, group: Group, benchmarks: list[str], target: str, budgets: str, seeds: str) -> str:
    part = group.frame[group.frame["benchmark"].isin(benchmarks)]
    encoders = ",".join(sorted({study.records[key].command_name for key in part["key"]}))
    options = (
        {"benchmark": ",".join(benchmarks)}
        | ({"target": target} if target else {})
        | {"encoders": encoders, "budgets": budgets}
    )
    options |= {"seeds": seeds or str(int(part["seed"].max()) + 1), "protocol": group.protocol, "recipe": group.recipe}
    return shlex.join(["archrank", "run", *(word for name, value in options.items() for word in (f"--{name}", value))])


def _protocols(study: Study) -> list[Block]:
    out: list[Block] = []
    for name in sorted({g.protocol for g in study.groups}):
        known = PROTOCOLS.get(name)
        out.append(
            Text((Bold(f"protocol {name}: "), f"{known.summary}." if known else "not one of archrank's own."), "item")
        )
    for name in sorted({g.recipe for g in study.groups}):
        keys = study.frame.loc[study.frame["recipe"] == name, "key"]
        forms: dict[str, set[str]] = {}
        for key in keys:
            for field, value in study.records[key].recipe.items():
                forms.setdefault(field, set()).add(_head(value) if field == "head" else _plain(value))
        same = [
            f"{_words(field)} {next(iter(v))}"
            for field, v in sorted(forms.items())
            if len(v) == 1 and field != "name" and not v <= UNUSED
        ]
        varies = [f"{_words(field)} ({join(sorted(v), 5)})" for field, v in sorted(forms.items()) if len(v) > 1]
        text = f"{', '.join(same) or 'no recorded field'}." + (
            f" Differs between trials: {'; '.join(varies)}." if varies else ""
        )
        out.append(Text((Bold(f"recipe {name}: "), text), "item"))
    return out


def _words(field: str) -> str:
    return field.replace("_", " ")


def _head(value: object) -> str:
    """A recipe's head: `linear`, or its hidden layers and what differs from a plain one."""
    if not isinstance(value, Mapping):
        return _plain(value)
    hidden = "-".join(map(str, value.get("hidden") or ())) or "none"
    more = [
        f"{_words(name)} {_plain(v)}"
        for name, v in sorted(value.items())
        if name != "hidden" and v not in (0, True, "relu", "identity")
    ]
    return (
        "linear" + (f" with {', '.join(more)}" if more else "")
        if hidden == "none"
        else f"MLP {hidden}" + (f" with {', '.join(more)}" if more else "")
    )


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return " ".join(f"{k}={_plain(v)}" for k, v in sorted(value.items()))
    return str(value)


def _cards(study: Study) -> Table:
    columns = (
        Column("name", "benchmark", numeric=False),
        Column("title", "what it is", numeric=False),
        Column("size", "architectures"),
        Column("targets", "targets used", numeric=False),
        Column("licence", "licence", numeric=False),
        Column("sha", "table sha256", numeric=False),
    )
    rows = []
    for name, part in study.frame.groupby("benchmark"):
        table = study.table(str(name))
        targets = sorted(part["target"].unique())
        used = sorted({study.records[key].trial.table[:12] for key in part["key"]})
        if isinstance(table, str):
            rows.append(
                {
                    "name": Cell(str(name)),
                    "title": missing_cell("table not available locally"),
                    "size": missing_cell(),
                    "targets": Cell(join(targets)),
                    "licence": missing_cell(),
                    "sha": Cell(", ".join(used)),
                }
            )
            continue
        shown = []
        for target in targets:
            metric = table.card.metrics.get(target, MetricCard())
            arrow = "↓" if metric.direction == "min" else "↑"
            about = ", ".join(part for part in (metric.description, metric.unit) if part)
            shown.append(f"{target} {arrow} ({about})" if about else f"{target} {arrow}")
        rows.append(
            {
                "name": Cell(str(name)),
                "title": Cell(table.about),
                "size": Cell(count(len(table))),
                "targets": Cell("; ".join(shown)),
                "licence": Cell(table.card.licence or "not stated"),
                "sha": Cell(", ".join(used)),
            }
        )
    return Table("cards", "Benchmarks, from their cards.", columns, tuple(rows), compact=True)


def _coverage(group: Group) -> list[Block]:
    try:
        covered = coverage(group.frame, MAIN)
    except ComparisonError as error:
        return [Text((Bold(group.title), f": {error}"), "warning")]
    seeds = group.frame.groupby(["benchmark", "target", "budget"])["seed"].nunique()
    tasks = [(b, t) for b, t in group.tasks]
    cells = [(b, t, budget) for b, t in tasks for budget in group.budgets if (b, t, budget) in seeds.index]
    columns = (
        Column("label", "predictor", numeric=False),
        *(Column(f"c{i}", f"{task_name(b, t)} · {budget}") for i, (b, t, budget) in enumerate(cells)),
    )
    finished = covered.settings[covered.settings["state"] == "done"]
    done = finished.groupby(["label", "benchmark", "target", "budget"]).size().to_dict()
    rows = []
    for label in covered.labels:
        row: dict[str, Cell] = {"label": Cell(label, label=label)}
        for i, cell in enumerate(cells):
            have = int(done.get((label, *cell), 0))
            want = int(seeds[cell])
            row[f"c{i}"] = Cell(str(have)) if have == want else Cell(f"{have}/{want}", tone="missing")
        rows.append(row)
    table = Table(
        f"coverage-{group.id}",
        f"Seeds done, {group.title}. Missing results are marked.",
        columns,
        tuple(rows),
        compact=True,
    )
    missing = len(covered.missing)
    complete = missing == 0
    said = Text(
        (
            Bold(f"{group.title}: "),
            "nothing is missing." if complete else f"{plural(missing, 'result')} missing.",
            f" {covered.sentence()}",
        ),
        "normal" if complete else "warning",
    )
    return [said, Details(f"Coverage matrix, {group.title}", (table,))]


def _machines(study: Study) -> Table:
    seen: dict[tuple[str, ...], int] = {}
    for record in study.records.values():
        key = tuple(
            str(getattr(record.provenance, field) or "unknown")
            for field in ("hardware", "device", "threads", "archrank", "commit", "torch", "python")
        )
        seen[key] = seen.get(key, 0) + 1
    names = ("hardware", "device", "threads", "archrank", "commit", "torch", "python")
    columns = (*(Column(n, n, numeric=False) for n in names), Column("trials", "trials"))
    rows = tuple(
        {**{n: Cell(v) for n, v in zip(names, key)}, "trials": Cell(count(n_trials))}
        for key, n_trials in sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:20]
    )
    return Table("machines", "Where and with what the trials ran.", columns, rows, compact=True)
