"""`archrank data`: benchmark tables from their official files, and your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archrank.cli.build import build
from archrank.cli.cards import described, imported
from archrank.cli.console import echo, emit
from archrank.datasets.io.paths import is_file, is_folder

if TYPE_CHECKING:
    from archrank.datasets.importers import Source

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Benchmark tables: list, get, import, info, verify, build.",
)
Json = Annotated[bool, typer.Option("--json", help="For a machine.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every benchmark archrank knows, and whether it is available locally."""
    from archrank.datasets.catalog import available, shadowing, titles

    called = titles()
    rows = [{"name": name, "state": state, "title": called.get(name, "")} for name, state in available().items()]
    if as_json:
        emit(rows)
        return
    width, wide = (max(len(row[column]) for row in rows) for column in ("name", "state"))
    for row in rows:
        echo(f"{row['name']:<{width}}  {row['state']:<{wide}}  {row['title']}".rstrip())
    for card in shadowing():
        echo(f"ignored: {card} takes the name of a benchmark that archrank comes with", err=True)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="A benchmark, or the path of a card or table.")], as_json: Json = False
) -> None:
    """The card of a benchmark: where it comes from, its metrics, units and directions, and what is known of it."""
    from archrank.datasets.card import read_card
    from archrank.datasets.catalog import card_path

    path = card_path(name)
    card = read_card(path)
    if as_json:
        emit(card.as_dict())
        return
    for line in described(card, path):
        echo(line)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="A benchmark with a plain download; for the others, where to get it.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Data folder [the first of $ARCHRANK_DATA, or ./data].")
    ] = None,
) -> None:
    """Download the official files of a benchmark (checked, resumed where it broke off) and import them."""
    from archrank.datasets.catalog import import_file
    from archrank.datasets.importers import SOURCES, importer_of
    from archrank.datasets.io.download import get as fetch

    source = _source(name)
    folder = to or _data_folder()
    with _progress(f"{name}: fetching") as progress:
        files = fetch(source, folder, progress)
    for file in files:
        echo(f"{file}")
    found = importer_of(source).locate(folder, source.variant)
    assert found is not None and source.name in SOURCES
    with _watched(f"{name}: importing"):
        card = import_file(source, found)
    echo(f"imported as {name}: {card.with_suffix('.parquet')}")


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="An official file or folder, or a CSV, TSV or Parquet table of your own.")
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
    to: Annotated[
        Path | None, typer.Option("--to", help="Custom: folder to write it to [a folder of archrank's own].")
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
        with _watched(f"{source.name}: importing"):
            card = import_file(source, file)
        _say_imported(card)
        return
    from archrank.datasets.benchmark import write_benchmark
    from archrank.datasets.custom.files import read_custom
    from archrank.datasets.custom.options import TableOptions

    folder = to or custom_folder()
    options = TableOptions(
        name or file.stem,
        space=space,
        ops=_words(ops),
        roles=_pairs("--roles", roles),
        minimize=_words(minimize),
        units=_pairs("--units", units),
        default_target=target,
        source=f"custom benchmark {file.name}",
    )
    frame, described = read_custom(file, options, metrics=_words(metrics))
    kept = {} if units is not None else _kept_units(folder / f"{described['name']}.json", described["metrics"])
    _say_imported(write_benchmark(folder, frame, described).with_suffix(".json"))
    if kept:
        echo(f"units kept from the last import: {', '.join(f'{metric}={unit}' for metric, unit in kept.items())}")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every benchmark available locally.")] = False,
    as_json: Json = False,
) -> None:
    """Check tables against what is known: counts, best scores, classes, official hashes, graph facts. Exit code 1 if a
    check fails."""
    from archrank.datasets.catalog import available, card_path
    from archrank.datasets.errors import ArchrankError, DataError
    from archrank.datasets.verify import verify as check

    if every == bool(names):
        raise ArchrankError("name the benchmarks to verify, or give --all")
    wanted = names or [name for name, state in available().items() if state != "missing"]
    report: dict[str, Any] = {}
    failed = 0
    for name in wanted:
        try:
            checks = [{"what": item.what, "ok": item.ok, "found": item.found} for item in check(card_path(name))]
        except DataError as error:
            if not every:
                raise
            checks = [{"what": "readable", "ok": False, "found": str(error)}]
        report[name] = checks
        bad = sum(not item["ok"] for item in checks)
        failed += bad > 0
        if not as_json:
            echo(f"{name}: {'ok' if not bad else f'{bad} of {len(checks)} checks FAILED'}")
            for item in checks:
                echo(f"  {'ok  ' if item['ok'] else 'FAIL'} {item['what']}: {item['found']}")
    if as_json:
        emit(report)
    elif len(wanted) > 1:
        echo(f"{len(wanted) - failed} of {len(wanted)} benchmarks pass")
    if failed:
        raise typer.Exit(1)


def _source(name: str) -> Source:
    from archrank.datasets.catalog import embedded
    from archrank.datasets.errors import ArchrankError, unknown
    from archrank.datasets.importers import SOURCES

    if name in embedded():
        raise ArchrankError(f"benchmark {name} ships with archrank: there is nothing to fetch")
    if name not in SOURCES:
        raise unknown("benchmark", name, SOURCES)
    return SOURCES[name]


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
    if file.suffix.lower() in (".csv", ".parquet", ".tsv"):
        return None
    formats = "your own tables are .csv, .tsv or .parquet (unpack or convert others)"
    if name is not None:
        raise ArchrankError(f"{file}: {formats}; and {unknown('benchmark', name, SOURCES)}")
    raise ArchrankError(f"{file}: which benchmark is this? say it with --as NAME (`archrank data list`); {formats}")


def _data_folder() -> Path:
    from archrank.datasets.catalog import data_folders

    return next(iter(data_folders()), Path("data"))


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _pairs(option: str, text: str | None) -> dict[str, str] | None:
    from archrank.datasets.errors import ArchrankError

    example = {"--units": "accuracy=%,latency=ms", "--roles": "input=a,output=b,none=c,skip=d"}[option]
    pairs = [word.partition("=") for word in _words(text) or []]
    if wrong := [left for left, _, right in pairs if not left or not right]:
        what = "unit" if option == "--units" else "operation"
        raise ArchrankError(f"{option}: '{wrong[0]}' has no {what}; write {example}")
    return {left.strip(): right.strip() for left, _, right in pairs} or None


def _kept_units(card: Path, metrics: dict[str, Any]) -> dict[str, str]:
    """Gives metrics the units that they had when the table was last imported; returns these."""
    from archrank.datasets.card import read_card
    from archrank.datasets.errors import DataError

    try:
        before = read_card(card).metrics
    except DataError:  # there is none, or none that can be read
        return {}
    kept = {metric: before[metric].unit for metric in metrics if metric in before and before[metric].unit}
    for metric, unit in kept.items():
        metrics[metric]["unit"] = unit
    return kept


def _say_imported(path: Path) -> None:
    from archrank.datasets.card import read_card

    for line in imported(read_card(path), path):
        echo(line)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int | None], None] | None]:
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
def _watched(title: str) -> Iterator[None]:
    """Progress through the file that an importer reads."""
    from archrank.datasets.io.bounded import WATCH

    with _progress(title) as progress:
        token = WATCH.set(progress)
        try:
            yield
        finally:
            WATCH.reset(token)


app.command("build")(build)
