"""NAS-Bench-101 (Ying et al., ICML 2019), and two smaller tables in its space.

Graph: the pruned cell as published, operation on node, at most 7 nodes and 9 edges; the key is the official module
hash.

`full` and `only108` read the official TFRecords, `ecnas_4v` and `ecnas_5v` those of EC-NAS (Bakhtiarifard et al.,
2022), which trained small cells of the same space itself; `cells` reads a JSON file of official cells with one
108-epoch run each. Records are streamed: memory holds one row of numbers per cell, never the file.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import int_tuple, metric, number
from archrank.datasets.importers.proxies import proxies_of, proxy_metrics
from archrank.datasets.importers.source import Download, Importer, Source
from archrank.datasets.io import tfrecord
from archrank.datasets.io.bounded import open_file, read_json, shown
from archrank.datasets.nb101_cells import INPUT, OPS, OUTPUT, NB101Cell

if TYPE_CHECKING:
    import pandas as pd

OFFICIAL_OPS = {"input": 0, "conv1x1-bn-relu": 1, "conv3x3-bn-relu": 2, "maxpool3x3": 3, "output": 4}
EPOCHS = (4, 12, 36, 108)
REPEATS = 3
VALUES = ("val", "test", "train_seconds")
FILES = {
    "full": ("nasbench_full.tfrecord", "nasbench_only108.tfrecord"),
    "ecnas_4v": ("energy_4V9E.tfrecord",),
    "ecnas_5v": ("energy_5V9E.tfrecord",),
    "cells": ("cells_108epochs.json",),
}
NAMES = {"full": "nasbench101", "ecnas_4v": "ecnas_4v9e", "ecnas_5v": "ecnas_5v9e", "cells": "nasbench101_cells"}
CITATION = "C. Ying et al. NAS-Bench-101: Towards Reproducible Neural Architecture Search. ICML 2019."
ECNAS = (
    "P. Bakhtiarifard, C. Igel, R. Selvan. EC-NAS: Energy Consumption Aware Tabular Benchmarks for NAS. ICASSP 2024."
)
_GROW = 1 << 15
# Tags of training time, validation and test accuracy: field number, wire type 1 (double).
_NEEDED = {2 << 3 | 1, 4 << 3 | 1, 5 << 3 | 1}


def locate(root: Path, variant: str = "full") -> Path | None:
    """The file of one table below a data folder (the full official one before the 108-epoch one), or None."""
    paths = (root / "nasbench101" / name for name in FILES[variant])
    return next((path for path in paths if path.is_file()), None)


def prune(bits: str, ops: Sequence[int], where: str) -> NB101Cell:
    """The cell that is left when vertices off every input-output path are dropped; DataError if nothing is, or it is no
    cell.

    bits: the adjacency as V*V characters, row by row; `1` at (u, v) is the edge u -> v. ops: V op ids.
    """
    count = len(ops)
    links = [divmod(at, count) for at, bit in enumerate(bits) if bit == "1"]
    if any(u >= v for u, v in links):
        raise DataError(f"{where}: an edge leads backwards; the adjacency must be upper triangular (a cycle cannot be)")
    forward, backward = 1, 1 << (count - 1)
    for u, v in links:
        if forward >> u & 1:
            forward |= 1 << v
    for u, v in reversed(links):
        if backward >> v & 1:
            backward |= 1 << u
    keep = forward & backward
    if not keep & 1:
        raise DataError(f"{where}: no path leads from the input to the output")
    place = {v: number for number, v in enumerate(v for v in range(count) if keep >> v & 1)}
    try:
        return NB101Cell(
            tuple(ops[v] for v in place), tuple((place[u], place[v]) for u, v in links if u in place and v in place)
        )
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def parse_cell(bits: str, ops: str, where: str) -> NB101Cell:
    """The cell of a record: adjacency as n*n characters 0 and 1, operations as a comma-separated list."""
    names = ops.split(",")
    if not 2 <= len(names) <= 7 or len(bits) != len(names) ** 2 or set(bits) - {"0", "1"}:
        raise DataError(
            f"{where}: {len(bits)} adjacency bits and {len(names)} operations are no cell of 2 to 7 vertices"
        )
    for name in names:
        if name not in OFFICIAL_OPS:
            raise DataError(f"{where}: unknown operation '{name[:40]}'; known: {', '.join(OFFICIAL_OPS)}")
    return prune(bits, [OFFICIAL_OPS[name] for name in names], where)


def final_evaluation(message: bytes) -> tuple[float, float, float, int]:
    """(validation accuracy, test accuracy, training seconds, parameters) at the last evaluation of a ModelMetrics
    message.

    Raises ValueError if the message is damaged or lacks one of them.
    """
    last, parameters = b"", -1
    for tag, kind, value in tfrecord.fields(message):
        if tag == 1 and isinstance(value, bytes):
            last = value
        elif tag == 2 and kind == 0 and isinstance(value, int):
            parameters = value
    if len(last) == 45:  # the official files: five doubles, each behind its tag
        fields = dict(struct.iter_unpack("<Bd", last))
    else:
        doubles = ((tag, value) for tag, kind, value in tfrecord.fields(last) if kind == 1 and isinstance(value, bytes))
        fields = {tag << 3 | 1: struct.unpack("<d", value)[0] for tag, value in doubles}
    if not fields.keys() >= _NEEDED or parameters < 0:
        raise ValueError("accuracy, time or parameters are missing")
    seconds, val, test = (fields[tag] for tag in sorted(_NEEDED))
    return val, test, seconds, parameters


@dataclass
class _Table:
    """Rows in file order. values [N, epochs, repeats, 3] and runs [N, epochs] grow by blocks."""

    row: dict[bytes, int] = field(default_factory=dict)
    ops: list[NDArray[np.int8]] = field(default_factory=list)
    edges: list[NDArray[np.int8]] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    values: NDArray[np.float64] = field(default_factory=lambda: np.full((0, len(EPOCHS), REPEATS, len(VALUES)), np.nan))
    runs: NDArray[np.int8] = field(default_factory=lambda: np.zeros((0, len(EPOCHS)), np.int8))

    def add(self, key: bytes, cell: NB101Cell, parameters: int) -> int:
        number = self.row[key] = len(self.row)
        self.ops.append(np.array(cell.ops, np.int8))
        self.edges.append(np.array(cell.flat_edges, np.int8))
        self.parameters.append(parameters)
        if number >= len(self.runs):
            more = max(_GROW, len(self.runs) // 2)
            self.values = np.concatenate([self.values, np.full((more, *self.values.shape[1:]), np.nan)])
            self.runs = np.concatenate([self.runs, np.zeros((more, len(EPOCHS)), np.int8)])
        return number


def _stream(path: Path) -> _Table:
    table = _Table()
    with open_file(path) as stream:
        for number, payload in enumerate(tfrecord.records(stream, path)):
            where = f"{path}: record {number}"
            try:
                name, epochs, bits, ops, packed = json.loads(payload)
                key = bytes.fromhex(name)
                message = base64.b64decode(packed)
                val, test, seconds, parameters = final_evaluation(message)
                at = EPOCHS.index(epochs)
            except (ValueError, TypeError, RecursionError) as error:
                raise DataError(f"{where}: not a NAS-Bench-101 record ({str(error)[:80]})") from None
            if not all(0 <= score <= 1 for score in (val, test)) or not 0 <= seconds < 1e9:
                raise DataError(f"{where}: accuracies {val}, {test} and {seconds} s are not measured values; refused")
            row = table.row.get(key)
            if row is None:
                cell = parse_cell(bits, ops, where)
                if cell.hash != name:
                    raise DataError(
                        f"{where}: the cell hashes to {cell.hash}, the record says {name[:40]}; it is damaged"
                    )
                row = table.add(key, cell, parameters)
            run = int(table.runs[row, at])
            if run >= REPEATS:
                raise DataError(f"{where}: cell {name} has more than {REPEATS} runs of {epochs} epochs")
            table.values[row, at, run] = 100 * val, 100 * test, seconds
            table.runs[row, at] += 1
    if not table.row:
        raise DataError(f"{path}: holds no record")
    return table


def read(path: Path, variant: str = "full") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of one table. Every cell's official hash is computed again on the way (DataError where it
    differs)."""
    frame, metrics = _cells(path) if variant == "cells" else _frame(_stream(path))
    own = variant.startswith("ecnas")
    card = {
        "name": NAMES[variant],
        "title": {
            "full": "NAS-Bench-101",
            "cells": "NAS-Bench-101, 292 cells",
            "ecnas_4v": "EC-NAS, 4 vertices",
            "ecnas_5v": "EC-NAS, 5 vertices",
        }[variant],
        "space": {
            "name": "nasbench101",
            "ops": list(OPS),
            "max_nodes": 7,
            "cells": 1,
            "roles": {"input": INPUT, "output": OUTPUT},
        },
        "metrics": metrics,
        "default_target": next(
            name for name in ("cifar10_val", "cifar10_val_36", "cifar10_val_12", "cifar10_val_4") if name in metrics
        ),
        "source": "github.com/saintslab/EC-NAS-Bench" if own else "github.com/google-research/nasbench",
        "licence": "MIT" if own else "Apache-2.0",
        "citation": ECNAS if own else CITATION,
        "facts": FACTS[variant],
    }
    return frame, card


def _frame(table: _Table) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    count = len(table.row)
    names = [key.hex() for key in table.row]
    columns: dict[str, Any] = {"arch": names, "ops": table.ops, "edges": table.edges, "key": names}
    metrics: dict[str, Any] = {}
    values, runs = table.values[:count], table.runs[:count]
    for at in reversed(range(len(EPOCHS))):
        repeats = int(runs[:, at].max())
        if repeats == 0:
            continue
        epochs = EPOCHS[at]
        suffix = "" if epochs == 108 else f"_{epochs}"
        said = f"{epochs} epochs, " + (f"mean of {repeats} runs" if repeats > 1 else "one run")
        for which, short in ((0, "val"), (1, "test"), (2, "")):
            name = f"cifar10_{short}{suffix}" if short else f"train_seconds{suffix}"
            measured = values[:, at, :repeats, which]
            columns[name] = measured.mean(1) if (runs[:, at] == repeats).all() else _mean(measured)
            if not short:
                metrics[name] = metric(f"training time on CIFAR-10, {said}", "s", "min")
                continue
            more: dict[str, Any] = {}
            if repeats > 1:
                more["repeats"] = [f"{name}_run{run + 1}" for run in range(repeats)]
                columns |= {column: measured[:, run] for run, column in enumerate(more["repeats"])}
            metrics[name] = metric(f"CIFAR-10 {'validation' if short == 'val' else 'test'} accuracy, {said}", **more)
    columns["parameters"] = np.array(table.parameters, np.int64)
    metrics["parameters"] = metric("trainable parameters", "count", "min")
    return pd.DataFrame(columns), metrics


def _mean(measured: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(measured)
    counts = known.sum(1)
    return np.where(counts > 0, np.where(known, measured, 0).sum(1) / np.maximum(counts, 1), np.nan)


# Position in this tuple = op id in the JSON file's keys.
_JSON_OPS = (0, 4, 3, 1, 2)


def _cells(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd

    try:
        entries = read_json(path)["nasbench101"]["cifar10"].items()
    except (KeyError, TypeError, AttributeError):
        raise DataError(f"{path}: needs 'nasbench101' / 'cifar10' inside; is this the right file?") from None
    rows: dict[str, dict[str, Any]] = {}
    for position, (text, entry) in enumerate(entries):
        where = f"{path}: entry {position}"
        digits = int_tuple(text, where)
        if len(digits) != 56 or set(digits[:49]) - {0, 1} or any(not 0 <= op < len(_JSON_OPS) for op in digits[49:]):
            raise DataError(f"{where}: needs 49 adjacency entries and 7 op ids from 0 to {len(_JSON_OPS) - 1}")
        cell = prune("".join(map(str, digits[:49])), [_JSON_OPS[op] for op in digits[49:]], where)
        if not isinstance(entry, dict):
            raise DataError(f"{where}: {shown(entry)} is no dictionary of val_accuracy, params and flops")
        score = number(entry.get("val_accuracy"), f"{where}: val_accuracy")
        # Isomorphic cells may differ a little in parameters: vertex order decides who gets a channel that does not
        # divide.
        row = rows.setdefault(
            cell.hash,
            {
                "ops": list(cell.ops),
                "edges": cell.flat_edges,
                "runs": set(),
                "parameters": round(1e6 * number(entry.get("params"), f"{where}: params")),
                "flops": number(entry.get("flops"), f"{where}: flops"),
                **proxies_of(entry, where),
            },
        )
        row["runs"].add(score)
    if not rows:
        raise DataError(f"{path}: holds no cell")
    proxies = proxy_metrics(rows.values())
    frame = pd.DataFrame(rows.values())[["ops", "edges", "runs", "parameters", "flops", *proxies]]
    frame.insert(0, "arch", list(rows))
    frame["key"] = list(rows)
    frame["cifar10_val"] = [sum(runs) / len(runs) for runs in frame.pop("runs")]
    metrics = {
        "cifar10_val": metric(
            "CIFAR-10 validation accuracy, 108 epochs, mean of the runs the file holds (one for most cells, up to 3)"
        ),
        "parameters": metric("trainable parameters", "count", "min"),
        "flops": metric("operations of the whole network on CIFAR-10", "million", "min"),
        **proxies,
    }
    return frame, metrics


FACTS: dict[str, dict[str, Any]] = {
    "full": {
        "architectures": 423624,
        "classes": 423624,
        "nb101_hashes": True,
        "best": {"cifar10_val": 95.0554, "cifar10_test": 94.3176},
    },
    "ecnas_4v": {"architectures": 91, "classes": 91, "nb101_hashes": True},
    "ecnas_5v": {"architectures": 2532, "classes": 2532, "nb101_hashes": True},
    "cells": {"architectures": 292, "classes": 292, "nb101_hashes": True},
}


_NASBENCH101 = "https://storage.googleapis.com/nasbench/"
IMPORTER = Importer(
    "nasbench101",
    summary="NAS-Bench-101 (Ying et al., ICML 2019), and two smaller tables in its space",
    sources=(
        Source(
            "nasbench101",
            "NAS-Bench-101, 423,624 cells on CIFAR-10, 3 runs each",
            "nasbench101/nasbench_only108.tfrecord or nasbench101/nasbench_full.tfrecord",
            f"{_NASBENCH101}nasbench_only108.tfrecord (499 MB) or, with 4, 12 and 36 epochs too, nasbench_full.tfrecord (1.95 GB)",
            variant="full",
            downloads=(
                Download(
                    f"{_NASBENCH101}nasbench_only108.tfrecord",
                    "nasbench101/nasbench_only108.tfrecord",
                    "sha256:4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
                ),
            ),
        ),
        Source(
            "nasbench101_cells",
            "292 official NAS-Bench-101 cells, 108 epochs",
            "nasbench101/cells_108epochs.json",
            "a JSON file {'nasbench101': {'cifar10': {adjacency and op ids: {val_accuracy, params, flops}}}}",
            version=2,
            variant="cells",
        ),
        *(
            Source(
                f"ecnas_{size}v9e",
                f"EC-NAS, {count} cells of the NAS-Bench-101 space trained again, {size} vertices",
                f"nasbench101/energy_{size}V9E.tfrecord",
                f"the EC-NAS project (github.com/saintslab/EC-NAS-Bench), energy_{size}V9E.tfrecord",
                variant=f"ecnas_{size}v",
            )
            for size, count in ((4, 91), (5, "2,532"))
        ),
    ),
    locate=locate,
    read=read,
)
