"""`archrank protocols`: the same predictors under several protocols, in one table."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from archrank.cli.console import echo
from archrank.cli.options import DEFAULT_STORE, StoreFolder, whole_numbers

DEFAULT = "clean,gates,tnasp,nar"


def protocols(
    encoders: Annotated[str, typer.Option("--encoders", "-e", help="As of `archrank run`.")],
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="One benchmark.")] = "nasbench201",
    budgets: Annotated[str, typer.Option("--budgets", help="Labelled architectures, e.g. 78,390.")] = "78",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds, from 0.")] = 5,
    protocol: Annotated[str, typer.Option("--protocol", "--protocols", help="Names, comma-separated.")] = DEFAULT,
    recipe: Annotated[str, typer.Option("--recipe", help="As of `archrank run`.")] = "common",
    store: StoreFolder = DEFAULT_STORE,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="As of `archrank run`.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A Markdown file to write the table to (default: print it).")
    ] = None,
) -> None:
    """Train predictors under several protocols and write one table: how much the protocol alone moves each.

    Always resumes from the store.
    """
    from archrank.cli.progress import progress
    from archrank.datasets.errors import ArchrankError
    from archrank.eval.runners.run import run
    from archrank.eval.trials.results import as_frame, read_stores
    from archrank.eval.trials.specs import parse_list
    from archrank.eval.trials.trial import make_plan
    from archrank.reports.protocols import protocols_section
    from archrank.reports.renderers.text import render_markdown

    names = [name.strip() for name in protocol.split(",")]
    sizes = whole_numbers("--budgets", budgets, "78,390")
    keys = set()
    for name in names:
        plan = make_plan(
            parse_list(encoders, "here" if workers == 0 else "apart"),
            benchmarks=[benchmark],
            budgets=sizes,
            seeds=seeds,
            protocol=name,
            recipe=recipe,
        )
        for what, reason in plan.left_out:
            echo(f"left out {what}: {reason}", err=True)
        keys |= {item.trial.key for item in plan.trials}
        run(plan, store, workers=workers, callback=progress())
    frame = as_frame([record for record in read_stores([store]).records if record.key in keys])
    done = frame[frame["status"] == "done"]
    if done.empty:
        raise ArchrankError(f"no trial ended well; why: archrank failures --store {store}")
    words = ["archrank", "protocols", "-e", encoders, "-b", benchmark, "--budgets", budgets, "--seeds", str(seeds)]
    words += ([] if protocol == DEFAULT else ["--protocols", protocol]) + (
        [] if recipe == "common" else ["--recipe", recipe]
    )
    section = protocols_section(done, names, shlex.join(words))
    text = render_markdown("Protocols", section.title, [section], {})
    if output is None:
        echo(text, lines=True)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    echo(f"wrote {output}")
