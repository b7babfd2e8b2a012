"""`archrank reproduce`: an encoder under its paper's recipe and protocol, beside what was published."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archrank.cli.console import echo, emit, only_json, print_table
from archrank.cli.options import DEFAULT_STORE, Address, GpusPerTask, StoreFolder, whole_numbers

if TYPE_CHECKING:
    from archrank.eval.trials.specs import Spec
    from archrank.eval.trials.trial import Plan
    from archrank.reports.reproduce import Claim, ClaimedRun, ClaimOutcome


def reproduce(
    encoder: Annotated[str, typer.Argument(help="One encoder; options of it are put on top of its published ones.")],
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", "--benchmarks", "-b", help="Only these, comma-separated.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds (splits), from 0.")] = 5,
    budgets: Annotated[
        str | None, typer.Option("--budgets", help="Only these published numbers of labels, e.g. 78,156.")
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, or auto (a GPU if there is one).")] = "auto",
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes (default: one per core; 0: in this one).")
    ] = None,
    runner: Annotated[
        str | None, typer.Option("--runner", help="Who trains (see `archrank list runners`), as `archrank run` has it.")
    ] = None,
    address: Address = None,
    gpus_per_task: GpusPerTask = 1.0,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the training step, as `archrank run --compile` does.")
    ] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what would be run and compared, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a machine.")] = False,
) -> None:
    """Train an encoder by its paper's recipe under its paper's protocol, and show our mean and interval beside the
    published values."""
    from archrank.datasets.errors import ArchrankError, unknown
    from archrank.eval.engine.device import chosen_device
    from archrank.eval.runners import RUNNERS
    from archrank.eval.trials.specs import parse_list
    from archrank.reports.published import published
    from archrank.reports.reproduce import claims, outcomes, tasks

    spec, *more = parse_list(encoder, "apart")
    if more:
        raise ArchrankError(f"{encoder} means {len(more) + 1} encoders; give one")
    if "paper_recipe" not in spec.info.hooks:
        raise ArchrankError(
            f"encoder {spec.info.name} publishes no recipe of its own, so there is nothing to reproduce"
        )
    chosen = [name.strip() for name in benchmark.split(",")] if benchmark else None
    for name in chosen or []:
        if name not in set(published()["benchmark"]):
            raise unknown(
                "benchmark with published values", name, sorted({str(b) for b in published()["benchmark"]} - {""})
            )
    claimed = claims(spec.info.name, chosen, whole_numbers("--budgets", budgets, "78,156") if budgets else None)
    runs = tasks(claimed)
    if not as_json:
        _refused(claimed)
    if not runs:
        raise ArchrankError(
            f"no published value of {spec.info.name} can be compared here; the lines above say why"
            if not as_json
            else f"no published value of {spec.info.name} can be compared here"
        )
    plans = [_plan(spec, task, seeds) for task in runs]
    elsewhere = runner is not None and RUNNERS[runner].elsewhere
    device = "cpu" if elsewhere and device == "auto" else chosen_device(device, here=not elsewhere)
    for task, plan in zip(runs, plans):
        echo(_announcement(spec, task, plan, store, seeds, device, workers), err=as_json)
    results, failed = [], 0
    if not dry:
        with only_json(as_json):  # progress is no part of the document
            failed = _run(
                plans,
                store,
                device=device,
                workers=workers,
                compiled=compiled,
                runner=runner,
                address=address,
                gpus_per_task=gpus_per_task,
            )
        results = outcomes(claimed, _rows(plans, store))
    if as_json:
        answer = {
            "encoder": spec.label,
            "runs": [asdict(task) for task in runs],
            "compared": [_plain(outcome) for outcome in results],
            "not_compared": [asdict(outcome) for outcome in claimed if outcome.reason],
        }
        emit(answer)
    elif not dry:
        _print(spec, results)
    if failed:
        echo(f"{failed} trials failed; why: archrank failures --store {store}", err=True)
        raise typer.Exit(1)


def _plan(spec: Spec, task: ClaimedRun, seeds: int) -> Plan:
    from archrank.eval.trials.trial import make_plan

    return make_plan(
        [spec],
        benchmarks=[task.benchmark],
        budgets=task.budgets,
        seeds=seeds,
        targets=[task.target],
        protocol=task.protocol,
        recipe="paper",
    )


def _announcement(
    spec: Spec, task: ClaimedRun, plan: Plan, store: Path, seeds: int, device: str, workers: int | None
) -> str:
    """What will be run, and roughly how long it takes: timed on what is not stored yet."""
    from archrank.eval.trials.estimate import training_seconds
    from archrank.eval.trials.store import Store
    from archrank.eval.trials.trial import Plan

    stored = Store(store).keys()
    pending = Plan([item for item in plan.trials if item.trial.key not in stored], plan.benchmarks, plan.splits)
    budgets = ", ".join(map(str, task.budgets))
    text = (
        f"{spec.label} on {task.benchmark}/{task.target}, protocol {task.protocol}, recipe paper, {budgets} labels, {seeds} "
        f"seed{'s' if seeds > 1 else ''}: "
    )
    if not pending.trials:
        return text + f"all {len(plan.trials)} trials are stored"
    parallel = (
        1
        if device.startswith("cuda")
        else max(1, min(workers if workers is not None else os.cpu_count() or 1, len(task.budgets)))
    )
    return (
        text
        + f"{len(pending.trials)} of {len(plan.trials)} trials to train, {_duration(training_seconds(pending, device) / parallel)} of training"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"roughly {max(1, round(seconds))} s"
    return f"roughly {seconds / 60:.0f} min" if seconds < 5400 else f"roughly {seconds / 3600:.1f} h"


def _run(plans: list[Plan], store: Path, **how: Any) -> int:
    """Train what is not stored; the number of failed trials."""
    from archrank.cli.progress import progress
    from archrank.eval.runners.run import run

    return sum(run(plan, store, callback=progress(), **how).failed for plan in plans)


def _rows(plans: list[Plan], store: Path) -> Any:
    from archrank.eval.trials.results import read_results

    frame = read_results([store])
    return frame[frame["key"].isin({item.trial.key for plan in plans for item in plan.trials})]


def _refused(claims: list[Claim]) -> None:
    reasons: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.reason:
            reasons.setdefault(claim.reason, []).append(claim)
    for reason, group in reasons.items():
        listed = "; ".join(
            dict.fromkeys(
                f"{c.value:g} at {c.budget if c.budget is not None else '?'} labels on {c.as_published.split(';')[0]} ({c.paper})"
                for c in group
            )
        )
        echo(f"not comparable because {reason}: {listed}")


def _plain(outcome: ClaimOutcome) -> dict[str, Any]:
    ours = {
        "mean": outcome.ours.estimate,
        "low": outcome.ours.low,
        "high": outcome.ours.high,
        "kind": outcome.ours.kind,
    }
    return {"published": asdict(outcome.claim), "ours": ours, "seeds": outcome.seeds, "inside": outcome.inside}


def _print(spec: Spec, results: list[ClaimOutcome]) -> None:
    from archrank.eval.statistics import rounded

    right: dict[str, Any] = {"justify": "right", "no_wrap": True}
    rows = []
    for outcome in results:
        claim = outcome.claim
        spread = "" if claim.std != claim.std else f" ± {claim.std:g}"
        inside = {True: "yes", False: "no", None: "no interval"}[outcome.inside]
        quoted = " (as quoted by others)" if claim.confidence != "primary" else ""
        rows.append(
            (
                f"{claim.benchmark}/{claim.target}",
                claim.protocol,
                str(claim.budget),
                str(outcome.seeds),
                rounded(outcome.ours),
                f"{claim.value:g}{spread}",
                inside,
                f"{claim.encoder} in {claim.paper}{quoted}{'; ' + claim.remark if claim.remark else ''}",
            )
        )
    print_table(
        f"{spec.label}, recipe paper: ours and published",
        [
            ("benchmark", {}),
            ("protocol", {}),
            *((name, right) for name in ("labels", "seeds", "ours", "published")),
            ("inside", {}),
            ("source", {"overflow": "fold"}),
        ],
        rows,
        "ours: mean over seeds with its 95 % interval, which does not hold the published value's own noise",
    )
    known = [outcome for outcome in results if outcome.inside is not None]
    if known:
        echo(
            f"{sum(bool(outcome.inside) for outcome in known)} of {len(known)} published values lie in the interval of our mean."
        )
