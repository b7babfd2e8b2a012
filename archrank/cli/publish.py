"""`archrank publish`, `verify-results` and `leaderboard`: results that others can check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archrank.cli.console import echo, emit, only_json
from archrank.cli.options import DEFAULT_STORE, Stores

DEFAULT = [DEFAULT_STORE]


def publish(
    store: Stores = DEFAULT,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, a .zip.")] = Path("results.zip"),
    title: Annotated[str, typer.Option("--title", help="What the results are called.")] = "archrank results",
    by: Annotated[str, typer.Option("--by", help="Who publishes them.")] = "",
    url: Annotated[str, typer.Option("--url", help="A page about them (https://...).")] = "",
    cite: Annotated[Path | None, typer.Option("--cite", help="A text file: how to cite them, e.g. BibTeX.")] = None,
    predictions: Annotated[
        bool, typer.Option("--predictions/--no-predictions", help="With what every trial predicted.")
    ] = True,
) -> None:
    """Pack stores into one file: trials, predictions, provenance and digests. Data only, no code."""
    from archrank.datasets.io.bounded import read_bytes
    from archrank.eval.trials.publication import Submitter, digest_of
    from archrank.eval.trials.publication import publish as pack

    citation = read_bytes(cite, 20_000).decode("utf-8", "replace") if cite else ""
    manifest = pack(store, output, title, Submitter(name=by, url=url, citation=citation), predictions)
    echo(f"{output}  {output.stat().st_size / 1e6:.1f} MB, {manifest.trials:,} trials, sha256 {digest_of(output)}")
    echo(f"next: archrank verify-results {output}; archrank leaderboard {output.parent}")


def verify_results(
    file: Annotated[Path, typer.Argument(help="A file that `archrank publish` made.")],
    sample: Annotated[int, typer.Option("--sample", min=1, help="How many trials to draw at random.")] = 3,
    every: Annotated[bool, typer.Option("--all", help="Every trial.")] = False,
    draw: Annotated[
        int | None, typer.Option("--draw", min=0, help="Seed of the drawing (default: a new one, which is printed).")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, or auto (a GPU if there is one).")] = "cpu",
    by: Annotated[str, typer.Option("--by", help="Who verifies.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For a machine.")] = False,
) -> None:
    """Train a random sample of published trials again and compare: bit for bit, or within what another seed gives.

    Writes FILE.verified.json, which `archrank leaderboard` reads. Exit code 1 unless all that was trained again holds.
    """
    from archrank.eval.engine.device import chosen_device
    from archrank.eval.trials.publication import opened
    from archrank.eval.trials.verified import SUFFIX, TrialCheck, write_verified
    from archrank.eval.verification import verify

    def show(check: TrialCheck) -> None:
        values = [f"{value:.6f}" if value is not None else "undefined" for value in (check.published, check.again)]
        remark = f" ({check.remark})" if check.remark else ""
        echo(
            f"{check.verdict:<8} {check.label} on {check.task}, {check.budget} labels, seed {check.seed}: "
            f"published {values[0]}, again {values[1]}{remark}",
            err=as_json,
        )

    with opened(file) as publication, only_json(as_json):
        verification = verify(
            publication,
            sample=None if every else sample,
            draw=draw,
            device=chosen_device(device),
            by=by,
            on_check=show,
        )
    out = file.with_name(file.name + SUFFIX)
    write_verified(out, verification)
    if as_json:
        emit(verification.model_dump(mode="json", by_alias=True))
    else:
        for why, count in verification.unchecked.items():
            echo(f"{count:,} trials cannot be trained again here: {why}", err=True)
        echo(f"{verification.sentence()}; drawn with --draw {verification.draw}; {out}")
    raise typer.Exit(0 if verification.holds else 1)


def leaderboard(
    sources: Annotated[list[Path], typer.Argument(help="Folders of published files, or the files themselves.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the site.")] = Path("leaderboard"),
    title: Annotated[str, typer.Option("--title", help="The heading.")] = "Leaderboard of architecture encoders",
) -> None:
    """Make a static site of published results: an index, and a page for each benchmark and protocol. Nothing is
    trained, none of a file's code is run."""
    from archrank.reports.leaderboard import build_site

    files = build_site(sources, output, title)
    echo(f"{files[0]}  {len(files)} pages, {sum(path.stat().st_size for path in files) / 1e3:,.0f} kB")
