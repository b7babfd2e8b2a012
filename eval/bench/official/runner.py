"""Training by an official code, as one more variant beside those of `runners`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from archrank.datasets.errors import ArchrankError
from archrank.eval.bench.official import CODES
from archrank.eval.bench.official.checkout import find
from archrank.eval.bench.prepared_case import PreparedCase

# Trains at least so many steps (to the end of an epoch, where the code trains by epochs) and returns how many.
Advance = Callable[[int], int]


class OfficialCode:
    """The first member of a prepared, trained by its encoder's official code; see `runners` for what `train`
    promises."""

    members = 1

    def __init__(self, prepared: PreparedCase, folder: Path) -> None:
        """folder: a checkout, or a folder of checkouts. ArchrankError if none of them is this encoder's."""
        name = prepared.job.spec.info.name
        if (code := CODES.get(name)) is None:
            raise ArchrankError(f"--against: no official code of '{name}' can be measured; there is {', '.join(CODES)}")
        if prepared.case.device != "cpu":
            raise ArchrankError("--against: official codes are measured on the CPU; leave --device out")
        checkout = find(folder, code.marker)
        if checkout is None:
            raise ArchrankError(
                f"--against {folder}: no checkout of {code.repository} ({code.marker} is missing); clone it there"
            )
        module = import_module(f"archrank.eval.bench.official.{name}")
        self.advance: Advance = module.steps(prepared, checkout)

    def train(self, steps: int, began: Callable[[], None]) -> int:
        """See `runners.Runner`."""
        self.advance(1)
        began()
        return self.advance(steps - 1)

    def predict(self) -> int:
        """It is measured in training alone."""
        raise ArchrankError("the official code's prediction is not measured")

    def apart(self) -> float:
        """0: its weights are its own."""
        return 0.0
