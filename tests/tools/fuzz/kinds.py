"""What a kind of input is: it makes valid ones, mutates one of them, and gives it to the functions that commands read
it with."""

from __future__ import annotations

import contextlib
import io
import json
import random
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from archrank.cli import main as command
from archrank.eval.runners.run import run
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.records import parse_record
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import key_of, make_plan
from tests.tools.fuzz.mutate import columns_of, damage

COMMAND_SHARE = 0.005
"""How often an input is given to the command line itself too, which takes far longer than what it calls."""


class Kind:
    """A kind of input. Made once, before processes are forked: `folder` holds the valid inputs."""

    name: ClassVar[str]
    share: ClassVar[int]
    """inputs of this kind in a hundred"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """Write a mutated input into an empty folder and read it. Returns what was said of it where reading goes on
        without it; raises ArchrankError where not."""
        raise NotImplementedError


def commanded(words: list[str], rng: random.Random) -> None:
    """Now and then the command itself: it ends with an exit code, and shows no control character."""
    if rng.random() > COMMAND_SHARE:
        return
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown), contextlib.suppress(SystemExit):
        command(words)
    if acting := [sign for sign in shown.getvalue() if (ord(sign) < 32 or 127 <= ord(sign) < 160) and sign != "\n"]:
        raise AssertionError(f"`archrank {words[0]}` prints the control character {acting[0]!r}")


def store_of(folder: Path) -> Store:
    """A small store as a run leaves it, made once."""
    store = folder / "store"
    if not store.exists():
        benchmark = synthetic(40, seed=3)
        run(
            make_plan(
                parse_list("gcn[dim=4,layers=1],path+ridge"),
                benchmarks=[benchmark],
                budgets=[12],
                seeds=1,
                recipe="quick",
            ),
            store,
            workers=0,
        )
        failed = json.loads(sorted((store / "trials").glob("*.json"))[0].read_text())
        failed["trial"]["seed"] = 1
        failed |= {
            "schema": 1,
            "digest": None,
            "status": "failed",
            "metrics": {},
            "predictions": None,
            "encodings": None,
            "key": key_of(failed["trial"]),
            "error": {"type": "ValueError", "message": "made up", "traceback": "Traceback:\n  made up"},
        }
        parse_record(json.dumps(failed).encode())
        (store / "trials" / f"{failed['key']}.json").write_text(json.dumps(failed))
    return Store(store)


def parquet_of(table: pa.Table, good: bytes, rng: random.Random) -> bytes:
    """A Parquet file with other bytes or other columns."""
    if rng.random() < 0.4:
        return damage(good, rng)
    for _ in range(rng.choice((1, 1, 2))):
        if table.num_columns and table.num_rows:
            with contextlib.suppress(pa.ArrowException):
                table = columns_of(table, rng)
    try:
        data = whole(table)
    except (pa.ArrowException, ValueError, UnicodeError):
        return damage(good, rng)
    return damage(data, rng) if rng.random() < 0.1 else data


def whole(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())
