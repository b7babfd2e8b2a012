"""`archrank data import`: official files, and tables of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archrank.cli.cards import imported
from archrank.cli.console import echo
from archrank.datasets.io.paths import is_file, is_folder

if TYPE_CHECKING:
    from archrank.datasets.importers import Source


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="An official file or folder; a CSV, TSV or Parquet table of your own, or a folder of one and ONNX files."
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--as", help="Which benchmark it is [by its name]; for a custom one, what to call it.")
    ] = None,
    own: Annotated[bool, typer.Option("--own", help="It is a custom benchmark, whatever the file is called.")] = False,
    space: Annotated[
        str | None, typer.Option("--space", help="Custom: search space, which statistics count once [one of its own].")
    ] = None,
    ops: Annotated[
        str | None, typer.Option("--ops", help="Custom: operations in the order of their ids, a,b,c.")
    ] = None,
    roles: Annotated[
        str | None, typer.Option("--roles", help="Custom: input=a,output=b,none=c,skip=d [by usual names].")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", help="Custom: columns of scores [all that look like scores].")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Custom: metric predicted when none is named [the first accuracy].")
    ] = None,
    minimize: Annotated[
        str | None, typer.Option("--minimize", help="Custom: metrics where less is better [by their names].")
    ] = None,
    units: Annotated[str | None, typer.Option("--units", help="Custom: accuracy=%,latency=ms.")] = None,
    ops_on: Annotated[
        str | None, typer.Option("--ops-on", help="Custom: what operations belong to, nodes or edges [nodes].")
    ] = None,
    average: Annotated[
        bool,
        typer.Option("--average", help="Custom: equal rows are repeated measurements; average them, keep the noise."),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Custom: folder to write it to [$ARCHRANK_TABLES, or archrank's own data folder]."),
    ] = None,
) -> None:
    """Turn an official file, or your own table, into a checked benchmark. Repeating it is safe; a bad file changes
    nothing."""
    from archrank.datasets.catalog import custom_folder, import_file
    from archrank.datasets.errors import ArchrankError

    if not is_file(file) and not is_folder(file):
        raise ArchrankError(f"{file}: there is no such file")
    source = None if own else _guess(file, name)
    if source is not None:
        with watched(f"{source.name}: importing"):
            card = import_file(source, file)
        _say_imported(card)
        return
    from archrank.datasets.benchmark import write_benchmark
    from archrank.datasets.custom.files import read_custom
    from archrank.datasets.custom.options import TableOptions

    if ops_on not in (None, "nodes", "edges"):
        raise ArchrankError(f"--ops-on {ops_on}: operations stand on nodes or on edges")
    folder = to or custom_folder()
    options = TableOptions(
        name or file.stem,
        space=space,
        ops=words(ops),
        roles=pairs("--roles", roles),
        minimize=words(minimize),
        units=pairs("--units", units),
        default_target=target,
        source=f"custom benchmark {file.name}",
    )
    frame, described = read_custom(
        file,
        options,
        metrics=words(metrics),
        ops_on=ops_on,  # type: ignore[arg-type]  # one of the two, as was checked
        average=average,
    )
    units_before = {} if units is not None else _kept_units(folder / f"{described['name']}.json", described["metrics"])
    _say_imported(write_benchmark(folder, frame, described).with_suffix(".json"))
    if units_before:
        echo(
            f"units kept from the last import: {', '.join(f'{metric}={unit}' for metric, unit in units_before.items())}"
        )


def _guess(file: Path, name: str | None) -> Source | None:
    """The benchmark a file belongs to by its name, or the one that was named; None for a table of one's own."""
    from archrank.datasets.errors import ArchrankError, unknown
    from archrank.datasets.importers import SOURCES

    if name is not None and name in SOURCES:
        return SOURCES[name]
    known = [
        source for source in SOURCES.values() if file.name in source.file.replace("/", " ").replace(",", " ").split()
    ]
    if name is None and len(known) == 1:
        return known[0]
    if file.suffix.lower() in (".csv", ".parquet", ".tsv") or (file.is_dir() and any(file.glob("*.onnx"))):
        return None
    formats = "your own tables are .csv, .tsv or .parquet (unpack or convert others)"
    if name is not None:
        raise ArchrankError(f"{file}: {formats}; and {unknown('benchmark', name, SOURCES)}")
    raise ArchrankError(f"{file}: which benchmark is this? say it with --as NAME (`archrank data list`); {formats}")


def words(text: str | None) -> list[str] | None:
    """`a,b` as its words; None where the option is not given."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def pairs(option: str, text: str | None) -> dict[str, str] | None:
    """`a=x,b=y` of an option as a mapping; ArchrankError, with an example, for anything else."""
    from archrank.datasets.errors import ArchrankError

    example = {"--units": "accuracy=%,latency=ms", "--roles": "input=a,output=b,none=c,skip=d"}[option]
    parted = [word.partition("=") for word in words(text) or []]
    if wrong := [left for left, _, right in parted if not left or not right]:
        what = "unit" if option == "--units" else "operation"
        raise ArchrankError(f"{option}: '{wrong[0]}' has no {what}; write {example}")
    return {left.strip(): right.strip() for left, _, right in parted} or None


def _kept_units(card: Path, metrics: dict[str, Any]) -> dict[str, str]:
    """Gives metrics the units that they had when the table was last imported; returns these."""
    from archrank.datasets.card import read_card
    from archrank.datasets.errors import DataError

    try:
        before = read_card(card).metrics
    except DataError:  # there is none, or none that can be read
        return {}
    units = {metric: before[metric].unit for metric in metrics if metric in before and before[metric].unit}
    for metric, unit in units.items():
        metrics[metric]["unit"] = unit
    return units


def _say_imported(path: Path) -> None:
    from archrank.datasets.card import read_card

    for line in imported(read_card(path), path):
        echo(line)


@contextmanager
def file_progress(title: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A rich bar on a terminal, nothing elsewhere."""
    import sys

    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def watched(title: str) -> Iterator[None]:
    """Progress through the file that an importer reads."""
    from archrank.datasets.io.bounded import WATCH

    with file_progress(title) as progress:
        token = WATCH.set(progress)
        try:
            yield
        finally:
            WATCH.reset(token)
