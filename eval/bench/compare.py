"""Encoders, each trained and predicted in several variants, side by side: A B C A B C ..., every variant in a process
of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from archrank.datasets.errors import ArchrankError
from archrank.eval.bench.case import PRETRAINED, WHOLE
from archrank.eval.bench.results import SampleFile
from archrank.eval.bench.worker import Worker

if TYPE_CHECKING:
    from archrank.eval.bench.case import Case


def compare(
    cases: Sequence[Case],
    variants: Sequence[str],
    results: SampleFile,
    *,
    repeats: int = 5,
    updates: int | None = None,
    seconds: float = 1.0,
    threads: int = 1,
    folder: Path | None = None,
    log: Callable[[str], None] = print,
) -> None:
    """Measure every case in every variant that it has; what a case has no form for is noted as such.

    updates: measured steps a sample (None: as many as take about `seconds`). folder: of checkouts, for the variant
    `official`; then only training is measured. ArchrankError if the ensemble fails.
    """
    for case in cases:
        results.begin(case.encoder + (f" on {case.device}" if case.device != "cpu" else ""))
        with ExitStack() as stack:
            # All at once, so that their imports share the cores; nothing is measured yet.
            own = [variant for variant in variants if not case.pretraining or variant in PRETRAINED]
            started = {variant: stack.enter_context(Worker(threads)) for variant in own}
            workers: dict[str, Worker] = {}
            for variant in own:
                # One member alone is prepared without the others.
                asked = replace(case, members=case.members if variant in WHOLE else 1)
                try:
                    ready = started[variant].ask("prepare", case=asdict(asked), variant=variant, folder=folder)
                except ArchrankError as error:
                    if variant == "ensemble":
                        raise ArchrankError(f"{case.encoder}: {error}") from None
                    results.add("missing", variant=variant, why=str(error))
                    continue
                results.add("ready", variant=variant, **ready, settings=asdict(case))
                workers[variant] = started[variant]
            for repeat in range(repeats):
                for what in ("train", "predict") if folder is None else ("train",):
                    for variant, worker in list(workers.items()):
                        log(f"{case.encoder}: {what} {repeat + 1}/{repeats} {variant}")
                        _measure(
                            results,
                            workers,
                            worker,
                            what,
                            variant,
                            repeat,
                            {"updates": updates, "seconds": seconds} if what == "train" else {},
                        )
            if folder is not None:
                continue
            # The ensemble stands for archrank's variants: recording takes seconds of its own.
            for variant in [variant for variant in ("ensemble", "torch-geometric") if variant in workers]:
                _measure(results, workers, workers[variant], "python_share", variant, 0, {})
            if "ensemble" in workers:
                _measure(results, workers, workers["ensemble"], "roofline", "ensemble", 0, {})


def _measure(
    results: SampleFile,
    workers: dict[str, Worker],
    worker: Worker,
    what: str,
    variant: str,
    repeat: int,
    arguments: dict[str, object],
) -> None:
    """One measurement; a variant that fails is noted and left out from then on."""
    try:
        results.add(what, variant=variant, repeat=repeat, **worker.ask(what, **arguments))
    except ArchrankError as error:
        results.add("missing", variant=variant, why=str(error))
        del workers[variant]
