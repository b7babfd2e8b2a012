"""Finding benchmarks: those inside the package, those imported before, and those whose official files lie on this
machine.

Data folders are searched in this order: those in `$ARCHRANK_DATA` (separated like `$PATH`), `./data`, `../shared/data`.
An official file found there is imported once; the canonical table is kept in `$ARCHRANK_CACHE` (or the user's cache
folder) and made again when the file or the importer changes. A custom benchmark, `name.parquet` with `name.json` beside
it in a data folder or given as a path to its card, is a benchmark like any other; imported ones lie in
`$ARCHRANK_TABLES` (or the user's data folder, which nobody clears as one clears a cache).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import ArchrankError, DataError, DataMissing, one_line, unknown
from archrank.datasets.importers import SOURCES, Source, importer_of
from archrank.datasets.io.bounded import read_bytes
from archrank.datasets.io.pair import has_table
from archrank.datasets.io.paths import is_file

if TYPE_CHECKING:
    from archrank.datasets.benchmark import Benchmark

CARD_LIMIT = 64 << 20
EMBEDDED = Path(__file__).parent / "tables"


def data_folders() -> list[Path]:
    """The folders searched for benchmark files, in order; only those that exist."""
    named = [Path(part) for part in os.environ.get("ARCHRANK_DATA", "").split(os.pathsep) if part]
    return [folder for folder in (*named, Path("data"), Path("../shared/data")) if folder.is_dir()]


def cache_folder() -> Path:
    """Where imported tables are kept: `$ARCHRANK_CACHE`, or `archrank` in the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("ARCHRANK_CACHE") or platformdirs.user_cache_dir("archrank"))


def custom_folder() -> Path:
    """Where `archrank data import` puts custom benchmarks: `$ARCHRANK_TABLES`, or `archrank` in the user's data
    folder."""
    import platformdirs

    return Path(os.environ.get("ARCHRANK_TABLES") or platformdirs.user_data_dir("archrank"))


def embedded() -> list[str]:
    """Names of the benchmarks that ship inside the package."""
    return sorted(card.stem for card in EMBEDDED.glob("*.json"))


def is_official(name: str) -> bool:
    """Whether archrank comes with a benchmark of that name, so that no custom one may take it."""
    return name in SOURCES or is_file(EMBEDDED / f"{name}.json")


def custom_tables() -> dict[str, Path]:
    """Custom benchmarks, in the data folders or imported: name -> card (the first folder wins)."""
    return {card.stem: card for card in _custom_cards() if not is_official(card.stem)}


def shadowing() -> list[Path]:
    """Cards in data folders that take the name of a benchmark archrank comes with, and are therefore not looked at."""
    return [card for card in _custom_cards() if is_official(card.stem)]


def _custom_cards() -> list[Path]:
    # Version 0.2.0 put imported tables into the cache.
    folders = [*data_folders(), custom_folder(), cache_folder() / "own"]
    cards = (card for folder in reversed(folders) for card in sorted(folder.glob("*.json")))
    return [card for card in cards if card.is_file() and has_table(card)]


def available() -> dict[str, str]:
    """Every benchmark archrank knows by name -> its state.

    `embedded`, `custom`, `found` (official file available locally), `imported` (only its imported table is) or
    `missing`.
    """
    state = {
        name: "found" if _locate(source) else "imported" if _imported_card(name).is_file() else "missing"
        for name, source in SOURCES.items()
    }
    state |= dict.fromkeys(custom_tables(), "custom")
    return dict(sorted((state | dict.fromkeys(embedded(), "embedded")).items()))


def titles() -> dict[str, str]:
    """What benchmarks are called in full, where archrank or a readable card says it. Reads no table, and is light."""
    cards = custom_tables() | {name: EMBEDDED / f"{name}.json" for name in embedded()}
    cards |= {name: card for name in SOURCES if (card := _imported_card(name)).is_file()}
    return {name: source.title for name, source in SOURCES.items()} | {
        name: str(_field(card, "title") or "") for name, card in cards.items()
    }


def _field(card: Path, name: str) -> Any:
    """A field of a card that may be anything, or None."""
    try:
        return json.loads(read_bytes(card, CARD_LIMIT))[name]
    except (DataError, ValueError, KeyError, TypeError, RecursionError):
        return None


def card_path(name: str) -> Path:
    """The card of a benchmark, importing its official file first where needed.

    name: a known name or the path of a card or table. DataMissing says which file to fetch; ArchrankError for an
    unknown name.
    """
    if name in embedded():
        return EMBEDDED / f"{name}.json"
    if name in (tables := custom_tables()):
        return tables[name]
    if name in SOURCES:
        return _imported(SOURCES[name])
    if (path := Path(name)).suffix in (".json", ".parquet"):
        if not path.with_suffix(".json").is_file():
            raise DataMissing(f"benchmark '{name}': no card at {path.with_suffix('.json')}")
        if is_official(path.stem):
            raise DataError(
                f"{path}: '{path.stem}' is the name of a benchmark that archrank comes with; import the table under another one (--as NAME)"
            )
        return path.with_suffix(".json")
    raise unknown("benchmark", name, available())


def load(name: str) -> Benchmark:
    """The benchmark of that name (see `card_path`), read once per process."""
    path = card_path(name)
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _read(path: Path, _modified: int) -> Benchmark:
    from archrank.datasets.benchmark import read_benchmark

    benchmark = read_benchmark(path)
    if benchmark.name != path.stem:
        raise DataError(
            f"{path}: the card calls the benchmark '{benchmark.name}'; results are stored by name, so name card and file alike"
        )
    return benchmark


def _locate(source: Source) -> Path | None:
    return next(
        (place for folder in data_folders() if (place := importer_of(source).locate(folder, source.variant))), None
    )


def origin_of(source: Source, path: Path) -> dict[str, Any]:
    """What an imported table was made from: names, sizes and times of the official files, and the importer's
    version."""
    importer = importer_of(source)
    files = importer.files(path, source.variant) if importer.files is not None else [path]
    listed = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return {"file": source.file, "files": listed, "importer": source.version}


def _imported_card(name: str) -> Path:
    return cache_folder() / "benchmarks" / f"{name}.json"


def _imported(source: Source) -> Path:
    files = _locate(source)
    card = _imported_card(source.name)
    if files is None:
        if card.is_file() and has_table(card):
            return card
        looked = ", ".join(str(folder) for folder in data_folders()) or "no data folder exists; set ARCHRANK_DATA"
        raise DataMissing(
            f"benchmark '{source.name}' is not here: put {source.file} into a data folder (looked in: {looked}); "
            f"get it from {source.obtain}"
        )
    origin = origin_of(source, files)
    if card.is_file() and has_table(card) and _field(card, "origin") == origin:
        return card
    return import_file(source, files)


def import_file(source: Source, path: Path) -> Path:
    """Import the official file (or folder) at `path` as `source` into the cache; returns the card. DataError leaves the
    cache as it was.

    What is known of the official table and does not hold of this one is named in the card's title and its fact
    `departs`.
    """
    from archrank.datasets.benchmark import build, save
    from archrank.datasets.verify import departures

    origin = origin_of(source, path)
    frame, described = read_official(importer_of(source).read, path, source.variant, source.name)
    if described["name"] != source.name:
        raise DataError(
            f"importer {importer_of(source).name} made '{described['name']}' where '{source.name}' was asked for"
        )
    benchmark = build(frame, dict(described, origin=origin))
    if departs := departures(benchmark):
        benchmark.card = benchmark.card.departing(departs)
    return save(cache_folder() / "benchmarks", frame, benchmark).with_suffix(".json")


def read_official(read: Callable[..., tuple[Any, Any]], path: Path, variant: str, name: str) -> tuple[Any, Any]:
    """What an importer's `read(path, variant)` gives, a table and its card. DataError, one line, for a damaged file,
    which can fail it in any way."""
    try:
        return read(path, variant)
    except (ArchrankError, MemoryError):
        raise
    except Exception as error:
        raise DataError(
            f"{path}: not the official form of {name} ({one_line(error, 120)}); it is damaged or another file"
        ) from None
