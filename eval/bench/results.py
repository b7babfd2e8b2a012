"""The raw samples of a bench, kept as they come: one JSON file a part, written anew after every measurement."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from archrank.datasets.errors import ArchrankError
from archrank.eval.trials.files import replace
from archrank.eval.trials.provenance import provenance

SCHEMA = 1
# Names of measurements in files of earlier versions, and those of today.
RENAMED = {"floor": "roofline", "size floor": "size roofline"}
Sample = dict[str, Any]


class SampleFile:
    """Samples of one part in `<folder>/<part>.json`. Measuring a case again replaces what was there of it, and nothing
    else.

    command: what was typed; every sample carries it, and where it was measured.
    """

    def __init__(self, folder: Path, part: str, device: str = "cpu", threads: int = 1, command: str = "") -> None:
        self.path, self.part = folder / f"{part}.json", part
        self.samples: list[Sample] = read(self.path)["samples"] if self.path.exists() else []
        self.machine = {name: value for name, value in provenance(device, threads).items() if name != "finished"}
        self.command, self.case = command, ""

    def begin(self, case: str) -> None:
        """Samples added from here on are about `case`, whose old samples go."""
        self.case = case
        self.samples = [sample for sample in self.samples if sample["case"] != case]

    def add(self, what: str, **values: Any) -> None:
        """Note one measurement and write the file."""
        self.samples.append(
            {
                "part": self.part,
                "case": self.case,
                "what": what,
                **values,
                "machine": self.machine,
                "command": self.command,
            }
        )
        text = json.dumps({"schema": SCHEMA, "samples": self.samples}, indent=1, allow_nan=False) + "\n"
        replace(self.path, lambda path: _write(path, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """One part's file; ArchrankError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] == SCHEMA and isinstance(content["samples"], list):
            samples = [sample | {"what": RENAMED.get(sample["what"], sample["what"])} for sample in content["samples"]]
            return dict(content) | {"samples": samples}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ArchrankError(f"{path} is not a file of `archrank bench`; move it away or give another folder")


def read_all(folders: Iterable[Path]) -> list[Sample]:
    """The samples of all parts in some folders; ArchrankError for a folder without any."""
    samples: list[Sample] = []
    for folder in folders:
        paths = sorted(folder.glob("*.json"))
        if not paths:
            raise ArchrankError(f"no results of `archrank bench` in {folder}; run it with -o {folder} first")
        for path in paths:
            samples += read(path)["samples"]
    return samples
