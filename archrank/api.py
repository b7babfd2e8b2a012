"""The Python front door: the same words as the command line."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from archrank.datasets.benchmark import Benchmark
    from archrank.eval.runners.run import Summary
    from archrank.eval.statistics import Comparison


@dataclass(frozen=True)
class Results:
    """The trials of a run, in their store."""

    store: Path
    keys: frozenset[str]
    summary: Summary

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per trial of the run (columns: docs/store.md), failed ones included."""
        from archrank.eval.trials.results import read_results

        every = read_results([self.store])
        return every[every["key"].isin(self.keys)].reset_index(drop=True)

    def _with(self, metric: str) -> pd.DataFrame:
        """The same with a metric that is not stored, computed from the predictions where that is possible."""
        from archrank.eval.metrics import METRICS
        from archrank.eval.trials.results import as_frame, read_stores
        from archrank.reports.stores import scored

        done = self.frame["status"] == "done"
        if metric not in METRICS or self.frame.loc[done, metric].notna().all():
            return self.frame
        reading = read_stores([self.store])
        return as_frame(scored([record for record in reading.records if record.key in self.keys], reading, metric))

    def table(self, metric: str = "kendall") -> pd.DataFrame:
        """One row per encoder, benchmark and budget: mean over seeds with its 95 % interval (`mean low high sd kind
        units test`)."""
        from archrank.eval.statistics import values

        return values(self._with(metric), metric)

    def compare(self, a: str, b: str, metric: str = "kendall") -> Comparison:
        """The paired difference between two encoders over every cell both have; `str()` of it is a sentence."""
        from archrank.eval.statistics import compare

        return compare(self._with(metric), a, b, metric)

    def failed(self) -> pd.DataFrame:
        """Failed trials and why."""
        return self.frame.loc[self.frame["status"] == "failed", ["label", "benchmark", "budget", "seed", "error"]]

    def report(self, folder: Path | str = "results", formats: Sequence[str] = ("html", "md")) -> list[Path]:
        """Write the report on the whole store; returns the files."""
        from archrank.reports import build

        return build([self.store], folder, formats=formats)


def run(
    encoders: str | Sequence[Any],
    *,
    benchmarks: str | Benchmark | Sequence[str | Benchmark] = "digits101",
    budgets: int | Sequence[int] = (20, 78, 156, 390),
    seeds: int | str | Sequence[int] = 5,
    targets: str | Sequence[str] | None = None,
    protocol: str = "clean",
    recipe: str = "common",
    store: Path | str = "results/store",
    device: str = "cpu",
    workers: int | None = None,
    compiled: bool = False,
    retry_failed: bool = False,
    timeout: float | None = None,
    shard: tuple[int, int] | None = None,
    progress: bool = True,
) -> Results:
    """Train and test encoders on identical splits; always resumes from the store.

    encoders: names, globs, `file.py:Class`, `package.module:Class`, or classes (defined in a file, so that their source
    is known).
    benchmarks: names or `Benchmark` objects. seeds: how many, from 0, or which: a list, or text such as `3-5,8`. Other
    arguments as on the command line. workers: processes; 0 trains in this one.
    compiled: compile the training step, as `--compile` does. retry_failed: train failed trials again.
    timeout: seconds that one ensemble may train; then its trials fail. shard: (k, n): only the k-th of n parts of the
    plan, as `--shard k/n`. progress: bars on a terminal, lines elsewhere, as the command prints them. A script that
    runs worker processes must guard its entry with `if __name__ == "__main__":`, as Python's multiprocessing asks.
    ArchrankError for anything unknown or impossible, before anything is trained; a warning for an encoder that cannot
    hold a benchmark's architectures and is left out of it, and for trials that failed.
    """
    from archrank.cli.progress import progress as callback
    from archrank.eval.runners.run import run as run_plan
    from archrank.eval.trials.seeds import parse_seeds
    from archrank.eval.trials.specs import parse_list
    from archrank.eval.trials.trial import make_plan

    plan = make_plan(
        parse_list(encoders, "here" if workers == 0 else "apart"),
        benchmarks=_several(benchmarks),
        budgets=_several(budgets),
        seeds=parse_seeds(seeds) if isinstance(seeds, str) else seeds,
        targets=None if targets is None else _several(targets),
        protocol=protocol,
        recipe=recipe,
    )
    for what, why in plan.left_out:
        warnings.warn(f"left out {what}: {why}", stacklevel=2)
    summary = run_plan(
        plan,
        store,
        device=device,
        workers=workers,
        compiled=compiled,
        retry_failed=retry_failed,
        timeout=timeout,
        shard=shard,
        callback=callback() if progress else None,
    )
    if summary.failed:
        warnings.warn(
            f"{summary.failed} of {summary.planned} trials failed; `failed()` of the results says why, retry_failed=True trains them again",
            stacklevel=2,
        )
    if summary.missing:
        warnings.warn(
            f"{summary.missing} trials were stored and are gone: {store} was changed during the run", stacklevel=2
        )
    return Results(Path(store), frozenset(item.trial.key for item in plan.trials), summary)


def _several(given: Any) -> Any:
    """A list of what was given, be it one or several."""
    return [given] if isinstance(given, (str, int)) or not hasattr(given, "__iter__") else given
