"""`archrank plan` and `archrank run`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archrank.cli.console import echo, emit
from archrank.cli.forecast import expected_time, more_seeds
from archrank.cli.options import DEFAULT_STORE, Address, GpusPerTask, StoreFolder, whole_numbers

if TYPE_CHECKING:
    from archrank.encoders.catalog import Reach
    from archrank.eval.trials.store import Store
    from archrank.eval.trials.trial import Plan

Encoders = Annotated[
    list[str] | None,
    typer.Option(
        "--encoders",
        "-e",
        help="Names, globs, file.py:Class; name[option=value] and +head allowed; comma-separated or given often.",
    ),
]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option("--benchmark", "--benchmarks", "-b", help="Names, comma-separated (default digits101)."),
]
Budgets = Annotated[list[str] | None, typer.Option("--budgets", help="Labelled architectures, e.g. 20,78,156,390.")]
Seeds = Annotated[
    str | None, typer.Option("--seeds", help="How many seeds (splits), from 0, or which: 5; 3-5,8.", metavar="SEEDS")
]
Targets = Annotated[
    list[str] | None, typer.Option("--target", "--targets", help="Metrics to predict (default: the benchmark's own).")
]
ProtocolName = Annotated[
    str | None, typer.Option("--protocol", help="How splits are drawn (see `archrank list protocols`).")
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="common (the same for all), paper (each encoder's own), quick (common cut short), or a YAML file: fields over common.",
    ),
]
SuiteName = Annotated[
    str | None, typer.Option("--suite", "-s", help="A shipped suite or a YAML file; other options override its fields.")
]


def _joined(option: str, values: list[str] | None) -> str | None:
    """What an option that may be given often names, comma-separated."""
    from archrank.datasets.errors import ArchrankError

    if values and not all(value.strip() for value in values):
        raise ArchrankError(f"{option} is empty: name something, or leave it out")
    return ",".join(values) if values else None


def _plan(
    suite: str | None,
    encoders: list[str] | None,
    benchmark: list[str] | None,
    budgets: list[str] | None,
    seeds: str | None,
    target: list[str] | None,
    protocol: str | None,
    recipe: str | None,
    reach: Reach = "text",
) -> tuple[Plan, dict[str, str]]:
    """The plan, and the suite's optional benchmarks that are not available locally (name -> how to get it), each said
    in one line."""
    from archrank.datasets.errors import ArchrankError
    from archrank.eval.trials.seeds import parse_seeds
    from archrank.eval.trials.specs import parse_list
    from archrank.eval.trials.suite import read_suite
    from archrank.eval.trials.trial import make_plan

    declared = read_suite(suite) if suite else None
    base: dict[str, Any] = declared.model_dump() if declared else {}
    requested, named, sizes, targets = (
        _joined(option, values)
        for option, values in (
            ("--encoders", encoders),
            ("--benchmark", benchmark),
            ("--budgets", budgets),
            ("--target", target),
        )
    )
    usual = [20, 78, 156, 390]
    numbers = whole_numbers("--budgets", sizes, "20,78,156,390") if sizes else base.get("budgets", usual)
    chosen = requested or base.get("encoders")
    if not chosen:
        raise ArchrankError("no encoder given: say --encoders path,gcn (see `archrank list`) or --suite default")
    names, skipped = declared.available_locally() if declared else (["digits101"], {})
    optional = declared.optional if declared else []
    if named:
        names, skipped, optional = named.split(","), {}, []
    for name, remedy in skipped.items():
        echo(f"skipped {name}: its table is not available locally; {remedy}", err=True)
    plan = make_plan(
        parse_list(chosen, reach),
        benchmarks=[name.strip() for name in names],
        budgets=numbers,
        seeds=base.get("seeds", 5) if seeds is None else parse_seeds(seeds),
        targets=targets.split(",") if targets else base.get("targets"),
        protocol=protocol or base.get("protocol", "clean"),
        recipe=recipe or base.get("recipe", "common"),
        optional=optional,
    )
    for what, reason in plan.left_out:
        echo(f"left out {what}: {reason}", err=True)
    return plan, skipped


def plan(
    suite: SuiteName = None,
    encoders: Encoders = None,
    benchmark: Benchmarks = None,
    budgets: Budgets = None,
    seeds: Seeds = None,
    target: Targets = None,
    protocol: ProtocolName = None,
    recipe: RecipeName = None,
    store: StoreFolder = DEFAULT_STORE,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time a few steps of what no run has timed here (imports torch).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a machine.")] = False,
) -> None:
    """Show the trials of a run: which are stored, which would be trained, and how long that takes on this machine.

    Stores nothing. Hours come from what runs noted of ensembles like these.
    """
    from archrank.eval.trials.store import Store

    planned, _ = _plan(suite, encoders, benchmark, budgets, seeds, target, protocol, recipe)
    for info in {item.spec.info.place: item.spec.info for item in planned.trials if item.spec.info.open}.values():
        echo(
            f"{info.place}: its text does not say {info.open}; a run reads that from the loaded object, and may find other trials stored",
            err=True,
        )
    stored = Store(store).settled(item.trial.key for item in planned.trials)
    rows: dict[tuple[str, str, str], list[int]] = {}
    for item in planned.trials:
        row = rows.setdefault((item.spec.label, item.trial.benchmark, item.trial.target), [0, 0])
        row[0] += 1
        row[1] += item.trial.key in stored
    if as_json:
        emit(
            [
                {"encoder": label, "benchmark": name, "target": metric, "trials": total, "stored": done}
                for (label, name, metric), (total, done) in rows.items()
            ]
        )
        return
    width = max(len(label) for label, *_ in rows)
    for (label, name, metric), (total, done) in rows.items():
        echo(f"{label:<{width}}  {name} {metric}: {total} trials, {done} stored, {total - done} to train")
    total, done = (sum(row[i] for row in rows.values()) for i in (0, 1))
    echo(f"{total} trials, {done} stored, {total - done} to train")
    if total > done:
        pending = [item for item in planned.trials if item.trial.key not in stored]
        echo(expected_time(planned, pending, measure))
    if stored:
        more_seeds(Store(store), stored)


def run(
    suite: SuiteName = None,
    encoders: Encoders = None,
    benchmark: Benchmarks = None,
    budgets: Budgets = None,
    seeds: Seeds = None,
    target: Targets = None,
    protocol: ProtocolName = None,
    recipe: RecipeName = None,
    store: StoreFolder = DEFAULT_STORE,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, or auto (a GPU if there is one).")] = "auto",
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes (default: one per core; 0: in this one).")
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option("--runner", help="Who trains (see `archrank list runners`; default: as --workers says)."),
    ] = None,
    address: Address = None,
    gpus_per_task: GpusPerTask = 1.0,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the training step (torch.compile back end, needs a C++ compiler; for long trainings).",
        ),
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Train failed trials again.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Seconds that one ensemble may train; then its trials fail.")
    ] = None,
    log: Annotated[
        str | None,
        typer.Option("--log", help="Tell a tracker of every trial: mlflow, wandb, tensorboard; comma-separated."),
    ] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="K/N", help="Only the K-th of N parts of the plan, for job arrays.")
    ] = None,
) -> None:
    """Train and test encoders on identical splits. Always resumes: what the store has is kept, the rest is done.

    Several runs on one store share the work.
    """
    started = time.monotonic()
    part = _shard(shard)
    planned, skipped = _plan(
        suite, encoders, benchmark, budgets, seeds, target, protocol, recipe, "here" if workers == 0 else "apart"
    )
    from archrank.cli.progress import progress
    from archrank.eval.runners.run import run as run_plan
    from archrank.eval.runners.trackers import tracked
    from archrank.eval.trials.store import Store
    from archrank.eval.trials.suite import note_skipped

    callback = tracked([name.strip() for name in log.split(",")] if log else [], store, progress())

    if suite and not benchmark:
        note_skipped(store, suite, skipped)
    summary = run_plan(
        planned,
        store,
        device=device,
        workers=workers,
        retry_failed=retry_failed,
        compiled=compiled,
        runner=runner,
        address=address,
        gpus_per_task=gpus_per_task,
        timeout=timeout,
        shard=part,
        callback=callback,
    )
    shared = f"{summary.shared} trained by another run, " if summary.shared else ""
    echo(
        f"{summary.planned} trials{f' in shard {shard}' if shard else ''}: {summary.kept} kept, {summary.trained} trained, {shared}"
        f"{summary.failed} failed, {time.monotonic() - started:.0f} s. Results in {store}; next: archrank report --store {store}"
    )
    for label, why in sorted(_not_compiled(planned, Store(store))) if compiled else ():
        echo(f"--compile had no effect for {label}: {why}", err=True)
    if summary.failed:
        echo(f"why: archrank failures --store {store}; again: the same command with --retry-failed", err=True)
    if summary.missing:
        echo(
            f"{summary.missing} trials were stored and are gone: {store} was changed during the run; the same command trains them again",
            err=True,
        )
    if summary.failed or summary.missing:
        raise typer.Exit(1)


def _shard(text: str | None) -> tuple[int, int] | None:
    from archrank.datasets.errors import ArchrankError

    if text is None:
        return None
    try:
        number, count = map(int, text.split("/"))
    except ValueError:
        raise ArchrankError(f"--shard {text}: give a part and how many there are, e.g. --shard 3/8") from None
    return number, count


def _not_compiled(plan: Plan, store: Store) -> set[tuple[str, str]]:
    """Predictors that trained as ever although compiling was asked for, and why."""
    records = (store.read(item.trial.key) for item in plan.trials if item.spec.neural)
    return {
        (record.label, note.partition(": ")[2])
        for record in records
        if record
        for note in record.notes
        if note.startswith("not compiled: ")
    }
