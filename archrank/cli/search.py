"""`archrank search`."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated

import typer

from archrank.cli.console import echo, print_columns
from archrank.cli.options import Address, GpusPerTask


def search(
    benchmark: Annotated[
        str, typer.Option("--benchmark", "--benchmarks", "-b", help="Names, comma-separated.")
    ] = "digits101",
    encoders: Annotated[
        list[str] | None, typer.Option("--encoders", "-e", help="Predictors, as `archrank run` takes them.")
    ] = None,
    strategies: Annotated[
        str, typer.Option("--strategies", help="Names, comma-separated (see `archrank list strategies`).")
    ] = "random,evolution,local",
    subroutines: Annotated[
        bool,
        typer.Option(
            "--subroutines",
            help="In place of --strategies: each encoding to sample, to perturb and to predict, apart.",
        ),
    ] = False,
    queries: Annotated[int, typer.Option("--queries", min=2, help="Evaluated architectures of each repeat.")] = 150,
    repeats: Annotated[int, typer.Option("--repeats", min=2, help="How often each search is repeated.")] = 30,
    target: Annotated[
        str | None, typer.Option("--target", help="Metric that is queried (default: the validation score).")
    ] = None,
    test: Annotated[
        str | None, typer.Option("--test", help="Metric that judges (default: the test score that belongs to it).")
    ] = None,
    within: Annotated[
        str, typer.Option("--within", help="Search among a protocol's test architectures, such as cate-outside.")
    ] = "",
    whole_table: Annotated[
        bool,
        typer.Option(
            "--whole-table",
            help="With --within: regret is the gap to the best of the whole table, which is out of reach.",
        ),
    ] = False,
    recipe: Annotated[str, typer.Option("--recipe", help="How networks are trained.")] = "search",
    store: Annotated[Path, typer.Option("--store", help="Folder of results.")] = Path("results/store"),
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes (default: one per core; 0: in this one).")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    runner: Annotated[
        str | None,
        typer.Option("--runner", help="Who searches: inline, processes, or ray, as `archrank run` has them."),
    ] = None,
    address: Address = None,
    gpus_per_task: GpusPerTask = 1.0,
) -> None:
    """Search a table with every strategy and predictor: which finds a good architecture soonest? Always resumes."""
    from archrank.cli.search_progress import SearchProgress
    from archrank.eval.search.compare import compare_searches, digits_of, rounded
    from archrank.eval.search.guided import subroutine_strategies
    from archrank.eval.search.plan import plan_searches
    from archrank.eval.search.run import missing_searches, run_searches
    from archrank.eval.search.traces import Judge, read_searches
    from archrank.eval.search.verdict import sentences, strategy_order
    from archrank.eval.trials.specs import parse_list

    started = time.monotonic()
    specs = parse_list(",".join(encoders), "apart") if encoders else []
    named = (
        subroutine_strategies(specs)
        if subroutines
        else [name.strip() for name in re.split(r",(?![^\[]*\])", strategies)]
    )
    plan = plan_searches(
        specs,
        benchmarks=[name.strip() for name in benchmark.split(",")],
        strategies=named,
        queries=queries,
        repeats=repeats,
        target=target,
        test=test,
        recipe=recipe,
        within=within,
    )
    progress = SearchProgress(len(plan.tasks), len(plan.tasks) - len(missing_searches(plan, store)))
    try:
        summary = run_searches(
            plan,
            store,
            workers=workers,
            device=device,
            runner=runner,
            address=address,
            gpus_per_task=gpus_per_task,
            on_event=progress.on_event,
            on_progress=progress.on_progress,
        )
    finally:
        progress.end()
    records, problems = read_searches([store])
    for problem in problems:
        echo(problem, err=True)
    stored = {record.key: record for record in records}
    for name, table in plan.benchmarks.items():
        mine = [stored[task.key] for task in plan.tasks if task.benchmark == name and task.key in stored]
        if not mine:
            continue
        judge = Judge.of(table, mine[0].planned, whole_table)
        regrets = [judge.regret(record) for record in mine]
        standings, differences = compare_searches(judge, regrets)
        unit = table.unit(mine[0].planned.test)
        echo(
            f"{name}: test regret ({mine[0].planned.test}) of the architecture with the best {mine[0].planned.target} so far, mean over {repeats} repeats [95 % interval]"
        )
        print_columns(
            [
                "search",
                "tier",
                *(f"after {n}" for n in standings[0].at),
                "queries saved",
                "found a top 0.1 %",
                "s/query",
            ],
            [
                [
                    item.label,
                    item.tier,
                    *(rounded(value, digits_of(standings)) for value in item.at.values()),
                    rounded(item.saved, 0),
                    f"{item.reached:.0%}",
                    f"{item.seconds:.3f}",
                ]
                for item in standings
            ],
        )
        said = sentences(standings, differences, f" {unit}" if unit else "")
        for sentence in [*said, strategy_order(judge, regrets)]:
            if sentence:
                echo(sentence)
    echo(
        f"{summary.planned} searches: {summary.kept} kept, {summary.done} done, {len(summary.failed)} failed, {time.monotonic() - started:.0f} s. Results in {store}"
    )
    if summary.failed:
        raise typer.Exit(1)
