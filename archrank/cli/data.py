"""`archrank data`: benchmark tables from their official files, and your own."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archrank.cli.build import build
from archrank.cli.cards import described
from archrank.cli.console import echo, emit
from archrank.cli.tables import file_progress, import_, watched

if TYPE_CHECKING:
    from archrank.datasets.importers import Source

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Benchmark tables: list, get, import, info, verify, build.",
)
WIDTH = 80
Json = Annotated[bool, typer.Option("--json", help="For a machine.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every benchmark archrank knows, whether it is available locally, and where the files of a missing one go."""
    from archrank.datasets.catalog import available, data_folders, shadowing, titles
    from archrank.datasets.importers import SOURCES

    called = titles()
    rows = [{"name": name, "state": state, "title": called.get(name, "")} for name, state in available().items()]
    for row in rows:
        if source := SOURCES.get(row["name"]):
            row |= {"file": source.file, "obtain": source.obtain}
    if as_json:
        emit(rows)
        return
    width, wide = (max(len(row[column]) for row in rows) for column in ("name", "state"))
    for row in rows:
        for line in _wrapped(f"{row['name']:<{width}}  {row['state']:<{wide}}  ", row["title"]):
            echo(line)
        if row["state"] == "missing":
            for line in _wrapped("    put ", f"{row['file']} into a data folder", 8):
                echo(line)
    looked = ", ".join(map(str, data_folders())) or "none exists; set ARCHRANK_DATA or make ./data"
    for line in _wrapped(
        "data folders: ", f"{looked}. `archrank data get NAME` fetches a missing benchmark, or says where to get it."
    ):
        echo(line)
    for card in shadowing():
        echo(f"ignored: {card} takes the name of a benchmark that archrank comes with", err=True)


def _wrapped(head: str, text: str, indent: int | None = None) -> list[str]:
    """The text behind its head, in lines of at most 80 columns; further ones under the text, or by so many columns."""
    under = " " * (len(head) if indent is None else indent)
    return textwrap.wrap(head + text, WIDTH, subsequent_indent=under, break_on_hyphens=False)


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
    with file_progress(f"{name}: fetching") as progress:
        files = fetch(source, folder, progress)
    for file in files:
        echo(f"{file}")
    located = importer_of(source).locate(folder, source.variant)
    assert located is not None and source.name in SOURCES
    with watched(f"{name}: importing"):
        card = import_file(source, located)
    echo(f"imported as {name}: {card.with_suffix('.parquet')}")


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
    chosen = names or [name for name, state in available().items() if state != "missing"]
    report: dict[str, Any] = {}
    failed = 0
    for name in chosen:
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
    elif len(chosen) > 1:
        echo(f"{len(chosen) - failed} of {len(chosen)} benchmarks pass")
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


def _data_folder() -> Path:
    from archrank.datasets.catalog import data_folders

    return next(iter(data_folders()), Path("data"))


app.command("import")(import_)
app.command("build")(build)
