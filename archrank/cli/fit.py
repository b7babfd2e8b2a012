"""`archrank fit` and `archrank predict`: a predictor for a table of one's own, without a line of Python."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archrank.cli.console import echo, print_columns
from archrank.datasets.io.paths import is_file, is_folder

if TYPE_CHECKING:
    from archrank.datasets.benchmark import Benchmark


def fit(
    table: Annotated[Path, typer.Argument(help="A .csv, .tsv or .parquet of your own, or the name of a benchmark.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write the predictor to.")],
    target: Annotated[str | None, typer.Option("--target", help="Metric to predict [the first accuracy].")] = None,
    minimize: Annotated[
        str | None, typer.Option("--minimize", help="Metrics where less is better [by their names].")
    ] = None,
    ops: Annotated[str | None, typer.Option("--ops", help="Operations in the order of their ids, a,b,c.")] = None,
    roles: Annotated[
        str | None, typer.Option("--roles", help="input=a,output=b,none=c,skip=d [by usual names].")
    ] = None,
    portfolio: Annotated[
        str, typer.Option("--portfolio", help="What the predictor is made of: auto (minutes), auto[preset=fast].")
    ] = "auto[limit=60]",
    recipe: Annotated[str, typer.Option("--recipe", help="How networks are trained.")] = "common",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of folds, weights and order.")] = 0,
) -> None:
    """Fit the best predictor to a table, say how well it ranks architectures that it has not seen, and save it."""
    import numpy as np

    from archrank.eval.auto_predictor import AutoPredictor

    started = time.monotonic()
    benchmark = _table(table, target, minimize, ops, roles)
    metric = benchmark.default_target if target is None else benchmark.check_target(target)
    scores = benchmark.target(metric)
    rows = np.flatnonzero(np.isfinite(scores))
    direction = benchmark.direction(metric)
    predictor = AutoPredictor(benchmark.space, portfolio, recipe, direction, seed)
    graphs, others = benchmark.graphs.plain(), np.flatnonzero(~np.isfinite(scores))
    predictor.fit(graphs[rows.tolist()], scores[rows], graphs[others.tolist()] if len(others) else None)
    predictor.save(output)
    said = predictor.explain()
    unit = f", {benchmark.unit(metric)}" if benchmark.unit(metric) else ""
    echo(
        f"{table}: {len(rows):,} architectures, {metric} ({'higher' if direction == 'max' else 'lower'} is better{unit})"
    )
    print_columns(
        ["part", "weight", "tau held out", "seconds"],
        [
            [part["name"], f"{part['weight']:.2f}", f"{part['tau']:.3f}", f"{part['seconds']:.1f}"]
            for part in said["parts"]
        ],
    )
    for name, why in said["refused"].items():
        echo(f"left out: {name}: {why}")
    low, high = said["interval"]
    echo(f"cross-validated Kendall's tau {said['tau']:.3f}, 95 % interval [{low:.3f}, {high:.3f}]")
    echo(f"{output} written after {time.monotonic() - started:.0f} s; archrank predict {output} graphs.csv uses it")


def predict(
    predictor: Annotated[Path, typer.Argument(help="A file that `archrank fit` wrote.")],
    graphs: Annotated[Path, typer.Argument(help="A .csv, .tsv or .parquet with columns ops and edges.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV to write [the terminal].")] = None,
    level: Annotated[float, typer.Option("--level", min=0.5, max=0.99, help="Of the intervals.")] = 0.9,
) -> None:
    """Predict scores of new architectures, with intervals, in the order of the file: arch, prediction, low, high."""
    import pandas as pd

    from archrank.datasets.custom.files import read_candidates
    from archrank.eval.auto_predictor import AutoPredictor

    loaded = AutoPredictor.load(predictor)
    assert loaded.space is not None
    names, candidates = read_candidates(graphs, loaded.space)
    low, middle, high = loaded.interval(candidates, level)
    frame = pd.DataFrame({"arch": names, "prediction": middle, "low": low, "high": high})
    text = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    if output is None:
        echo(text.rstrip("\n"), lines=True)
        return
    output.write_text(text, encoding="utf-8")
    echo(f"{len(frame):,} architectures predicted: {output}")


def _table(table: Path, target: str | None, minimize: str | None, ops: str | None, roles: str | None) -> Benchmark:
    """A table in a file, whose space is opened for other graphs, or a benchmark by its name."""
    from archrank.cli.tables import pairs, words
    from archrank.datasets.benchmark import build
    from archrank.datasets.catalog import load
    from archrank.datasets.custom.files import read_custom
    from archrank.datasets.custom.options import TableOptions
    from archrank.datasets.errors import ArchrankError

    if not is_file(table) and not is_folder(table):
        if table.suffix.lower() in (".csv", ".tsv", ".parquet"):
            raise ArchrankError(f"{table}: there is no such file")
        return load(str(table))
    options = TableOptions(
        roles=pairs("--roles", roles), ops=words(ops), minimize=words(minimize), default_target=target
    )
    benchmark = build(*read_custom(table, options), where=str(table))
    benchmark.space = benchmark.space.opened()
    return benchmark
