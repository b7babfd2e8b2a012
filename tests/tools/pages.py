"""Run a page of docs/ from beginning to end, as it stands: `python -m tests.tools.pages candidates.md`.

Prints what every block prints, then the seconds each took, on the clock and of all processors together. The page's
files, tables, cache and store lie in a folder of their own, which is removed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import resource
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from archrank.cli import main as archrank

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
FOLDERS = {"ARCHRANK_CACHE": "cache", "ARCHRANK_TABLES": "tables"}


def blocks(page: str, smaller: Sequence[tuple[str, str]] = ()) -> Iterator[tuple[str, str, str]]:
    """What a page asks a reader to do, in order: kind (`csv`, `python`, `console`), text, and the file it is saved as.

    A console block is one item per line; `smaller` replaces text of the page, so that a test is quick.
    """
    text = (DOCS / page).read_text(encoding="utf-8")
    for large, small in smaller:
        assert large in text, large
        text = text.replace(large, small)
    for block in BLOCK.finditer(text):
        kind, body = block.groups()
        if kind == "csv":
            yield kind, body, re.findall(r"`([\w/]+\.csv)`", text[: block.start()])[-1]
        elif kind == "python":
            yield kind, body, page
        elif kind == "console":
            yield from ((kind, line.removeprefix("$ "), "") for line in body.splitlines())


def play(kind: str, text: str, name: str, names: dict[str, object]) -> None:
    """Do what one block says: save a CSV, run Python in the namespace of the page, or run a command of archrank."""
    if kind == "csv":
        Path(name).write_text(text)
    elif kind == "python":
        exec(compile(text, f"{name}: python", "exec"), names)
    else:
        words = shlex.split(text)
        assert words[0] == "archrank", text
        try:
            archrank(words[1:])
        except SystemExit as stop:
            assert not stop.code, text


def adopt() -> None:
    """Make this process the parent of whatever its children leave behind, so that its seconds are counted (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def processors() -> float:
    """Seconds that this process and its ended children, adopted ones too, have used."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def timed(page: str) -> list[tuple[str, float, float]]:
    """Run a page in a new folder; the first line of each block, seconds on the clock, seconds of processors."""
    names: dict[str, object] = {"__name__": "__main__"}
    took = []
    adopt()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({name: f"{folder}/{sub}" for name, sub in FOLDERS.items()})
        os.environ.pop("ARCHRANK_DATA", None)
        Path(folder, "here").mkdir()
        os.chdir(Path(folder, "here"))
        for kind, text, name in blocks(page):
            began, used = time.perf_counter(), processors()
            play(kind, text, name, names)
            took.append((text.partition("\n")[0], time.perf_counter() - began, processors() - used))
        os.chdir("/")
    return took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", help="a file of docs/")
    took = timed(parser.parse_args().page)
    print(f"\n{'wall s':>8}{'CPU s':>8}")
    for line, wall, cpu in [*took, ("in all", sum(row[1] for row in took), sum(row[2] for row in took))]:
        print(f"{wall:8.1f}{cpu:8.1f}  {line[:100]}")
