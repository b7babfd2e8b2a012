"""`archrank merge`: several stores into one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archrank.cli.console import echo
from archrank.cli.options import store_folder


def merge(
    out: Annotated[
        Path,
        typer.Argument(
            help="The folder to merge into; made, or added to where it is a store.", parser=store_folder, metavar="OUT"
        ),
    ],
    store: Annotated[
        list[Path],
        typer.Option(
            "--store",
            help="Folder of results, or a file that `archrank publish` made; give it several times.",
            parser=store_folder,
            metavar="PATH",
        ),
    ],
) -> None:
    """Copy the trials of several stores, or of published results, into one. Nothing is overwritten; two different
    results for one trial stop it before anything is written."""
    from archrank.eval.trials.merge import merge_stores

    copied = merge_stores(out, store)
    for line in copied.problems:
        echo(f"archrank: {line}", err=True)
    for folder, count in copied.trials.items():
        echo(f"{count:,} trials from {folder}")
    if copied.bare:
        echo(
            f"{copied.bare:,} of them have scores and no predictions: a report takes them, and a run into {out} trains them "
            f"again. Run what is missing into another store and report both"
        )
    echo(
        f"{copied.total:,} trials in {out}; {copied.known:,} of them were there before; next: archrank report --store {out}"
    )
