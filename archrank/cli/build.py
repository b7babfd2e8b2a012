"""`archrank data build`: train the cells of the embedded benchmark again, or check the shipped table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archrank.cli.console import echo
from archrank.cli.options import Address
from archrank.datasets.errors import ArchrankError, unknown
from archrank.eval.engine.device import check_device

BUILDABLE = {"digits101": "digits101: NAS-Bench-101 cells trained on handwritten digits"}


def build(
    name: str = typer.Argument("digits101", help="What to build."),
    cells: int | None = typer.Option(None, "--cells", help="Only the first so many cells (with --verify: how many)."),
    seeds: int | None = typer.Option(None, "--seeds", help="Trainings of each cell."),
    device: str = typer.Option("cpu", "--device", help="cpu or cuda; on cuda many cells train side by side."),
    workers: int | None = typer.Option(None, "--workers", help="Processes [all cores on cpu, 1 on cuda]."),
    resume: bool = typer.Option(True, "--resume/--no-resume", help="Keep the finished cells of the output folder."),
    verify: bool = typer.Option(False, "--verify", help="Retrain random cells of the shipped table and compare."),
    output: str = typer.Option("", "--output", "-o", help="Folder of the build [results/<name>-build]."),
    runner: Annotated[
        str | None, typer.Option("--runner", help="ray: on a Ray cluster [processes of this machine].")
    ] = None,
    address: Address = None,
) -> None:
    """Train the cells of a benchmark: resumable at any moment, in parallel, or (--verify) compared with the shipped
    table.

    Writes <name>.parquet and <name>.json into the output folder. Exit code 1 when a cell failed or a comparison did.
    """
    if name not in BUILDABLE:
        raise unknown("buildable benchmark", name, BUILDABLE)
    _check(cells, seeds, workers, device, verify)
    _check_runner(runner, address, workers, device, verify)
    if verify:
        _verify(name, cells or 20)
        return
    import os

    from archrank.datasets.digits101.builder import SEEDS, digits101_plan, run
    from archrank.datasets.digits101.card import assemble

    if workers is None:
        workers = (os.cpu_count() or 1) if device == "cpu" else 1
    pool = None
    if runner:
        from archrank.eval.runners.ray_pool import RayPool

        pool = RayPool(address)
        workers = pool.size
    plan = digits101_plan(cells, SEEDS if seeds is None else seeds, device, workers)
    folder = Path(output or f"results/{name}-build")
    run(plan, folder, resume, pool=pool)
    table = assemble(plan, folder, name, BUILDABLE[name])
    if _told(table):
        raise typer.Exit(1)


def _check(cells: int | None, seeds: int | None, workers: int | None, device: str, verify: bool) -> None:
    for option, value in (("--cells", cells), ("--seeds", seeds), ("--workers", workers)):
        if value is not None and value < 1:
            raise ArchrankError(f"{option} is 1 or more, not {value}")
    check_device(device)
    if verify and device != "cpu":
        raise ArchrankError("--verify compares on the CPU; leave --device out")
    if verify and seeds is not None:
        raise ArchrankError("--verify trains the seeds of the shipped table; leave --seeds out")


def _check_runner(runner: str | None, address: str | None, workers: int | None, device: str, verify: bool) -> None:
    if runner not in (None, "ray"):
        raise ArchrankError(f"cells train in processes of this machine or on a Ray cluster, not on runner {runner}")
    if runner and (workers is not None or device != "cpu" or verify):
        raise ArchrankError("--runner ray trains on the cores of a cluster; leave --workers, --device and --verify out")
    if address is not None and not runner:
        raise ArchrankError("--address is of a Ray cluster; add --runner ray")


def _verify(name: str, cells: int) -> None:
    from archrank.datasets import load
    from archrank.datasets.digits101.task import digits
    from archrank.datasets.digits101.training import DigitsRecipe
    from archrank.datasets.digits101.verify import verify

    benchmark = load(name)
    verdict = verify(benchmark, digits(), DigitsRecipe(), cells)
    echo(f"{name}: {verdict}")
    if not verdict.passed:
        raise typer.Exit(1)


def _told(table: Path) -> bool:
    """Prints what was built; True when a training failed."""
    import json

    card = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
    counts = card["cells"]
    echo(f"{table}: {counts['trained']} of {counts['planned']} cells, {card['made']['core_seconds']} core-seconds")
    for fact in ("reliability", "noise_ceiling"):
        if "test_accuracy" in card[fact]:
            echo(f"{fact.replace('_', ' ')} of test accuracy: tau {card[fact]['test_accuracy']}")
    for arch in counts["failed"]:
        echo(f"failed: {arch} (its scores are not finite)", err=True)
    return bool(counts["failed"])
