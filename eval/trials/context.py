"""Where and on what groups of trials run. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Context:
    """Where and on what a group runs.

    store: folder of results. device: cpu or cuda. threads: of the process. compiled: compile the training step where an
    encoder can be.
    isolated: the process trains and does nothing else, so that whatever an encoder raises there, even an interrupt, is
    a failure of its trial.
    """

    store: Path
    device: str = "cpu"
    threads: int = 1
    compiled: bool = False
    isolated: bool = False
