"""Where tables are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(width_of_a_pipe: int) -> Console:
    """As wide as the terminal, or as a pipe is taken to be. Brackets are those of labels, not markup."""
    from rich.console import Console

    found = Console(markup=False)
    return found if found.is_terminal else Console(width=width_of_a_pipe, markup=False)
