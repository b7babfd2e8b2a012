"""TransNAS-Bench-101 (Duan et al., CVPR 2021): one cell space (micro) and one chain space (macro), seven vision tasks
each.

Micro graph: as in NAS-Bench-201, operation on node, 8 nodes (input, the six edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3,
output); four operations. Macro graph: a chain of input, 4 to 6 modules, output; a module is plain, doubles the
channels, halves the resolution, or both.

Read from zip archives of JSON shards, each a list of {"arch": "(1, 3, 0, 3, 2, 1)", "val_accuracy": ...}, the task in
the shard's name; or from the official file (see `transnasbench101_pth`). A zero-cost proxy that shards hold beside the
score (`zen`) is a column for each task, `class_scene_zen`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import DataError
from archrank.datasets.importers import transnasbench101_pth
from archrank.datasets.importers.common import flat, int_tuple, metric, number
from archrank.datasets.importers.proxies import PROXIES, proxies_of, proxy_metric
from archrank.datasets.importers.source import Importer, Source
from archrank.datasets.io.bounded import parse_json, zip_members
from archrank.datasets.nb201_cells import EDGES, canonical

if TYPE_CHECKING:
    import pandas as pd

TASKS = {
    "class_scene": ("scene classification, top-1 accuracy", "%"),
    "class_object": ("object classification, top-1 accuracy", "%"),
    "jigsaw": ("jigsaw puzzle, top-1 accuracy", "%"),
    "room_layout": ("room layout, negative loss", "-loss"),
    "segmentsemantic": ("semantic segmentation, pixel accuracy", "%"),
    "normal": ("surface normals, SSIM", "SSIM"),
    "autoencoder": ("auto-encoding, SSIM", "SSIM"),
}
# Name of a column -> task and proxy.
PROXY_COLUMNS = {f"{task}_{proxy}": (task, proxy) for task in TASKS for proxy in PROXIES}
MICRO_OPS = ("input", "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "output")
MACRO_OPS = ("input", "plain", "channels_x2", "stride_2", "channels_x2_stride_2", "output")
FILES = {"micro": "all_benchmarks_zen.zip", "macro": "tnb101_macro_zen.zip"}
FACTS: dict[str, dict[str, Any]] = {
    "micro": {
        "architectures": 4096,
        "classes": 1229,
        "best": {
            "class_scene": 54.9363,
            "class_object": 45.5862,
            "jigsaw": 95.3722,
            "room_layout": -0.6010,
            "segmentsemantic": 94.6125,
            "normal": 0.5873,
            "autoencoder": 0.5772,
        },
    },
    "macro": {
        "architectures": 3256,
        "classes": 3256,
        "best": {
            "class_scene": 57.4144,
            "class_object": 47.4224,
            "jigsaw": 97.0193,
            "room_layout": -0.5822,
            "segmentsemantic": 94.8585,
            "normal": 0.6435,
            "autoencoder": 0.7488,
        },
    },
}
CITATION = (
    "Y. Duan et al. TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task NAS. CVPR 2021."
)


def locate(root: Path, variant: str = "micro") -> Path | None:
    """The archive of one space, or the official file of both, below a data folder; or None."""
    paths = (root / "transnasbench101" / name for name in (FILES[variant], transnasbench101_pth.FILE))
    return next((path for path in paths if path.is_file()), None)


def graph(variant: str, digits: tuple[int, ...], where: str) -> tuple[list[int], list[int], str]:
    """Op ids, flat edges and isomorphism key of an architecture given by its digits; DataError if it is not one."""
    if variant == "micro":
        if len(digits) != 6 or any(not 0 <= digit <= 3 for digit in digits):
            raise DataError(f"{where}: {digits} is not a micro cell: six digits from 0 (none) to 3 (conv 3x3)")
        return (
            [0, *(digit + 1 for digit in digits), 5],
            flat(EDGES),
            canonical([MICRO_OPS[digit + 1] for digit in digits], strided=(0,)),
        )
    if not 4 <= len(digits) <= 6 or any(not 1 <= digit <= 4 for digit in digits):
        raise DataError(f"{where}: {digits} is not a macro network: four to six digits from 1 to 4")
    chain = [(node, node + 1) for node in range(len(digits) + 1)]
    return [0, *digits, 5], flat(chain), "".join(map(str, digits))


def _shards(path: Path, variant: str) -> dict[str, dict[tuple[int, ...], float]]:
    """Column (a task, or a task and a proxy) -> digits -> number, from an archive of JSON shards."""
    columns: dict[str, dict[tuple[int, ...], float]] = {task: {} for task in TASKS}
    for member, data in zip_members(path, ".json"):
        where = f"{path}: {member}"
        parts = member.removesuffix(".json").split("--")
        if len(parts) != 4 or parts[1] != f"transbench101_{variant}":
            continue
        if parts[2] not in TASKS:
            raise DataError(f"{where}: unknown task '{parts[2]}'; known: {', '.join(TASKS)}")
        entries = parse_json(data, where)
        if not isinstance(entries, list):
            raise DataError(f"{where}: a shard is a list of architectures, this is {type(entries).__name__}")
        for row, entry in enumerate(entries):
            at = f"{where}: entry {row}"
            if not isinstance(entry, dict) or not {"arch", "val_accuracy"} <= entry.keys():
                raise DataError(f"{at}: needs 'arch' and 'val_accuracy'")
            digits = int_tuple(entry["arch"], at)
            if digits in columns[parts[2]]:
                raise DataError(f"{at}: repeats architecture {digits} of task '{parts[2]}'")
            columns[parts[2]][digits] = number(entry["val_accuracy"], at)
            for proxy, value in proxies_of(entry, at).items():
                columns.setdefault(f"{parts[2]}_{proxy}", {})[digits] = value
    return columns


def read(path: Path, variant: str = "micro") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of one space. Every task must hold the same architectures once (DataError names what is
    missing)."""
    import pandas as pd

    official = path.suffix == ".pth"
    columns = transnasbench101_pth.read_scores(path, variant) if official else _shards(path, variant)
    scores = {task: columns.get(task, {}) for task in TASKS}
    archs = sorted(scores["class_scene"])
    if not archs:
        raise DataError(
            f"{path}: no {'architecture' if official else 'shard'} of the {variant} space inside; is this the right file?"
        )
    for task, values in scores.items():
        if values.keys() != set(archs):
            raise DataError(
                f"{path}: task '{task}' has {len(values):,} architectures where class_scene has {len(archs):,}; "
                "a shard is missing, fetch the file again"
            )
    known = (*(f"{task}_test" for task in TASKS), *transnasbench101_pth.COSTS.values(), *PROXY_COLUMNS)
    extras = [extra for extra in known if extra in columns]
    graphs = [graph(variant, digits, f"{path}: architecture {digits}") for digits in archs]
    frame = pd.DataFrame(
        {
            "arch": ["".join(map(str, digits)) for digits in archs],
            "ops": [ops for ops, _, _ in graphs],
            "edges": [edges for _, edges, _ in graphs],
            "key": [key for _, _, key in graphs],
            **{task: [scores[task][digits] for digits in archs] for task in TASKS},
            **{extra: [columns[extra].get(digits, float("nan")) for digits in archs] for extra in extras},
        }
    )
    name = f"transnasbench101_{variant}"
    micro = variant == "micro"
    roles = {"input": 0, "none": 1, "skip": 2, "output": 5} if micro else {"input": 0, "output": 5}
    measured = "validation set" + (", best epoch" if official else "")
    metrics = {task: metric(f"{description}, {measured}", unit) for task, (description, unit) in TASKS.items()}
    for extra in extras:
        if extra in PROXY_COLUMNS:
            task, proxy = PROXY_COLUMNS[extra]
            metrics[extra] = proxy_metric(proxy, f" on {TASKS[task][0].split(',')[0]}")
        elif (task := extra.removesuffix("_test")) in TASKS:
            description, unit = TASKS[task]
            metrics[extra] = metric(f"{description}, test set, at the epoch that is best on the validation set", unit)
        else:
            metrics[extra] = metric(
                f"{extra} of the network for scene classification, in the published unit", "", "min"
            )
    card = {
        "name": name,
        "title": f"TransNAS-Bench-101 {variant}",
        "space": {
            "name": name,
            "ops": list(MICRO_OPS if micro else MACRO_OPS),
            "max_nodes": 8,
            "cells": 1,
            "roles": roles,
        },
        "metrics": metrics,
        "default_target": "class_scene",
        "source": "github.com/yawen-d/TransNASBench",
        "licence": "MIT",
        "citation": CITATION,
        # The best scores are known for the shards.
        "facts": {name: value for name, value in FACTS[variant].items() if name != "best" or not official},
    }
    return frame, card


def _transnasbench101(space: str, count: str, file: str) -> Source:
    return Source(
        f"transnasbench101_{space}",
        f"TransNAS-Bench-101 {space}, {count} networks on seven vision tasks",
        f"transnasbench101/transnas-bench_v10141024.pth or transnasbench101/{file}",
        "the TransNAS-Bench-101 project (github.com/yawen-d/TransNASBench), transnas-bench_v10141024.pth, or the zip archives of JSON shards that "
        "NASLib users pass on",
        version=3,
        variant=space,
    )


IMPORTER = Importer(
    "transnasbench101",
    summary="TransNAS-Bench-101 (Duan et al., CVPR 2021): one cell space (micro) and one chain space (macro), seven vision tasks each",
    sources=(
        _transnasbench101("micro", "4,096", "all_benchmarks_zen.zip"),
        _transnasbench101("macro", "3,256", "tnb101_macro_zen.zip"),
    ),
    locate=locate,
    read=read,
)
