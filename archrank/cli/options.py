"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_STORE = Path("results/store")


def store_folder(name: str | Path) -> Path:
    """The folder that --store names. ArchrankError for an empty name, which would be the current folder."""
    from archrank.datasets.errors import ArchrankError

    if not str(name).strip():
        raise ArchrankError("--store is empty; name a folder, such as results/store, or leave the option out")
    return Path(name)


def whole_numbers(option: str, text: str, example: str) -> list[int]:
    """The numbers of an option such as `--budgets 20,78`. ArchrankError, with an example, for anything else."""
    from archrank.datasets.errors import ArchrankError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ArchrankError(f"{option} {text}: give whole numbers, e.g. {option} {example}") from None


StoreFolder = Annotated[Path, typer.Option("--store", help="Folder of results.", parser=store_folder, metavar="PATH")]
Stores = Annotated[
    list[Path],
    typer.Option(
        "--store",
        help="Folder of results; give it several times to take stores together.",
        parser=store_folder,
        metavar="PATH",
    ),
]

Address = Annotated[
    str | None,
    typer.Option("--address", metavar="auto|HOST:PORT", help="Of the Ray cluster, with --runner ray (default: here)."),
]
GpusPerTask = Annotated[
    float,
    typer.Option("--gpus-per-task", min=0.01, help="Share of a GPU that an ensemble gets, with --runner ray."),
]
