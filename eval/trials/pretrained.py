"""Pre-trained encodings that trials share: one file each, with a digest. A damaged one counts as not there. No torch
here."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archrank.eval.trials.files import read_whole, replace_bytes

__all__ = ["read_pretrained", "write_pretrained"]

LIMIT = 4 << 30


def write_pretrained(path: Path, encoding: NDArray[np.floating], seconds: float) -> None:
    """Store the encoding of every architecture of a benchmark [N, F] and the seconds that its pre-training took.

    Raises:
        NotWritten: the file system does not let us.
    """
    from safetensors.numpy import save

    array = np.ascontiguousarray(encoding)
    replace_bytes(path, save({"encoding": array}, {"seconds": repr(seconds), "sha256": _digest(array)}))


def read_pretrained(path: Path, architectures: int) -> tuple[NDArray[np.floating], float] | None:
    """A stored encoding [N, F] and the seconds it took; None if there is none, or what is there is not what
    `write_pretrained` wrote.

    Args:
        path: its file (safetensors).
        architectures: N, length of the benchmark's table.
    """
    from safetensors.numpy import load

    if not path.exists():
        return None
    try:
        data = read_whole(path, LIMIT)
        about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        array, seconds = load(data)["encoding"], float(about["seconds"])
        # Files of archrank 0.1 name no digest.
        whole = about.get("sha256", _digest(array)) == _digest(array)
    except Exception:  # whatever a damaged file makes its readers raise
        return None
    if (
        not whole
        or array.ndim != 2
        or len(array) != architectures
        or array.dtype.kind != "f"
        or not np.isfinite(array).all()
    ):
        return None
    return (array, seconds) if math.isfinite(seconds) and seconds >= 0 else None


def _digest(array: NDArray[np.floating]) -> str:
    head = f"{array.dtype.str} {list(array.shape)} "
    return hashlib.sha256(head.encode() + array.tobytes()).hexdigest()
