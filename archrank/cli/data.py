"""`archrank data`: benchmark tables from their official files, and your own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archrank.cli.build import build
from archrank.cli.console import echo, emit

if TYPE_CHECKING:
    from archrank.datasets.importers import Source

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
                  help="Benchmark tables: list, get, import, info, verify, build.")
Json = Annotated[bool, typer.Option("--json", help="For a machine.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every benchmark archrank knows, and whether it is available locally."""
    from archrank.datasets.catalog import available, titles

    called = titles()
    rows = [{"name": name, "state": state, "title": called.get(name, "")} for name, state in available().items()]
    if as_json:
        emit(rows)
        return
    width, wide = (max(len(row[column]) for row in rows) for column in ("name", "state"))
    for row in rows:
        echo(f"{row['name']:<{width}}  {row['state']:<{wide}}  {row['title']}".rstrip())


@app.command()
def info(name: Annotated[str, typer.Argument(help="A benchmark, or the path of a card or table.")], as_json: Json = False) -> None:
    """The card of a benchmark: where it comes from, its metrics, units and directions, and what is known of it."""
    from archrank.datasets.benchmark import read_card
    from archrank.datasets.catalog import card_path

    path = card_path(name)
    card = read_card(path)
    if as_json:
        emit(card)
        return
    space = card["space"]
    echo(f"{card['title']} ({card['name']})")
    for label, text in (("source", card.get("source")), ("licence", card.get("licence")), ("citation", card.get("citation")),
                        ("table", path.with_suffix(".parquet")), ("sha256", card["sha256"])):
        if text:
            echo(f"  {label:<9} {text}")
    echo(f"  {'space':<9} {space['name']}: {len(space['ops'])} operations, up to {space['max_nodes']} nodes, "
               f"{space.get('cells', 1)} cell{'s' if space.get('cells', 1) > 1 else ''}")
    for fact, value in card.get("facts", {}).items():
        echo(f"  {fact:<14} {json.dumps(value)}")
    for fact, text in _measured(card):
        echo(f"  {fact:<14} {text}")
    echo("  metrics")
    width = max(map(len, card["metrics"]))
    for metric, said in card["metrics"].items():
        mark = "*" if metric == card["default_target"] else " "
        runs = f", {len(said['repeats'])} runs" if said.get("repeats") else ""
        unit = f"[{said['unit']}] " if said.get("unit") else ""
        echo(f"  {mark} {metric:<{width}}  {said.get('direction', 'max')}  {unit}{said.get('description', '')}{runs}")


def _measured(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the builder measured of a table it made: (fact, text), for the default target."""
    target = card["default_target"]
    if "reliability" not in card:
        return
    cells, share = card["cells"], card.get("distinct", {}).get(target)
    yield "trained", f"{cells['trained']:,} of {cells['planned']:,} cells, {len(cells['failed'])} failed, {card['made']['core_seconds']:,} core-seconds"
    yield "reliability", f"tau {card['reliability'][target]} between the mean {target} of two disjoint halves of the seeds"
    yield "noise ceiling", f"tau {card['noise_ceiling'][target]} between one seed and the mean of the others"
    if share is not None:
        yield "distinct means", f"{100 * share:.1f} % of the cells"
    yield "quantiles", ", ".join(f"{at}: {value}" for at, value in card["quantiles"].items())
    yield "naive tau", ", ".join(f"{what} {tau}" for what, tau in card["baselines"]["kendall_tau"].items())


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="A benchmark with a plain download; for the others, where to get it.")],
    to: Annotated[Path | None, typer.Option("--to", help="Data folder [the first of $ARCHRANK_DATA, or ./data].")] = None,
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
    file: Annotated[Path, typer.Argument(help="An official file or folder, or a CSV or Parquet table of your own.")],
    name: Annotated[str | None, typer.Option("--as", help="Which benchmark it is [by its name]; for your own table, what to call it.")] = None,
    own: Annotated[bool, typer.Option("--own", help="It is a table of your own, whatever it is called.")] = False,
    ops: Annotated[str | None, typer.Option("--ops", help="Own table: operations in the order of their ids, a,b,c.")] = None,
    metrics: Annotated[str | None, typer.Option("--metrics", help="Own table: columns of scores [all numbers].")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Own table: metric predicted when none is named [the first].")] = None,
    minimize: Annotated[str | None, typer.Option("--minimize", help="Own table: metrics where less is better [by their names].")] = None,
    units: Annotated[str | None, typer.Option("--units", help="Own table: accuracy=%,latency=ms.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Own table: folder to write it to [a folder of archrank's own].")] = None,
) -> None:
    """Turn an official file, or your own table, into a checked benchmark. Repeating it is safe; a bad file changes nothing."""
    from archrank.datasets.catalog import import_file, own_folder
    from archrank.datasets.errors import ArchrankError

    if not file.exists():
        raise ArchrankError(f"{file}: there is no such file")
    source = None if own else _guess(file, name)
    if source is not None:
        with _watched(f"{source.name}: importing"):
            card = import_file(source, file)
        _said(card)
        return
    from archrank.datasets.benchmark import write_benchmark
    from archrank.datasets.custom.files import read_own

    folder = to or own_folder()
    frame, described = read_own(file, name=name, ops=_words(ops), metrics=_words(metrics), minimize=_words(minimize),
                                units=_pairs(units), default_target=target)
    kept = {} if units is not None else _kept_units(folder / f"{described['name']}.json", described["metrics"])
    _said(write_benchmark(folder, frame, described).with_suffix(".json"))
    if kept:
        echo(f"units kept from the last import: {', '.join(f'{metric}={unit}' for metric, unit in kept.items())}")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every benchmark available locally.")] = False,
    as_json: Json = False,
) -> None:
    """Check tables against what is known: counts, best scores, classes, official hashes, graph facts. Exit code 1 if a check fails."""
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
    from archrank.datasets.errors import ArchrankError
    from archrank.datasets.importers import SOURCES

    if name is not None and name in SOURCES:
        return SOURCES[name]
    known = [source for source in SOURCES.values() if file.name in source.file.replace("/", " ").replace(",", " ").split()]
    if name is None and len(known) == 1:
        return known[0]
    if file.suffix.lower() in (".csv", ".parquet", ".tsv"):
        return None
    if name is not None:
        return _source(name)
    raise ArchrankError(f"{file}: which benchmark is this? say it with --as NAME (`archrank data list`); your own tables are .csv or .parquet")


def _data_folder() -> Path:
    from archrank.datasets.catalog import data_folders

    return next(iter(data_folders()), Path("data"))


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _pairs(text: str | None) -> dict[str, str] | None:
    from archrank.datasets.errors import ArchrankError

    pairs = [word.partition("=") for word in _words(text) or []]
    if wrong := [left for left, sign, _ in pairs if not sign]:
        raise ArchrankError(f"--units: '{wrong[0]}' has no unit; write accuracy=%,latency=ms")
    return {left: right for left, _, right in pairs} or None


def _kept_units(card: Path, metrics: dict[str, Any]) -> dict[str, str]:
    """Gives metrics the units that they had when the table was last imported; returns these."""
    from archrank.datasets.benchmark import read_card
    from archrank.datasets.errors import DataError

    try:
        before = read_card(card)["metrics"]
    except DataError:  # there is none, or none that can be read
        return {}
    kept = {metric: before[metric]["unit"] for metric in metrics if before.get(metric, {}).get("unit")}
    for metric, unit in kept.items():
        metrics[metric]["unit"] = unit
    return kept


def _said(card: Path) -> None:
    described = json.loads(card.read_text(encoding="utf-8"))
    count = described.get("facts", {}).get("architectures")
    size = f"{count:,} architectures, " if isinstance(count, int) else ""
    target = described["default_target"]
    named = [f"{name} ({metric.get('direction', 'max')}{', the target' if name == target else ''})" for name, metric in described["metrics"].items()]
    echo(f"imported as {described['name']}: {size}metrics {', '.join(named[:6])}{', ...' if len(named) > 6 else ''}")
    for column, why in described.get("facts", {}).get("left_out", {}).items():
        echo(f"left out: column '{column}' ({why})")
    echo(f"{card.with_suffix('.parquet')}")


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
