"""Errors meant for a person: one line that says what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable

from archrank.datasets.io.visible import visible


class ArchrankError(Exception):
    """Wrong use or bad input. The command line prints its message and exits with 2; nothing was written.

    The message is one line, whatever names from a file stand in it: what acts instead of being seen is shown escaped
    (see `visible`).
    """

    def __str__(self) -> str:
        return visible(super().__str__())


class DataError(ArchrankError):
    """A table, card or graph that cannot be used as it is."""


class DataMissing(DataError):
    """A benchmark whose official file is not on this machine."""


class ArchrankWarning(UserWarning):
    """Something a person should know that stops nothing. The command line prints it as a line of its own."""


def warn(message: str) -> None:
    """Warn the caller of the calling function, in one line."""
    warnings.warn(visible(message), ArchrankWarning, stacklevel=3)


def message_of(error: BaseException) -> str:
    """What an error says, as text that can be written and shown, even where the error's own `__str__` raises."""
    try:
        return without_surrogates(str(error))
    except BaseException as second:
        return f"(no message: its __str__ raises {type(second).__name__})"


def without_surrogates(text: str) -> str:
    """The text with half characters, which no encoding knows, written as `\\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def one_line(error: BaseException, most: int | None = None) -> str:
    """An error that some other code raised: its type, and the first line of what it says (of that, at most so many
    characters)."""
    lines = message_of(error).strip().splitlines()
    return f"{type(error).__name__}: {visible(lines[0][:most])}" if lines else type(error).__name__


def unknown(what: str, name: str, known: Iterable[str]) -> ArchrankError:
    """An error for a misspelt `name`, with the nearest known names (or all of them when few)."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {', '.join(near)}?"
    elif len(names) <= 12:
        hint = f"known: {', '.join(names) or 'none'}"
    else:
        hint = "`archrank list` shows them all"
    return ArchrankError(f"unknown {what} '{name}': {hint}")


def is_interrupt(error: OSError) -> bool:
    """Whether this is an interrupt that came while pyarrow was at work, which may make an OSError of it ("Signal 2
    ignored due to race condition")."""
    return str(error).startswith("Signal 2 ")
