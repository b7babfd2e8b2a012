"""A static site of published results: an index, and a page for each benchmark, target and protocol."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from archrank.eval.statistics import ComparisonError, pairs, rounded, values
from archrank.eval.trials.files import replace_bytes
from archrank.reports.blocks import Block, Bold, Cell, Code, Column, Heading, Link, Section, Table, Text
from archrank.reports.cite import bibtex
from archrank.reports.matrix import BEST, TIED
from archrank.reports.renderers.html import render_html
from archrank.reports.study import MAIN, interval, task_name
from archrank.reports.style import Palette
from archrank.reports.submissions import Submission, read_entries
from archrank.reports.words import count, missing_cell, plural, slug

__all__ = ["build_site"]

ROW = "row"


def build_site(sources: Sequence[Path], out: Path, title: str) -> list[Path]:
    """Write the site and return its files, `index.html` first.

    Args:
        sources: folders of files of `archrank publish`, or the files; `FILE.verified.json` beside one is its mark.
        out: the folder of the site.
        title: its heading.

    Raises:
        ArchrankError: no published results there, or a folder that cannot be written.
    """
    entries = read_entries(sources)
    tasks: dict[tuple[str, str, str], list[tuple[Submission, pd.DataFrame]]] = defaultdict(list)
    for entry in entries:
        for task, part in entry.frame.groupby(["benchmark", "target", "protocol"]) if len(entry.frame) else ():
            tasks[tuple(map(str, task))].append((entry, part))  # type: ignore[index]
    pages: dict[str, bytes] = {}
    rows = []
    for number, (task, parts) in enumerate(sorted(tasks.items())):
        name = f"{slug('-'.join(task))}-{number}.html"
        tables = _tables(parts, number)
        heading = f"{task_name(*task[:2])}, protocol {task[2]}"
        pages[name] = _page(
            title,
            heading,
            f"{plural(len(parts), 'submission')}; mean Kendall τ by label budget.",
            _task_sections(tables, parts),
            tables,
        )
        rows.append(_index_row(task, name, parts, tables))
    subtitle = f"{plural(len(entries), 'submission')}, {plural(len(tasks), 'benchmark and protocol', 'benchmarks and protocols')}."
    index = render_html(title, subtitle, _index(rows, entries), Palette([]), "archrank leaderboard").encode()
    for name, data in {"index.html": index, **pages}.items():
        replace_bytes(out / name, data)
    return [out / name for name in ("index.html", *pages)]


def _page(title: str, heading: str, subtitle: str, sections: Sequence[Section], tables: Sequence[Table]) -> bytes:
    names = [cell.label for table in tables for row in table.rows if (cell := row["label"]).label is not None]
    return render_html(
        heading, subtitle, sections, Palette(names), "archrank leaderboard", [Link(title, "index.html")]
    ).encode()


def _tables(parts: Sequence[tuple[Submission, pd.DataFrame]], number: int) -> list[Table]:
    """One table per recipe, since results of two recipes are never compared."""
    recipes = sorted(
        {str(recipe) for _, part in parts for recipe in part["recipe"]}, key=lambda name: (name != "common", name)
    )
    return [_table(recipe, parts, f"t{number}-{i}") for i, recipe in enumerate(recipes)]


def _table(recipe: str, parts: Sequence[tuple[Submission, pd.DataFrame]], name: str) -> Table:
    named: list[tuple[Submission, pd.DataFrame]] = []
    owners: dict[str, set[str]] = defaultdict(set)
    for entry, part in parts:
        for label in part.loc[part["recipe"] == recipe, "label"].unique():
            owners[str(label)].add(entry.sha256)
    for entry, part in parts:
        mine = part[part["recipe"] == recipe]
        rows = [label if len(owners[label]) == 1 else f"{label} ({entry.sha256[:6]})" for label in mine["label"]]
        named.append((entry, mine.assign(**{ROW: rows})))
    every = pd.concat([part.assign(label=part[ROW]) for _, part in named])
    budgets = sorted(int(b) for b in every["budget"].unique())
    marks = {budget: _marks(every[every["budget"] == budget]) for budget in budgets}
    columns = (
        Column("label", "predictor", "", False),
        *(Column(f"b{b}", f"{b} labels", "up") for b in budgets),
        Column("seeds", "seeds"),
        Column("family", "family", "", False, choose=True),
        Column("submission", "submission", "", False, choose=True),
        Column("verified", "verified", "", False, choose=True),
    )
    lines = []
    for entry, part in named:
        for label, mine in part.groupby(ROW):
            means = values(mine, MAIN)
            line = {
                "label": Cell(str(label), label=str(label)),
                "seeds": Cell(str(mine["seed"].nunique()), float(mine["seed"].nunique())),
                "family": Cell(str(mine["family"].iloc[0] or "–")),
                "submission": Cell(entry.manifest.title, link="index.html"),
                "verified": entry.mark,
            }
            for budget in budgets:
                row = means[means["budget"] == budget]
                line[f"b{budget}"] = _value(row, marks[budget].get(str(label), "")) if len(row) else missing_cell()
            lines.append(line)
    lines.sort(key=lambda line: (-(line[f"b{budgets[-1]}"].sort or -math.inf), line["label"].text))
    caption = (
        f"Recipe {recipe}: mean Kendall τ with its 95 % interval over splits and seeds. {BEST} highest of its column, {TIED} no significant "
        "difference from it (paired tests on the splits that all rows of the column have, 5 % level, Holm-adjusted)."
    )
    return Table(name, caption, columns, tuple(lines), sortable=True, compact=True, look="results")


def _marks(frame: pd.DataFrame) -> dict[str, str]:
    """The highest mean of a budget and what does not differ from it significantly; none where nothing is paired."""
    try:
        compared = pairs(frame, MAIN, scope="splits") if frame["label"].nunique() > 1 else []
    except ComparisonError:
        return {}
    if not compared:
        return {}
    first = compared[0].a
    if compared[0].difference.kind != "splits":
        return {first: BEST}
    tied = {pair.b: TIED for pair in compared if pair.a == first and not pair.significant}
    return {first: BEST} | tied


def _value(row: pd.DataFrame, mark: str) -> Cell:
    value = interval(row.iloc[0])
    known = math.isfinite(value.low)
    tone = {BEST: "best", TIED: "tied"}.get(mark, "normal")
    return Cell(
        f"{rounded(value)} {mark}".strip()
        .replace(", ", ",\u00a0")
        .replace("] ", "]\u00a0"),  # a line's end only before [
        value.estimate,
        low=value.low if known else None,
        high=value.high if known else None,
        tone=tone,  # type: ignore[arg-type]
    )


def _task_sections(tables: Sequence[Table], parts: Sequence[tuple[Submission, pd.DataFrame]]) -> list[Section]:
    lines = [Text((Bold(f"{entry.manifest.title}: "), _who(entry)), "item") for entry, _ in parts]
    return [Section("results", "Results", tables), Section("submissions", "Who submitted", lines)]


def _who(entry: Submission) -> str:
    about = entry.manifest.submitter
    return "; ".join(
        part
        for part in (
            about.name or "no name given",
            about.url,
            f"{plural(entry.manifest.trials, 'trial')}, newest {entry.manifest.finished[:10] or 'undated'}",
            f"sha256 {entry.sha256[:16]}",
            entry.verified.sentence() if entry.verified else "not verified",
        )
        if part
    )


def _index_row(
    task: tuple[str, str, str], page: str, parts: Sequence[tuple[Submission, pd.DataFrame]], tables: Sequence[Table]
) -> dict[str, Cell]:
    first = tables[0]
    budget = first.columns[-5].key
    best = first.rows[0]
    return {
        "task": Cell(task_name(*task[:2]), link=page),
        "protocol": Cell(task[2]),
        "best": Cell(best["label"].text),
        "value": Cell(best[budget].text, best[budget].sort),
        "budget": Cell(budget.removeprefix("b"), float(budget.removeprefix("b"))),
        "predictors": Cell(count(sum(len(table.rows) for table in tables))),
        "submissions": Cell(str(len(parts))),
    }


def _index(rows: Sequence[dict[str, Cell]], entries: Sequence[Submission]) -> list[Section]:
    columns = (
        Column("task", "benchmark", "", False),
        Column("protocol", "protocol", "", False, choose=True),
        Column("best", "highest mean", "", False, choose=True),
        Column("value", "Kendall τ", "up"),
        Column("budget", "labels"),
        Column("predictors", "predictors"),
        Column("submissions", "submissions"),
    )
    listed = Table(
        "benchmarks",
        "At the largest budget, of the first recipe. Each benchmark leads to its page.",
        columns,
        tuple(rows),
        sortable=True,
    )
    about = (
        Column("title", "submission", "", False),
        Column("who", "by", "", False),
        Column("trials", "trials"),
        Column("date", "newest trial", "", False),
        Column("verified", "verified", "", False, choose=True),
        Column("sha256", "sha256", "", False),
    )
    submissions = tuple(
        {
            "title": Cell(entry.manifest.title),
            "who": Cell(entry.manifest.submitter.name or "–"),
            "trials": Cell(count(entry.manifest.trials), float(entry.manifest.trials)),
            "date": Cell(entry.manifest.finished[:10] or "–"),
            "verified": entry.mark,
            "sha256": Cell(entry.sha256[:16]),
        }
        for entry in entries
    )
    cite: list[Block] = [Code(bibtex())]
    for entry in entries:
        if entry.manifest.submitter.citation:
            cite += [Heading(entry.manifest.title), Code(entry.manifest.submitter.citation.strip())]
    add: list[Block] = [
        Text(
            (
                "Pack a store, let a sample be trained again, and put both files into the folder that the site is made of:",
            )
        ),
        Code(
            "archrank publish --store results/store -o results.zip --title 'My encoder' --by 'My name'\narchrank verify-results results.zip --sample 3\narchrank leaderboard FOLDER -o site"
        ),
    ]
    return [
        Section("tasks", "Benchmarks", [listed]),
        Section(
            "submissions",
            "Submissions",
            [
                Table(
                    "submitted",
                    "A mark is set where somebody trained a random sample again.",
                    about,
                    submissions,
                    sortable=True,
                )
            ],
        ),
        Section("cite", "How to cite", cite),
        Section("add", "How to add results", add),
    ]
