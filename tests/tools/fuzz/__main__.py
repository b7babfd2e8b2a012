"""Gives mutated inputs of eight kinds to what reads them: each is accepted, or refused in one line, in bounded time and
memory.

    python -m tests.tools.fuzz --inputs 200000
    python -m tests.tools.fuzz --only specs --inputs 5000 --seed 7
    python -m tests.tools.fuzz --repeat records:0:123

Input `n` of a kind follows from the seed and `n` alone; `--repeat KIND:SEED:N` gives that one again and shows what
comes of it. Anything but success or an ArchrankError in one line without control characters is a finding, and so is a
process that dies, more than ten seconds of CPU time, or more than a gigabyte of memory. Two hundred inputs at a time
are read by a process forked from this one. Results are appended to `inputs.jsonl` in the folder given; the same command
goes on from there, and reads again what was a finding.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from archrank.datasets.errors import ArchrankError, ArchrankWarning
from archrank.datasets.io.visible import visible
from tests.tools.fuzz.kinds import Kind
from tests.tools.fuzz.releases import Releases
from tests.tools.fuzz.stored import Predictions, Predictors, Records
from tests.tools.fuzz.written import Benchmarks, Specs, Suites, Tables

KINDS: tuple[type[Kind], ...] = (Records, Predictions, Predictors, Specs, Suites, Tables, Benchmarks, Releases)
CHUNK = 200
SECONDS, MEMORY = 10.0, 1 << 30
ADDRESSES = 3 << 30
SILENT = 90.0


class TooLong(BaseException):
    """An input takes more CPU time than it may. Not to be caught by what reads it."""


@dataclass
class Result:
    """What came of one input. memory: bytes by which the most memory of its process had grown by then."""

    kind: str
    seed: int
    number: int
    outcome: str
    seconds: float
    memory: int
    said: str = ""


def peak() -> int:
    """Most memory this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def judged(kind: Kind, seed: int, number: int, scratch: Path) -> tuple[str, str]:
    """Outcome of an input, and what is said: accepted, refused, or finding."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            refusals = kind.give(scratch, random.Random(f"{kind.name} {seed} {number}"))
    except ArchrankError as error:
        warned, refusals = [], [str(error)]
    except (TooLong, Exception):
        return "finding", traceback.format_exc()
    lines = refusals + [str(item.message) for item in warned if issubclass(item.category, ArchrankWarning)]
    if wrong := [line for line in lines if not line.strip() or line != visible(line)]:
        return "finding", f"not one line of visible text: {wrong[0]!r}"
    return ("refused", refusals[0]) if refusals else ("accepted", "")


def timed(kind: Kind, seed: int, number: int, scratch: Path, before: int) -> Result:
    """The same within limits of time and memory."""
    signal.signal(signal.SIGPROF, _stop)
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        outcome, said = judged(kind, seed, number, scratch)
    except TooLong:
        outcome, said = "finding", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds, memory = time.process_time() - start, peak() - before
    if outcome != "finding" and (seconds > SECONDS or memory > MEMORY):
        outcome, said = "finding", f"takes {seconds:.1f} s and {memory >> 20:,} MiB; {said}"
    return Result(kind.name, seed, number, outcome, round(seconds, 4), memory, said if outcome == "finding" else "")


def _stop(*_: object) -> None:
    raise TooLong


def fork(kind: Kind, seed: int, numbers: Sequence[int], log: Path, scratch: Path) -> None:
    """Read some inputs in a process of its own; one that ends it is a finding, and the others follow in the next."""
    while numbers:
        lines = len(log.read_text().splitlines()) if log.exists() else 0
        pid = os.fork()
        if pid == 0:
            _child(kind, seed, numbers, log, scratch)
        if not (code := _wait(pid, log)):
            return
        done = (len(log.read_text().splitlines()) if log.exists() else 0) - lines
        append(log, Result(kind.name, seed, numbers[done], "finding", 0.0, 0, f"its process ended with {code}"))
        numbers = numbers[done + 1 :]


def _child(kind: Kind, seed: int, numbers: Sequence[int], log: Path, scratch: Path) -> None:
    code = 1
    try:
        space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        scratch.mkdir(exist_ok=True)
        os.chdir(scratch)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        before = peak()
        for number in numbers:
            result = timed(kind, seed, number, scratch / "input", before)
            append(log, result)
        code = 0
    finally:
        os._exit(code)


def _wait(pid: int, log: Path) -> int:
    """Exit code of a process, killed where its log does not grow for long."""
    grown, size = time.monotonic(), -1
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if (now := log.stat().st_size if log.exists() else 0) != size:
            grown, size = time.monotonic(), now
        elif time.monotonic() - grown > SILENT:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def append(log: Path, result: Result) -> None:
    """Add a line to the results."""
    with log.open("a") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def read_log(log: Path) -> dict[tuple[str, int], dict[int, dict[str, Any]]]:
    """(kind, seed) -> number of the input -> its result."""
    actual: dict[tuple[str, int], dict[int, dict[str, Any]]] = collections.defaultdict(dict)
    for line in log.read_text().splitlines() if log.exists() else []:
        result = json.loads(line)
        actual[result["kind"], result["seed"]][result["number"]] = result
    return actual


def fuzz(inputs: int, seed: int, folder: Path, only: tuple[str, ...] = (), minutes: float = 1e9) -> int:
    """Read inputs until all are read or the time is over; print what came of them. 1 if there is a finding."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    log, end = folder / "inputs.jsonl", time.monotonic() + 60 * minutes
    chosen = [kind for kind in KINDS if not only or kind.name in only]
    counts = {kind.name: -(-inputs * kind.share // sum(kind.share for kind in chosen)) for kind in chosen}
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="fuzz") as place:
        made = [kind(_made(Path(place), kind.name)) for kind in chosen]
        done = read_log(log)
        parts = [
            (kind, range(start, min(start + CHUNK, counts[kind.name])))
            for kind in made
            for start in range(0, counts[kind.name], CHUNK)
        ]
        for kind, numbers in sorted(
            parts, key=lambda part: part[1].start / counts[part[0].name]
        ):  # all kinds advance together
            if time.monotonic() > end:
                break
            had = done[kind.name, seed]
            fork(
                kind,
                seed,
                [number for number in numbers if number not in had or had[number]["outcome"] == "finding"],
                log,
                Path(place) / "scratch",
            )
    return summarise(
        [
            result
            for (name, of), results in read_log(log).items()
            if name in counts and of == seed
            for result in results.values()
        ]
    )


def _made(place: Path, name: str) -> Path:
    folder = place / name
    folder.mkdir()
    return folder


def summarise(results: list[dict[str, Any]]) -> int:
    """A row for each kind, and the findings, those that end alike together. 1 if there are any."""
    print(f"{'kind':<12}{'inputs':>9}{'accepted':>10}{'refused':>9}{'findings':>10}{'slowest':>10}{'most memory':>13}")
    for name in [*(kind.name for kind in KINDS), "all"]:
        rows = [result for result in results if name in (result["kind"], "all")]
        if rows:
            outcomes = collections.Counter(result["outcome"] for result in rows)
            print(
                f"{name:<12}{len(rows):>9,}{outcomes['accepted']:>10,}{outcomes['refused']:>9,}{outcomes['finding']:>10,}"
                f"{max(result['seconds'] for result in rows):>8.2f} s{max(result['memory'] for result in rows) >> 20:>9,} MiB"
            )
    actual = [result for result in results if result["outcome"] == "finding"]
    alike = collections.defaultdict(list)
    for result in actual:
        alike[result["kind"], _place(result["said"])].append(result)
    for (_, place), group in sorted(alike.items(), key=lambda item: -len(item[1])):
        print(f"{len(group)} x {group[0]['kind']}:{group[0]['seed']}:{group[0]['number']}  {place}")
    return int(bool(actual))


def _place(said: str) -> str:
    """Where archrank raised, and the last line."""
    lines = said.strip().splitlines() or [""]
    frames = [
        line.strip()
        for line in lines
        if line.startswith('  File "') and "/tests/" not in line and "site-packages" not in line
    ]
    last = next((line for line in reversed(lines) if line[:1].strip()), lines[-1])
    return f"{frames[-1] if frames else ''} {last[:160]}".strip()


def repeat(reference: str) -> int:
    """Read one input again and print what comes of it."""
    name, seed, number = reference.split(":")
    with tempfile.TemporaryDirectory(prefix="fuzz") as place:
        kind = next(kind for kind in KINDS if kind.name == name)(_made(Path(place), name))
        scratch = Path(place) / "scratch"
        scratch.mkdir()
        os.chdir(scratch)
        outcome, said = judged(kind, int(seed), int(number), scratch / "input")
    print(f"{outcome}\n{said}")
    return int(outcome == "finding")


def main() -> int:
    """Exit code 1 if there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--inputs", type=int, default=2000, help="inputs in all, cheap kinds more of them (default 2000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs (default 0)")
    parser.add_argument("--minutes", type=float, default=600, help="stop after this time (default 600)")
    parser.add_argument("--only", default="", help=f"some kinds of {','.join(kind.name for kind in KINDS)}")
    parser.add_argument("--folder", type=Path, default=Path("results/fuzz"), help="results (default results/fuzz)")
    parser.add_argument("--repeat", default="", metavar="KIND:SEED:N", help="only this input")
    given = parser.parse_args()
    if given.repeat:
        return repeat(given.repeat)
    return fuzz(
        given.inputs, given.seed, given.folder, tuple(given.only.split(",")) if given.only else (), given.minutes
    )


if __name__ == "__main__":
    sys.exit(main())
