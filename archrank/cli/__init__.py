"""The command line. Thin: every command reads its options, calls the package and prints. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

# Command -> (module of this package, object in it). Imported only when the command is used or asked for help.
COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("listing", "list_"),
    "data": ("data", "app"),
    "new": ("check", "new"),
    "check": ("check", "check"),
    "plan": ("run", "plan"),
    "run": ("run", "run"),
    "status": ("report", "status"),
    "failures": ("report", "failures"),
    "show": ("report", "show"),
    "report": ("report", "report"),
    "compare": ("compare", "compare"),
    "diff": ("report", "diff"),
    "reproduce": ("reproduce", "reproduce"),
    "doctor": ("listing", "doctor"),
    "bench": ("bench", "bench"),
    "docs": ("docs", "docs"),
}
SUMMARIES = {
    "list": "Encoders, benchmarks, protocols and suites.",
    "data": "Benchmark tables: list, get, import, info, verify, build.",
    "new": "Start an encoder of your own from a file that runs.",
    "check": "Is an encoder fit for the suite?",
    "plan": "What a run would train, without training it.",
    "run": "Train and test encoders; always resumes.",
    "status": "How far a store has come.",
    "failures": "Failed trials and why.",
    "show": "Everything about one trial.",
    "report": "Write the comparative report.",
    "compare": "Two encoders, paired, with intervals.",
    "diff": "Which numbers moved between two stores.",
    "reproduce": "An encoder's paper recipe and protocol, beside the published values.",
    "bench": "What training and prediction cost, side by side with other ways.",
    "docs": "Write the generated documentation pages.",
    "doctor": "Versions and hardware, for a bug report.",
}
# What Typer makes of an interrupt.
INTERRUPTED = 130


def application(wanted: str | None) -> typer.Typer:
    """The application with one command imported (the one called) and the others by name and summary."""
    app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
                      context_settings={"help_option_names": ["-h", "--help"]})
    app.callback(invoke_without_command=True)(top)
    for name, (module, thing) in COMMANDS.items():
        if name != wanted:
            app.command(name, help=SUMMARIES[name])(_not_called)
            continue
        found = getattr(import_module(f"archrank.cli.{module}"), thing)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, help=SUMMARIES[name])
        else:
            app.command(name)(found)
    return app


def top(version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True)) -> None:
    """Which way of encoding an architecture ranks unseen architectures best, from how few labels, at what cost, and is the difference real?"""
    if version:
        from archrank import __version__

        typer.echo(f"archrank {__version__}")
        raise typer.Exit


def _not_called() -> None:
    raise AssertionError("the command that is called is the one that is imported")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exit codes: 0 done, 1 some trials failed, 2 wrong usage or bad input, 130 interrupted."""
    from archrank.datasets.errors import ArchrankError

    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        application(next((word for word in words if not word.startswith("-")), None))(words, prog_name="archrank")
    except ArchrankError as error:
        if os.environ.get("ARCHRANK_DEBUG"):
            raise
        _stop(str(error), 2)
    except OSError as error:
        if os.environ.get("ARCHRANK_DEBUG") or error.filename is None:
            raise
        _stop(f"{error.filename}: {error.strerror}; choose another place (--store, --output, --to, $ARCHRANK_CACHE)", 2)
    except SystemExit as stopped:
        if stopped.code != INTERRUPTED:
            raise
        _stop("interrupted; what was finished is kept, repeat the command to go on", INTERRUPTED)


def _stop(message: str, code: int) -> None:
    typer.echo(f"archrank: {message}", err=True)
    sys.exit(code)
