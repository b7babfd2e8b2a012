"""The official single file of NAS-Bench-201, `NAS-Bench-201-v1_1-096897.pth` (4.7 GB; also v1_0-e61699).

What `torch.save` made of {meta_archs: [architecture string], arch2infos: {index: {full: results of 200 epochs, less: of
12}}, evaluated_indexes}. Results have the form of NATS-Bench's, which holds the same trainings; read as there, one
architecture at a time in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import DataError
from archrank.datasets.importers import natsbench
from archrank.datasets.io import safe_pickle
from archrank.datasets.io import torch_files as torch_file

if TYPE_CHECKING:
    import pandas as pd

STAGES = {"200": "full", "12": "less"}
_ROW = "row"


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card, in official index order. Costs are counts, as in the CSV form of the benchmark."""
    content = torch_file.load(path, lambda entry: _reduced(entry, path))
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("arch2infos"), dict)
        or not isinstance(content.get("meta_archs"), list)
    ):
        raise DataError(f"{path}: lacks 'meta_archs' or 'arch2infos'; is this the official NAS-Bench-201 file?")
    archs = content["meta_archs"]
    rows: dict[int, dict[str, Any]] = {}
    for index, info in sorted(content["arch2infos"].items()):
        row = info.get(_ROW) if isinstance(info, dict) else None
        if type(index) is not int or row is None or not 0 <= index < len(archs) or archs[index] != row["arch"]:
            raise DataError(
                f"{path}: architecture {index}: its results are missing or belong to another than `meta_archs` says"
            )
        rows[index] = row
    if not rows:
        raise DataError(f"{path}: holds no architecture")
    frame, card = natsbench.table_of(rows, "topology", str(path))
    for name in natsbench.COSTS:
        frame[name] *= 1e6
        card["metrics"][name]["unit"] = "count"
    whole = len(frame) == natsbench.COUNTS["topology"]
    title = (
        "NAS-Bench-201"
        if whole
        else f"NAS-Bench-201 ({len(frame):,} of {natsbench.COUNTS['topology']:,} architectures)"
    )
    source, citation = (
        "github.com/D-X-Y/NAS-Bench-201, " + path.name,
        ("X. Dong, Y. Yang. NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search. ICLR 2020."),
    )
    return frame, card | {"name": "nasbench201", "title": title, "source": source, "citation": citation}


def _reduced(entry: dict[Any, Any], path: Path) -> dict[str, Any] | None:
    """The row of an architecture whose two trainings are read, None for any other dictionary."""
    if not set(STAGES.values()) <= entry.keys():
        return None
    stages = {stage: entry[name] for stage, name in STAGES.items()}
    safe_pickle.check_parts(stages, str(path))
    arch = stages["200"].get("arch_str") if isinstance(stages["200"], dict) else None
    try:
        return {_ROW: natsbench.row_of(stages, "topology", f"{path}: {arch}")}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path}: {arch}: not the results of an architecture ({type(error).__name__}: {error})"
        ) from None
