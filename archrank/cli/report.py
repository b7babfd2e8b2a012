"""`archrank report`, `status`, `failures`, `show` and `diff`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from archrank.cli.console import echo, emit, print_columns
from archrank.cli.options import DEFAULT_STORE, Stores, store_folder

AsJson = Annotated[bool, typer.Option("--json", help="For a machine.")]
DEFAULT = [DEFAULT_STORE]


def report(
    store: Stores = DEFAULT,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")] = Path("results"),
    formats: Annotated[
        str, typer.Option("--format", "-f", help="Any of html,md,tex,json,csv,parquet,svg,pdf.")
    ] = "html,md",
    only: Annotated[str | None, typer.Option("--only", help="Compare only these labels or encoder names.")] = None,
    title: Annotated[str, typer.Option("--title", help="The heading.")] = "",
) -> None:
    """Write the comparative report on everything stored: who ranks first, by how much, and whether that is
    significant."""
    from archrank.reports import build

    chosen = _labels(only) if only else None
    renderers = [part.strip() for part in formats.split(",") if part.strip()]
    files = build(store, output, formats=renderers, only=chosen, title=title)
    folders = list(dict.fromkeys(path.parent for path in files if path.parent != output))
    for path in files:
        if path.parent == output:
            echo(f"{path}  {path.stat().st_size / 1000:,.0f} kB")
    for folder in folders:
        echo(f"{folder}/  {sum(path.parent == folder for path in files)} files")


def _labels(text: str) -> list[str]:
    """Comma-separated labels; commas inside the brackets of a label do not separate."""
    out, depth, start = [], 0, 0
    for place, sign in enumerate(text + ","):
        depth += {"[": 1, "]": -1}.get(sign, 0)
        if sign == "," and depth <= 0:
            out.append(text[start:place].strip())
            start = place + 1
    return [part for part in out if part]


def status(store: Stores = DEFAULT, as_json: AsJson = False) -> None:
    """How far the stores have come: trials done and failed by predictor. Exit code 1 if any failed."""
    from archrank.eval.trials.results import latest
    from archrank.reports.stores import progress, read, training
    from archrank.reports.words import replaced

    records, older = latest(read(store).records)
    rows = progress(records)
    left = training(store)
    failed = sum(row.failed for row in rows)
    if as_json:
        emit({"predictors": [asdict(row) for row in rows], "in_training": left, "replaced": older})
    else:
        for group in dict.fromkeys((row.protocol, row.recipe) for row in rows):
            echo(f"protocol {group[0]}, recipe {group[1]}")
            print_columns(
                ("predictor", "done", "failed", "seeds", "budgets", "benchmarks"),
                [
                    (row.label, row.done, row.failed, row.seeds, ",".join(map(str, row.budgets)), " ".join(row.tasks))
                    for row in rows
                    if (row.protocol, row.recipe) == group
                ],
            )
        echo(
            f"{sum(row.done for row in rows):,} done, {failed:,} failed"
            + (f", {left:,} begun and not finished" if left else "")
            + (f"; {replaced(older)}" if older else "")
        )
    raise typer.Exit(1 if failed else 0)


def failures(
    store: Stores = DEFAULT,
    as_json: AsJson = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="With the whole traceback.")] = False,
) -> None:
    """Failed trials and why, equal errors together under the key of the first. Exit code 1 if there are any."""
    from archrank.eval.trials.results import latest
    from archrank.reports.stores import alike, cells, read

    failed = [record for record in latest(read(store).records)[0] if record.status != "done"]
    if as_json:
        emit([record.model_dump(mode="json", include={"key", "label", "trial", "error"}) for record in failed])
    elif not failed:
        echo("no trial failed")
    for (label, task, kind, message, protocol, recipe), records in alike(
        [] if as_json else failed, "protocol", "recipe"
    ).items():
        echo(f"{records[0].key[:12]}  {label} on {task}, {protocol}/{recipe}: {kind}: {message}")
        echo(f"  {len(records)} trial{'s' if len(records) > 1 else ''}, labels/seed: {', '.join(cells(records))}")
        if traceback and records[0].error and records[0].error.traceback:
            echo(records[0].error.traceback.rstrip(), lines=True)
    raise typer.Exit(1 if failed else 0)


def show(
    trial: Annotated[str, typer.Argument(help="The key of a trial, or its first characters.")],
    store: Stores = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Everything about one trial, and the command that repeats it."""
    from archrank.reports.stores import find, read, repeat_trial

    record = find(read(store).records, trial)
    values = record.plain()
    if as_json:
        emit(values)
        return
    head = record.trial
    echo(f"{record.label} on {head.benchmark}/{head.target}, {head.budget} labels, seed {head.seed}: {record.status}")
    echo(f"key {record.key}")
    echo()
    for name in ("metrics", "timings", "model", "test", "trial", "recipe", "provenance", "error"):
        if values[name]:
            echo(name)
            _pairs(values[name])
    for note in record.notes:
        echo(f"note: {note}")
    echo()
    echo(f"run it again (in another store): {repeat_trial(record)} --store again")


def _pairs(values: dict[str, Any]) -> None:
    width = max(len(name) for name in values)
    for name, value in values.items():
        first, *more = (f"{value:.6g}" if isinstance(value, float) else str(value).rstrip()).split("\n")
        echo(f"  {name:<{width}}  {first}")
        for line in more:
            echo(f"  {'':<{width}}  {line}")


def diff(
    first: Annotated[Path, typer.Argument(help="A store.", parser=store_folder, metavar="FIRST")],
    second: Annotated[Path, typer.Argument(help="Another store.", parser=store_folder, metavar="SECOND")],
    metric: Annotated[str, typer.Option("--metric", help="Which number.")] = "kendall",
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Also the settings that did not move.")] = False,
) -> None:
    """Which numbers moved between two stores: seeds paired, tests adjusted for all settings. Exit code 0 if none did
    and both have the same settings and seeds."""
    from archrank.eval.metrics import METRICS
    from archrank.eval.trials.results import latest
    from archrank.reports.stores import moved, read, scored
    from archrank.reports.words import replaced

    readings = [read([folder]) for folder in (first, second)]
    (before, older), (after, older_after) = (latest(reading.records) for reading in readings)
    if metric in METRICS:
        before, after = scored(before, readings[0], metric), scored(after, readings[1], metric)
    rows = moved(before, after, metric)
    counts = {
        verdict: sum(row.verdict == verdict for row in rows) for verdict in dict.fromkeys(row.verdict for row in rows)
    }
    if as_json:
        emit([asdict(row) for row in rows])
    else:
        shown = [row for row in rows if every or row.verdict not in ("equal", "within")]
        if shown:
            print_columns(
                ("predictor", "task", "labels", "seeds", "first", "second", "second - first", "verdict"),
                [
                    (
                        row.cell[0],
                        f"{row.cell[1]}/{row.cell[2]} {row.cell[3]}/{row.cell[4]}",
                        row.cell[5],
                        row.seeds,
                        f"{row.before:.4f}",
                        f"{row.after:.4f}",
                        row.difference,
                        row.verdict,
                    )
                    for row in shown
                ],
            )
        echo(
            f"{len(rows)} settings of {metric}: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        )
    if older + older_after:
        echo(replaced(older + older_after), err=as_json)
    raise typer.Exit(0 if counts.keys() <= {"equal", "within", "no interval"} else 1)
