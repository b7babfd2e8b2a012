"""Pre-trained encodings and weights that trials share: one file each, with a digest. A damaged one counts as not there.
No torch here."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.eval.trials.files import read_whole, replace_bytes

__all__ = ["kept_encoding", "path_of", "read_pretrained", "read_weights", "write_pretrained", "write_weights"]

LIMIT = 4 << 30


def path_of(folder: Path, identity: list[Any]) -> Path:
    """Where a store keeps what an identity (lists, texts and numbers) stands for."""
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return folder / "pretraining" / f"{name}.safetensors"


def kept_encoding(
    path: Path, architectures: int, compute: Callable[[], NDArray[np.floating]]
) -> tuple[NDArray[np.float64], float]:
    """An encoding [N, F] from its file, or computed and stored; and the seconds that took.

    Args:
        path: its file.
        architectures: N, length of the benchmark's table.
        compute: gives the encoding where there is no file, or a damaged one.
    """
    if (stored := read_pretrained(path, architectures)) is not None:
        return stored[0].astype(np.float64), stored[1]
    start = time.perf_counter()
    encoding = compute()
    seconds = time.perf_counter() - start
    write_pretrained(path, encoding, seconds)
    return encoding.astype(np.float64), seconds


def write_pretrained(path: Path, encoding: NDArray[np.floating], seconds: float) -> None:
    """Store the encoding of every architecture of a benchmark [N, F] and the seconds that its pre-training took.

    Raises:
        NotWritten: the file system does not let us.
    """
    write_weights(path, {"encoding": encoding}, seconds)


def read_pretrained(path: Path, architectures: int) -> tuple[NDArray[np.floating], float] | None:
    """A stored encoding [N, F] and the seconds it took; None if there is none, or what is there is not what
    `write_pretrained` wrote.

    Args:
        path: its file (safetensors).
        architectures: N, length of the benchmark's table.
    """
    if (content := read_weights(path)) is None or content[0].keys() != {"encoding"}:
        return None
    array, seconds = content[0]["encoding"], content[1]
    return (array, seconds) if array.ndim == 2 and len(array) == architectures and array.dtype.kind == "f" else None


def write_weights(path: Path, weights: Mapping[str, NDArray[Any]], seconds: float) -> None:
    """Store what a pre-training gave, arrays by name, and the seconds that it took.

    Raises:
        NotWritten: the file system does not let us.
    """
    from safetensors.numpy import save

    arrays = {name: np.asarray(array, order="C") for name, array in weights.items()}
    replace_bytes(path, save(arrays, {"seconds": repr(seconds), "sha256": _digest(arrays)}))


def read_weights(path: Path) -> tuple[dict[str, NDArray[Any]], float] | None:
    """Stored arrays by name and the seconds they took; None if there are none, or what is there is not what
    `write_weights` wrote, all numbers finite."""
    from safetensors.numpy import load

    if not path.exists():
        return None
    try:
        data = read_whole(path, LIMIT)
        about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        arrays, seconds = load(data), float(about["seconds"])
        # Files of archrank 0.1 name no digest.
        whole = about.get("sha256", _digest(arrays)) == _digest(arrays)
        whole = whole and all(np.isfinite(array).all() for array in arrays.values())
    except Exception:  # whatever a damaged file makes its readers raise
        return None
    return (arrays, seconds) if whole and math.isfinite(seconds) and seconds >= 0 else None


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for _, array in sorted(arrays.items()):
        digest.update(f"{array.dtype.str} {list(array.shape)} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
