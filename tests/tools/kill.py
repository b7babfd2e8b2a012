"""Kills runs at random moments and resumes them: what comes out must equal an uninterrupted run, bit for bit.

    python -m tests.tools.kill --rounds 100

A round starts a run with two worker processes on a fresh store and kills something of it (the run itself, one of its workers, or the whole process
group) with SIGTERM, SIGINT or SIGKILL, several times, each time starting the same command again; then it lets the command finish. It checks that no
trial is lost or doubled, that metrics and predictions equal those of the uninterrupted run, and that no temporary file, claim or journal stays behind.

Results are appended to `kills.jsonl` in the folder given; the same command goes on from there. No test of `make test`: it takes as long as it is given.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.eval.runs import content

ENCODERS = "gcn[dim=8,layers=1],path+ridge,bag_of_ops+ridge,adjacency+ridge"
TARGETS = ("run", "worker", "group")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
LEFT_OVER = ("ensembles", "claims")


def command(store: Path, seeds: int) -> list[str]:
    """The run that is killed: a few small ensembles of everything that trains in a different way."""
    return [sys.executable, "-m", "archrank", "run", "-e", ENCODERS, "-b", "digits101", "--budgets", "12,20", "--seeds", str(seeds), "--recipe", "quick",
            "--store", str(store), "--workers", "2", "--device", "cpu", "--retry-failed"]


def start(store: Path, seeds: int) -> subprocess.Popen[bytes]:
    """Start it as the leader of a process group, so that the group can be killed."""
    return subprocess.Popen(command(store, seeds), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def children(pid: int) -> list[int]:
    """The processes below a process: its workers and what trains in them."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = [int(number) for number in path.read_text().split()]
        except OSError:
            continue
        found += [process for child in below for process in (child, *children(child))]
    return found


def is_worker(pid: int) -> bool:
    """Whether a process is a worker, not multiprocessing's own helper."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def kill(process: subprocess.Popen[bytes], target: str, number: signal.Signals, rng: random.Random) -> bool:
    """Send the signal; False if there was nothing to send it to."""
    try:
        if target == "run":
            process.send_signal(number)
        elif target == "group":
            os.killpg(process.pid, number)
        else:
            workers = [pid for pid in children(process.pid) if is_worker(pid)]
            if not workers:
                return False
            os.kill(rng.choice(workers), number)
    except ProcessLookupError:
        return False
    return True


def finish(process: subprocess.Popen[bytes], seconds: float = 600) -> str:
    """What a run says until it ends; it may not hang."""
    try:
        return process.communicate(timeout=seconds)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return "HANGS: " + process.communicate()[0].decode(errors="replace")


def round_(folder: Path, expected: dict[str, object], seconds: float, seeds: int, rng: random.Random, most: int) -> dict[str, object]:
    """One store: kills, resumptions, and what is wrong at the end."""
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    kills: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    for _ in range(most):
        process, target, number = start(store, seeds), rng.choice(TARGETS), rng.choice(SIGNALS)
        try:
            process.wait(timeout=rng.uniform(0.15, 1.0) * seconds)
            finish(process)
            break
        except subprocess.TimeoutExpired:
            if kill(process, target, number, rng):
                kills[f"{target} {number.name}"] += 1
        said = finish(process)
        if said.startswith("HANGS") or "Traceback" in said:
            wrong.append(said[-2000:])
    said = finish(start(store, seeds))
    if "0 failed" not in said:
        wrong.append(said[-2000:])
    found = content(store)
    stays = [str(path.relative_to(store)) for path in store.rglob(".*")] + [str(path.relative_to(store)) for name in LEFT_OVER for path in (store / name).glob("*")]
    return {"kills": dict(kills), "lost": len(expected.keys() - found.keys()), "doubled": len(found.keys() - expected.keys()),
            "different": sum(found[name] != expected[name] for name in found.keys() & expected.keys()), "stays": stays, "wrong": wrong}


def main() -> int:
    """Exit code 1 if anything was lost, doubled, different or left over, or a run hung or printed a traceback."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="stores, in all (default 20)")
    parser.add_argument("--kills", type=int, default=10, help="kills of a store at most (default 10)")
    parser.add_argument("--minutes", type=float, default=30, help="stop after this time (default 30)")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each predictor (default 2)")
    parser.add_argument("--folder", type=Path, default=Path("results/kills"), help="stores and results (default results/kills)")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    log = given.folder / "kills.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    end = time.monotonic() + 60 * given.minutes
    whole = given.folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    began = time.monotonic()
    said = finish(start(whole, given.seeds))
    seconds = time.monotonic() - began
    if "0 failed" not in said:
        print(said)
        return 1
    expected = content(whole)
    while len(done) < given.rounds and time.monotonic() < end:
        done.append(round_(given.folder, expected, seconds, given.seeds, random.Random(len(done)), given.kills))
        with log.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    return summarise(done, len(expected))


def summarise(done: list[dict[str, object]], files: int) -> int:
    """Print what the rounds found; 1 if any of it is wrong."""
    kills: collections.Counter[str] = collections.Counter()
    for result in done:
        kills.update(result["kills"])  # type: ignore[call-overload]
    totals = {name: sum(result[name] for result in done) for name in ("lost", "doubled", "different")}  # type: ignore[misc]
    stays, wrong = ([item for result in done for item in result[name]] for name in ("stays", "wrong"))  # type: ignore[attr-defined]
    print(f"{len(done)} stores of {files} files, {sum(kills.values())} kills: " + ", ".join(f"{name} {count}" for name, count in sorted(kills.items())))
    print(", ".join(f"{count} {name}" for name, count in totals.items()) + f", {len(stays)} files left over, {len(wrong)} runs that went wrong")
    for item in (*stays[:10], *wrong[:3]):
        print(item)
    return int(any(totals.values()) or bool(stays) or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
