"""Any other command against archrank's own training, both timed as commands: from start to exit, by the clock, by CPU
time, by peak memory."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import ArchrankError
from archrank.eval.bench.clock import peak_memory
from archrank.eval.bench.results import SampleFile
from archrank.eval.runners.processes import environment

if TYPE_CHECKING:
    from archrank.eval.bench.case import Case


def timed(command: Sequence[str], variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a command to its end: `wall` and `cpu` seconds, `peak` bytes resident (of the largest of its processes), as
    the kernel counted them.

    variables: set in the command's environment. The kernel counts the memory of the process that starts a command as
    the command's: `peak` is never below this process's own, `starter`.
    ArchrankError, one line, if the command cannot be started or fails.
    """
    said = shlex.join(command)
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=errors, env={**os.environ, **(variables or {})}
            )
        except OSError as error:
            raise ArchrankError(f"cannot start '{said}': {error.strerror}") from None
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
            raise ArchrankError(
                f"'{said}' ended with exit code {process.returncode}" + (f": {lines[-1][:200]}" if lines else "")
            )
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": peak, "starter": peak_memory()}


def compare_command(
    command: str,
    case: Case,
    results: SampleFile,
    *,
    repeats: int = 5,
    members: int = 1,
    updates: int | None = None,
    threads: int = 1,
    log: Callable[[str], None] = print,
) -> None:
    """Run `command` and a whole training and prediction of the case in turn.

    Ours runs in the environment that `archrank run` gives its workers, the other in the user's own, with the same
    number of threads.
    members: how many predictors the command trains, for the ratio per predictor. updates: cut our training to so many
    steps (None: the whole recipe).
    """
    words = shlex.split(command)
    if not words:
        raise ArchrankError("--against: the command is empty")
    results.begin(f"{case.encoder} against {command}")
    job = json.dumps({"case": asdict(case), "updates": updates, "threads": threads})
    ours = [sys.executable, "-m", "archrank.eval.bench.end_to_end", job]
    results.add("ready", variant="ensemble", members=case.members, settings=asdict(case), updates=updates)
    results.add("ready", variant="other", members=members, other=command)
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    for repeat in range(repeats):
        for variant, words_of, variables in (("ensemble", ours, environment(threads)), ("other", words, limits)):
            log(f"{repeat + 1}/{repeats} {'archrank' if variant == 'ensemble' else command}")
            results.add("timed", variant=variant, repeat=repeat, **timed(words_of, variables))


def time_planning(results: SampleFile, *, repeats: int = 5, log: Callable[[str], None] = print) -> None:
    """Time `archrank plan` of 10,000 trials (5 encoders, 4 budgets, 500 seeds on the embedded benchmark), from start to
    exit."""
    words = "plan --encoders path,gcn,gin,gated_gcn,flowerformer --benchmark digits101 --budgets 20,78,156,390 --seeds 500 --store"
    results.begin("plan")
    with tempfile.TemporaryDirectory() as store:
        for repeat in range(repeats):
            log(f"plan {repeat + 1}/{repeats}")
            results.add(
                "timed",
                variant="plan",
                repeat=repeat,
                trials=10_000,
                **timed([sys.executable, "-m", "archrank", *words.split(), store]),
            )
