"""The command line in the process of a test."""

from typing import NamedTuple

import pytest

from archrank.cli import main


class Ended(NamedTuple):
    """How a command ended: its exit code, what it printed, what it complained about."""

    returncode: int
    stdout: str
    stderr: str


def ended(capture: pytest.CaptureFixture[str], *words: object) -> Ended:
    """Run a command; capture: `capsys`, or `capfd` where something below Python prints."""
    code = 0
    try:
        main([*map(str, words)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    return Ended(code, *capture.readouterr())
