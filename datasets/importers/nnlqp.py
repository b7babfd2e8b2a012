"""NNLQP (Liu et al., ICPP 2022): latency of whole ONNX networks on deployment platforms.

Graph: one node per ONNX operator, `input` in front of what is fed in and `output` behind what comes out; weights are no
nodes (see `datasets.io.onnx`).

Reads a folder with `gt.txt`, one measurement per line: id, ONNX file, batch size, milliseconds, family, platform
number, stage. Written from the published reader and tested on ONNX files made by hand; the release itself was not at
hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import flat, metric
from archrank.datasets.importers.source import Importer, Source
from archrank.datasets.io.bounded import JSON_LIMIT, read_bytes, safe_member, tell
from archrank.datasets.io.onnx import ONNX_LIMIT, parse_onnx
from archrank.datasets.keys import graph_keys

if TYPE_CHECKING:
    import pandas as pd

INPUT, OUTPUT = "input", "output"
Parsed = tuple[list[str], list[tuple[int, int]]]


def locate(root: Path, variant: str = "") -> Path | None:
    """The folder with `gt.txt` below a data folder, or None."""
    for folder in (root / "nnlqp", root / "nnlqp" / "unseen_structure"):
        if (folder / "gt.txt").is_file():
            return folder
    return None


def files(path: Path, variant: str = "") -> list[Path]:
    """The file to watch for changes."""
    return [path / "gt.txt"]


def _measurements(path: Path) -> dict[tuple[str, int], dict[str, float]]:
    rows: dict[tuple[str, int], dict[str, float]] = {}
    for line, text in enumerate(read_bytes(path, JSON_LIMIT).decode("utf-8", errors="replace").splitlines(), 1):
        where, items = f"{path}: line {line}", text.split()
        if not items:
            continue
        try:
            name, batch, milliseconds, platform = items[1], int(items[2]), float(items[3]), int(items[5])
        except (IndexError, ValueError):
            raise DataError(
                f"{where}: needs id, ONNX file, batch size, milliseconds, family, platform, stage"
            ) from None
        safe_member(name, where)
        if not np.isfinite(milliseconds) or milliseconds <= 0 or batch < 1:
            raise DataError(f"{where}: {milliseconds} ms at batch {batch} is no measurement")
        row = rows.setdefault((name, batch), {})
        if f"latency_{platform}" in row:
            raise DataError(f"{where}: repeats {name} at batch {batch} on platform {platform}")
        row[f"latency_{platform}"] = milliseconds
    if not rows:
        raise DataError(f"{path}: holds no measurement")
    return rows


def _vocabulary(parsed: Mapping[str, Parsed]) -> list[str]:
    return [INPUT, *sorted({op for ops, _ in parsed.values() for op in ops} - {INPUT, OUTPUT}), OUTPUT]


def read(path: Path, variant: str = "") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card, networks in the order of `gt.txt`; one metric per platform."""
    import pandas as pd

    rows = _measurements(path / "gt.txt")
    parsed: dict[str, Parsed] = {}
    for name, _ in rows:
        if name not in parsed:
            tell(len(parsed), len(rows))
            if not (path / name).resolve().is_relative_to(path.resolve()):
                raise DataError(f"{path / name}: a link out of the folder; refused")
            graph = parse_onnx(read_bytes(path / name, ONNX_LIMIT), str(path / name))
            parsed[name] = [INPUT, *(node.kind for node in graph.nodes), OUTPUT], graph.edges
    vocabulary = _vocabulary(parsed)
    place = {op: number for number, op in enumerate(vocabulary)}
    ops = [[place[op] for op in parsed[name][0]] for name, _ in rows]
    edges = [parsed[name][1] for name, _ in rows]
    platforms = sorted(
        {platform for row in rows.values() for platform in row}, key=lambda text: int(text.split("_")[1])
    )
    several = len({batch for _, batch in rows}) > 1
    frame = pd.DataFrame(
        {
            "arch": [name.removesuffix(".onnx") + (f"@{batch}" if several else "") for name, batch in rows],
            "ops": ops,
            "edges": [flat(pairs) for pairs in edges],
            "key": [f"{key}@{batch}" for key, (_, batch) in zip(graph_keys(ops, edges), rows)],
            **{platform: [row.get(platform, np.nan) for row in rows.values()] for platform in platforms},
        }
    )
    card = {
        "name": "nnlqp",
        "title": "NNLQP",
        "space": {
            "name": "nnlqp",
            "ops": vocabulary,
            "max_nodes": max(map(len, ops)),
            "cells": 1,
            "roles": {"input": 0, "output": len(vocabulary) - 1},
        },
        "metrics": {
            platform: metric(f"latency on platform {platform.split('_')[1]}", "ms", "min") for platform in platforms
        },
        "default_target": platforms[0],
        "source": "github.com/ModelTC/NNLQP, release v1.0-data",
        "licence": "see the release",
        "citation": "L. Liu et al. NNLQP: A Multi-Platform Neural Network Latency Query and Prediction System with An Evolving Database. "
        "ICPP 2022.",
        "facts": {"architectures": len(rows)},
    }
    return frame, card


IMPORTER = Importer(
    "nnlqp",
    summary="NNLQP (Liu et al., ICPP 2022): latency of whole ONNX networks on deployment platforms",
    sources=(
        Source(
            "nnlqp",
            "NNLQP, latency of whole ONNX networks on deployment platforms",
            "nnlqp/gt.txt and the ONNX files it names",
            "release v1.0-data of github.com/ModelTC/NNLQP, dataset.tar.gz unpacked",
        ),
    ),
    locate=locate,
    read=read,
    files=files,
)
