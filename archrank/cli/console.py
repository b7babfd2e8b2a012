"""Where the command line prints. Everything passes here: nothing of a stranger's file acts on the terminal, and any
encoding will do."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import typer

from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.visible import visible

__all__ = [
    "echo",
    "emit",
    "flush",
    "is_terminal",
    "only_json",
    "open_streams",
    "overwritten",
    "print_columns",
    "print_table",
]

WIDTH_OF_A_PIPE = 150
STREAMS = 3


def open_streams() -> None:
    """Standard streams that can be written: closed ones lead nowhere, and what their encoding lacks is written as an
    escape."""
    for number in range(STREAMS):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened takes its place, and what is printed goes there
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write what is buffered; what cannot be written is dropped, since Python would print a traceback about it at
    exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except ValueError:  # it was closed
            pass


def is_terminal() -> bool:
    """Whether standard output is a terminal, where bars may move."""
    return bool(sys.stdout and sys.stdout.isatty())


def echo(text: object = "", *, err: bool = False, lines: bool = False) -> None:
    """Print a line to standard output.

    Args:
        text: what to print; its line feeds are escaped as every other control character is.
        err: to standard error instead.
        lines: the text has several lines.

    Raises:
        ArchrankError: the stream cannot be written (a full disk).
    """
    with _written():
        typer.echo(visible(str(text), lines=lines), err=err)


def overwritten(text: str) -> None:
    """Print a line over which the next one is written; for terminals."""
    with _written():
        typer.echo(f"{visible(text)}\r", nl=False)


def emit(value: Any) -> None:
    """Print a value as JSON, in ASCII; what is not finite is null."""
    from archrank.reports.words import finite

    echo(json.dumps(finite(value), indent=1, allow_nan=False), lines=True)


def print_columns(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns as plain text, so that they can be piped.

    Args:
        head: the column titles [C].
        rows: the values, each [C].
    """
    lines = [[visible(str(value)) for value in row] for row in (head, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        echo("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def print_table(
    title: str, columns: Sequence[tuple[str, dict[str, Any]]], rows: Sequence[Sequence[str]], caption: str
) -> None:
    """Print a ruled table as wide as the terminal, or 150 characters in a pipe.

    Args:
        title: the line above it.
        columns: the head of each column [C] with what rich's `add_column` may be told of it (justify, no_wrap,
            overflow).
        rows: the texts, each [C].
        caption: the line below it.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=visible(title), caption=visible(caption), show_edge=False)
    for name, look in columns:
        table.add_column(visible(name), **look)
    for row in rows:
        table.add_row(*(visible(text) for text in row))
    # Brackets are those of labels, not markup.
    plain_console = Console(markup=False, emoji=False, highlight=False)
    console = (
        plain_console
        if plain_console.is_terminal
        else Console(width=WIDTH_OF_A_PIPE, markup=False, emoji=False, highlight=False)
    )
    with _written():
        console.print(table)


@contextmanager
def only_json(active: bool) -> Iterator[None]:
    """Whatever is printed inside goes to standard error, by Python or below it: a plug-in's own lines are no part of a
    JSON document."""
    if not active:
        yield
        return
    flush()
    try:
        saved = os.dup(sys.stdout.fileno())
    except (OSError, ValueError):  # no file behind it, as under a test
        saved = None
    try:
        if saved is not None:
            os.dup2(2, sys.stdout.fileno())
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if saved is not None:
            flush()
            os.dup2(saved, sys.stdout.fileno())
            os.close(saved)


@contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever reads has read enough
            raise
        raise ArchrankError(f"the output cannot be written: {error.strerror or error}") from None
