"""`archrank bench`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from archrank.cli.console import echo
from archrank.cli.options import whole_numbers

# One or two of each family: paths, cross attention, token sequences, graph networks, flow transformer.
DEFAULT = ("path", "cate", "nar_former", "gcn", "gin", "gated_gcn", "flowerformer")


def bench(
    encoders: Annotated[list[str] | None, typer.Argument(help="Names or globs; name[option=value] allowed.")] = None,
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="Whose architectures.")] = "nasbench201",
    members: Annotated[int, typer.Option("--members", min=1, help="Members of the ensemble.")] = 9,
    budget: Annotated[int, typer.Option("--budget", min=4, help="Labelled architectures.")] = 78,
    recipe: Annotated[str, typer.Option("--recipe", help="paper, common or quick.")] = "paper",
    batch: Annotated[int | None, typer.Option("--batch", min=2, help="In place of the recipe's batch.")] = None,
    updates: Annotated[
        int | None,
        typer.Option("--updates", min=1, help="Measured steps a sample (default: as many as --seconds take)."),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.0, help="About how long one sample trains.")] = 1.0,
    repeats: Annotated[
        int | None,
        typer.Option("--repeats", min=1, help="Samples of each variant, taken in turn (default 5; 3 for --growth)."),
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(
            "--variants",
            "--ways",
            help="Some of ensemble,eager,compiled,alone,loop,official,torch-geometric (default: all; with --against FOLDER "
            "ensemble,alone,official).",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option("--threads", min=1, help="PyTorch threads of each measuring process.")] = 1,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="A folder of checkouts: time official codes in turn with ours; or a command: time it in turn with our "
            "training of the first encoder.",
        ),
    ] = None,
    against_members: Annotated[
        int, typer.Option("--against-members", min=1, help="How many predictors that command trains.")
    ] = 1,
    growth: Annotated[
        str | None, typer.Option("--growth", help="How cost grows with: members,budget,nodes,space, or all.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option("--sizes", help="Sizes in place of the part's own; with one part of --growth.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Time `archrank plan` of 10,000 trials.")] = False,
    page: Annotated[
        list[Path] | None,
        typer.Option("--page", help="Measure nothing: write the page from this folder; may be given often."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of results and page.")] = Path("results/bench"),
) -> None:
    """Measure what training and prediction cost, side by side with other variants; write samples (JSON), a page
    (Markdown) and figures (SVG)."""
    from archrank.eval.bench.results import read_all
    from archrank.reports.bench_page import write_page

    if not page:
        from archrank.datasets.catalog import load
        from archrank.eval.bench import compare_command as commands
        from archrank.eval.bench.case import Case
        from archrank.eval.bench.compare import compare
        from archrank.eval.bench.growth import ENCODERS, grow
        from archrank.eval.bench.official import CODES
        from archrank.eval.bench.results import SampleFile
        from archrank.eval.engine.device import check_device

        check_device(device)
        checkouts = Path(against) if against and Path(against).is_dir() else None
        usual: Collection[str] = [] if growth or plan else CODES if checkouts else DEFAULT
        parts, chosen = _parts(growth), _labels(encoders or [*usual])
        chosen_variants, numbers = _variants(variants, device, checkouts is not None), _numbers(sizes, parts)
        if against or not (parts or plan) or {"members", "budget"} & set(parts):
            load(benchmark)
        typed = shlex.join(["archrank", *sys.argv[1:]])

        def results(part: str) -> SampleFile:
            return SampleFile(output, part, device, threads, typed)

        cases = [Case(label, benchmark, recipe, budget, members, batch, device) for label in chosen]
        if checkouts:
            cases = [replace(case, pretraining=_pretrained(case.encoder)) for case in cases]
        if parts:
            grow(
                parts,
                chosen or ENCODERS,
                results,
                benchmark=benchmark,
                device=device,
                sizes=numbers,
                repeats=repeats or 3,
                seconds=seconds / 2,
                updates=updates,
                threads=threads,
                log=echo,
            )
        if plan:
            commands.time_planning(results("plan"), repeats=repeats or 5, log=echo)
        if against and not checkouts:
            commands.compare_command(
                against,
                cases[0],
                results("against"),
                repeats=repeats or 5,
                members=against_members,
                updates=updates,
                threads=threads,
                log=echo,
            )
        elif not parts and not plan:
            compare(
                cases,
                chosen_variants,
                results("official" if checkouts else "encoders"),
                repeats=repeats or 5,
                updates=updates,
                seconds=seconds,
                threads=threads,
                folder=checkouts,
                log=echo,
            )
    for path in write_page(read_all(page or [output]), output):
        echo(f"wrote {path}")


def _labels(encoders: Sequence[str]) -> list[str]:
    """Globs spelt out; ArchrankError for what is unknown or trained by scikit-learn."""
    from archrank.datasets.errors import ArchrankError
    from archrank.eval.trials.specs import parse_list

    specs = parse_list(list(encoders)) if encoders else []
    for spec in specs:
        if not spec.neural:
            raise ArchrankError(
                f"encoder '{spec.label}' is trained by scikit-learn; bench measures the harness: leave +{spec.head} out"
            )
    return [spec.reference for spec in specs]


def _pretrained(encoder: str) -> bool:
    """Whether what is measured of an encoder beside its official code is its pre-training."""
    from archrank.eval.trials.specs import parse_list

    return parse_list(encoder)[0].info.pretrained


def _parts(growth: str | None) -> list[str]:
    from archrank.datasets.errors import unknown
    from archrank.eval.bench.growth import PARTS

    parts = list(PARTS) if growth == "all" else [part.strip() for part in growth.split(",")] if growth else []
    for part in parts:
        if part not in PARTS:
            raise unknown("part of --growth", part, [*PARTS, "all"])
    return parts


def _variants(variants: str | None, device: str, checkouts: bool) -> list[str]:
    from archrank.datasets.errors import ArchrankError, unknown
    from archrank.eval.bench.case import VARIANTS

    left_out = {*(["eager"] if device == "cpu" else []), *([] if checkouts else ["official"])}
    known = [variant for variant in VARIANTS if variant not in left_out]
    usual = ["ensemble", "alone", "official"] if checkouts else known
    chosen = [variant.strip() for variant in variants.split(",")] if variants else usual
    for variant in chosen:
        if variant not in known:
            raise unknown("variant", variant, known)
    if "ensemble" not in chosen:
        raise ArchrankError(
            f"--variants {variants}: the ensemble is what the others are compared with; write --variants ensemble,{variants}"
        )
    return chosen


def _numbers(sizes: str | None, parts: list[str]) -> list[int] | None:
    from archrank.datasets.errors import ArchrankError

    if sizes is None:
        return None
    if len(parts) != 1:
        raise ArchrankError("--sizes needs exactly one part of --growth, e.g. --growth nodes --sizes 7,30,120")
    return whole_numbers("--sizes", sizes, "7,30,120")
