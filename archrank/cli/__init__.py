"""The command line. Thin: every command reads its options, calls the package and prints. Nothing heavy is imported
before it is needed."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from inspect import unwrap
from typing import Any, NoReturn, get_type_hints

import typer

from archrank.cli.console import echo, flush, open_streams
from archrank.datasets.errors import ArchrankError, ArchrankWarning, is_interrupt

# Command -> (module of this package, object in it). Imported only when the command is used or asked for help.
COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("listing", "list_"),
    "data": ("data", "app"),
    "new": ("check", "new"),
    "check": ("check", "check"),
    "plan": ("run", "plan"),
    "run": ("run", "run"),
    "search": ("search", "search"),
    "fit": ("fit", "fit"),
    "predict": ("fit", "predict"),
    "status": ("report", "status"),
    "failures": ("report", "failures"),
    "show": ("report", "show"),
    "report": ("report", "report"),
    "compare": ("compare", "compare"),
    "protocols": ("protocols", "protocols"),
    "diff": ("report", "diff"),
    "merge": ("merge", "merge"),
    "reproduce": ("reproduce", "reproduce"),
    "publish": ("publish", "publish"),
    "verify-results": ("publish", "verify_results"),
    "leaderboard": ("publish", "leaderboard"),
    "doctor": ("listing", "doctor"),
    "bench": ("bench", "bench"),
    "docs": ("docs", "docs"),
}
SUMMARIES = {
    "list": "What there is: encoders, benchmarks, heads, losses, ...",
    "data": "Benchmark tables: list, get, import, info, verify, build.",
    "new": "Start an encoder of your own from a file that runs.",
    "check": "Is an encoder fit for the suite?",
    "plan": "What a run would train, without training it.",
    "run": "Train and test encoders; always resumes.",
    "search": "Which encoder and strategy find a good architecture soonest.",
    "fit": "The best predictor for a table of your own.",
    "predict": "Scores of new architectures, by a predictor that fit made.",
    "status": "How far a store has come.",
    "failures": "Failed trials and why.",
    "show": "Everything about one trial.",
    "report": "Write the comparative report.",
    "compare": "Two encoders, paired, with intervals.",
    "protocols": "The same predictors under several protocols, in one table.",
    "diff": "Which numbers moved between two stores.",
    "merge": "Several stores into one.",
    "reproduce": "An encoder's paper recipe and protocol, beside the published values.",
    "publish": "Pack a store into one file that others can check.",
    "verify-results": "Train a sample of published results again, and compare.",
    "leaderboard": "A static site of published results.",
    "bench": "What training and prediction cost, side by side with other ways.",
    "docs": "Write the generated documentation pages.",
    "doctor": "Versions and hardware, for a bug report.",
}
# What help calls a type -> how Python spells it.
TYPES = {"PATH": "Path", "INTEGER": "int", "FLOAT": "float"}
# What Typer makes of an interrupt.
INTERRUPTED = 130


def application(only: str | None) -> typer.Typer:
    """The application with one command imported (the one called) and the others by name and summary."""
    app = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(top)
    for name, (module, thing) in COMMANDS.items():
        if name != only:
            app.command(name, help=SUMMARIES[name])(_not_called)
            continue
        attribute = getattr(import_module(f"archrank.cli.{module}"), thing)
        if isinstance(attribute, typer.Typer):
            app.add_typer(attribute, name=name, help=SUMMARIES[name])
        else:
            app.command(name)(attribute)
    return app


def command(only: str | None) -> Any:
    """The application as one command whose help names types as a person does: PATH, INTEGER."""
    made = typer.main.get_command(application(only))
    _name_types(made)
    return made


def _name_types(made: Any) -> None:
    for inner in getattr(made, "commands", {}).values():
        _name_types(inner)
    if made.callback is None:
        return
    hints = get_type_hints(unwrap(made.callback))
    for parameter in made.params:
        said = str(hints.get(parameter.name, ""))
        kind = next((name for name, written in TYPES.items() if written in said), "TEXT")
        if parameter.param_type_name == "option" and not parameter.is_flag and parameter.metavar is None:
            parameter.metavar = kind
        elif parameter.param_type_name == "argument":
            parameter.display_type = lambda _, kind=kind: kind  # an argument's metavar would take the place of its name


def top(version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True)) -> None:
    """Which way of encoding an architecture ranks unseen architectures best, from how few labels, at what cost, and is
    the difference real?"""
    if version:
        from archrank import __version__

        echo(f"archrank {__version__}")
        raise typer.Exit


def _not_called() -> None:
    raise AssertionError("the command that is called is the one that is imported")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exit codes: 0 done, 1 some trials failed, 2 wrong usage or bad input, 130 interrupted."""
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", ArchrankWarning)
    words = list(sys.argv[1:] if arguments is None else arguments)
    open_streams()
    try:
        # A shell that completes a line hands it over in a variable.
        typed = (
            os.environ["COMP_WORDS"].split()[1:]
            if "_ARCHRANK_COMPLETE" in os.environ and "COMP_WORDS" in os.environ
            else words
        )
        command(next((word for word in typed if not word.startswith("-")), None))(words, prog_name="archrank")
    except ArchrankError as error:
        if os.environ.get("ARCHRANK_DEBUG"):
            raise
        _stop(str(error), 2)
    except OSError as error:
        if is_interrupt(error):
            _stop("interrupted; what was finished is kept, repeat the command to go on", INTERRUPTED)
        full = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
        if os.environ.get("ARCHRANK_DEBUG") or (error.filename is None and not full):
            raise
        if full:
            _stop(f"the output cannot be written: {error.strerror}", 2)
        _stop(f"{error.filename}: {error.strerror}; choose another place (--store, --output, --to, $ARCHRANK_CACHE)", 2)
    except SystemExit as stopped:
        if stopped.code != INTERRUPTED:
            raise
        _stop("interrupted; what was finished is kept, repeat the command to go on", INTERRUPTED)
    finally:
        flush()


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """A warning as one line; those of other packages as Python writes them."""
    echo(
        f"archrank: {message}"
        if issubclass(category, ArchrankWarning)
        else warnings.formatwarning(message, category, *where[:2]).rstrip(),
        err=True,
        lines=not issubclass(category, ArchrankWarning),
    )


def _stop(message: str, code: int) -> NoReturn:
    with suppress(ArchrankError, OSError):  # standard error cannot be written either: the exit code says it alone
        echo(f"archrank: {message}", err=True)
    sys.exit(code)
