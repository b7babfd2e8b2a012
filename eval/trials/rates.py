"""How long ensembles take on this machine: noted by runs, read by plans and progress bars. No torch here."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from archrank.datasets.catalog import cache_folder
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import read_bytes
from archrank.eval.trials.groups import shape
from archrank.eval.trials.trial import Planned

MOST_BYTES = 4 << 20
MOST_KINDS = 5_000
Family = tuple[str, ...]
Size = tuple[int, int]


@dataclass
class Rates:
    """Seconds that ensembles of a kind took.

    path: the file they are kept in. seconds: by what ensembles have in common, then by their size, the newest last.
    device: what runs trained on last.
    """

    path: Path
    seconds: dict[Family, dict[Size, float]] = field(default_factory=dict)
    device: str = "cpu"

    @classmethod
    def read(cls) -> Rates:
        """Those of this machine, from the cache folder; none where there is no file, or one that is not whole."""
        path = cache_folder() / f"rates-{platform.node() or 'here'}.json"
        try:
            content = json.loads(read_bytes(path, MOST_BYTES))
            rates = cls(path, device=str(content["device"]))
            for kind, value in content["seconds"].items():
                *family, batch, count = json.loads(kind)
                if 0 < float(value) < math.inf and batch * count > 0:
                    rates.seconds.setdefault(tuple(map(str, family)), {})[batch, count] = float(value)
        except (DataError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(path)
        return rates

    def note(self, members: Sequence[Planned], device: str, seconds: float) -> None:
        """An ensemble took so many seconds: the mean with what was noted of its kind before."""
        family, size = _family(members, device), _size(members)
        sizes = self.seconds.pop(family, {})
        before = sizes.pop(size, seconds)
        self.device, self.seconds[family] = device, sizes | {size: (before + seconds) / 2}

    def of(self, members: Sequence[Planned], device: str | None = None) -> float | None:
        """The seconds that an ensemble will take; None where nothing like it was noted.

        Of an ensemble of another size, they are those of the one nearest in size, in proportion.
        """
        batch, count = _size(members)
        noted = self.seconds.get(_family(members, device or self.device), {})
        alike = {size * width: seconds for (size, width), seconds in noted.items()}
        if not alike:
            return None
        work = batch * count
        nearest = min(alike, key=lambda size: abs(math.log(size / work)))
        return alike[nearest] * work / nearest

    def write(self) -> None:
        """Keep them, if the cache folder lets us."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            scratch = self.path.with_suffix(f".{os.getpid()}")
            kinds = [
                (json.dumps([*family, *size]), seconds)
                for family, sizes in self.seconds.items()
                for size, seconds in sizes.items()
            ]
            scratch.write_text(json.dumps({"device": self.device, "seconds": dict(kinds[-MOST_KINDS:])}), "utf-8")
            scratch.replace(self.path)


def wall_seconds(ensembles: Sequence[float], workers: int) -> float:
    """How long so many workers take for ensembles of so many seconds."""
    return max(sum(ensembles) / max(workers, 1), max(ensembles, default=0.0))


def duration(seconds: float) -> str:
    """A length of time for a person: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _family(members: Sequence[Planned], device: str) -> Family:
    """What ensembles have in common whose seconds can be compared."""
    trial, spec = members[0].trial, members[0].spec
    return spec.label, trial.benchmark, trial.training, device.partition(":")[0]


def _size(members: Sequence[Planned]) -> Size:
    """Architectures in a batch, or labels of a regressor; and members."""
    budgets = [shape(item) if item.spec.neural else item.trial.budget for item in members]
    return max(budgets), len(members)
