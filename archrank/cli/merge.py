"""`archrank merge`: several stores into one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archrank.cli.console import echo
from archrank.cli.options import Stores, store_folder


def merge(
    out: Annotated[
        Path,
        typer.Argument(
            help="The folder to merge into; made, or added to where it is a store.", parser=store_folder, metavar="OUT"
        ),
    ],
    store: Stores,
) -> None:
    """Copy the trials of several stores into one. Nothing is overwritten; two different results for one trial stop it
    before anything is written."""
    from archrank.eval.trials.merge import merge_stores

    copied = merge_stores(out, store)
    for line in copied.problems:
        echo(f"archrank: {line}", err=True)
    for folder, count in copied.trials.items():
        echo(f"{count:,} trials from {folder}")
    echo(
        f"{copied.total:,} trials in {out}; {copied.known:,} of them were there before; next: archrank report --store {out}"
    )
