"""`archrank list` and `archrank doctor`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from archrank.cli.console import echo, emit

# Kind -> where its registry is: (module of archrank, object). Encoders, benchmarks and suites have lists of their own.
REGISTRIES: dict[str, tuple[str, str]] = {
    "heads": ("eval.engine.heads", "HEADS"),
    "pretexts": ("encoders.pretexts", "PRETEXTS"),
    "losses": ("eval.engine.losses", "LOSSES"),
    "labels": ("eval.engine.labels", "LABELS"),
    "recipes": ("eval.engine.recipes", "RECIPES"),
    "metrics": ("eval.metrics", "METRICS"),
    "protocols": ("datasets.splits", "PROTOCOLS"),
    "importers": ("datasets.importers", "IMPORTERS"),
    "sections": ("reports.sections", "SECTIONS"),
    "strategies": ("eval.search.strategies", "STRATEGIES"),
    "runners": ("eval.runners", "RUNNERS"),
}
KINDS = ("encoders", "options", "benchmarks", *REGISTRIES, "suites")


def list_(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(KINDS)}; everything when left out")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="For a machine.")] = False,
) -> None:
    """What there is of each kind, with options, built in and of installed packages; nothing is imported for it."""
    import gc

    from archrank.datasets.errors import unknown

    if kind not in (*KINDS, "all"):
        raise unknown("kind of thing to list", kind, (*KINDS, "all"))
    gc.disable()  # syntax trees of a hundred files hold no garbage, and looking for some takes a fifth of the time
    try:
        rows_of = {name: _rows(name) for name in (KINDS if kind == "all" else (kind,))}
    finally:
        gc.enable()
    if as_json:
        emit(rows_of)
        return
    for number, (name, rows) in enumerate(rows_of.items()):
        if number:
            echo()
        echo(name.upper())
        width = max((len(str(row["name"])) for row in rows), default=0)
        for row in rows:
            echo(f"  {row['name']:<{width}}  {row['about']}")
            if row.get("detail"):
                echo(f"  {'':<{width}}  {row['detail']}")


def _encoders() -> list[dict[str, Any]]:
    from archrank.encoders.catalog import known

    rows = []
    for info in known().values():
        options = ", ".join(f"{name}={option.default}" for name, option in info.options.items())
        origin = "" if info.origin == "built-in" else f" ({info.origin})"
        kind = (
            "portfolio"
            if info.portfolio
            else "learned"
            if info.learned
            else "fixed, pre-trained"
            if info.pretrained
            else "fixed"
        )
        rows.append({"name": info.name, "about": f"[{info.family}, {kind}] {info.summary}{origin}", "detail": options})
    return rows


def _reserved() -> list[dict[str, Any]]:
    """The options that every learned encoder, and every portfolio, has beside its own."""
    from typing import get_args

    from archrank.encoders.reserved import RESERVED_BY_KIND

    return [
        {
            "name": name,
            "about": f"[every {kind}] {said.summary}",
            "detail": f"{name}={said.default}"
            + (f" ({', '.join(map(str, choices))})" if (choices := get_args(said.type)) else ""),
        }
        for kind, reserved in RESERVED_BY_KIND.items()
        for name, said in reserved.items()
    ]


def _benchmarks() -> list[dict[str, Any]]:
    from archrank.datasets.catalog import available, titles

    called = titles()
    return [
        {"name": name, "about": f"[{state}] {called.get(name, '')}".rstrip()} for name, state in available().items()
    ]


def _registered(kind: str) -> list[dict[str, Any]]:
    from importlib import import_module

    module, name = REGISTRIES[kind]
    registry = getattr(import_module(f"archrank.{module}"), name)
    leaks = (
        {name: registry[name].leaks for name, entry in registry.entries.items() if entry.built_in}
        if kind == "protocols"
        else {}
    )
    rows = []
    for entry in registry.entries.values():
        options = ", ".join(f"{option}={said.default}" for option, said in entry.options.items())
        about = entry.summary + ("" if entry.built_in else f" ({entry.origin})")
        rows.append(
            {
                "name": entry.name,
                "about": about.strip(),
                "detail": f"leaks: {leaks[entry.name]}" if leaks.get(entry.name) else options,
            }
        )
    return rows


def _suites() -> list[dict[str, Any]]:
    from archrank.eval.trials.suite import read_suite, shipped

    rows = []
    for name in shipped():
        suite = read_suite(name)
        where = ", ".join(suite.benchmarks) + (
            f" and, where available locally, {', '.join(suite.optional)}" if suite.optional else ""
        )
        rows.append(
            {
                "name": name,
                "about": f"{len(suite.encoders)} encoders on {where}, budgets "
                f"{', '.join(map(str, suite.budgets))}, recipe {suite.recipe}",
            }
        )
    return rows


def _rows(kind: str) -> list[dict[str, Any]]:
    own = {"encoders": _encoders, "options": _reserved, "benchmarks": _benchmarks, "suites": _suites}
    return own[kind]() if kind in own else _registered(kind)


def doctor() -> None:
    """Versions, hardware and data folders: paste it into a bug report."""
    import torch

    from archrank.datasets.catalog import cache_folder, data_folders
    from archrank.eval.engine.device import accelerator
    from archrank.eval.trials.provenance import provenance

    for name, value in provenance(accelerator(), torch.get_num_threads()).items():
        if name != "finished":  # of a trial, not of a machine
            echo(f"{name:<14}{value}")
    echo(f"{'data folders':<14}{', '.join(map(str, data_folders())) or 'none (set ARCHRANK_DATA)'}")
    echo(f"{'cache':<14}{cache_folder()}")
