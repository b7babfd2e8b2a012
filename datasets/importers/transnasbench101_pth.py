"""The official single file of TransNAS-Bench-101, `transnas-bench_v10141024.pth`.

What `torch.save` made of {metrics_dict, info_names, task_list, data: {micro or macro: {name: {task: {total_epochs,
model_info, metrics: {metric: one value per epoch}}}}}}. Names: `64-1234-basic` (macro, the modules in order),
`64-41414-1_02_333` (micro, the incoming edges of each cell node). The score of a task is its best validation value over
the epochs, as the official interface reports it; the test value is that epoch's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import number
from archrank.datasets.io import safe_pickle
from archrank.datasets.io import torch_files as torch_file

FILE = "transnas-bench_v10141024.pth"
# What a task is judged by, whichever its results have (pixel accuracy before mIoU, as the JSON shards have it); higher
# is better for all.
JUDGED_BY = ("top1", "neg_loss", "acc", "ssim")
COSTS = {"model_params": "parameters", "model_FLOPs": "flops", "inference_time": "latency"}
_NAMES = {"micro": re.compile(r"64-41414-(\d)_(\d{2})_(\d{3})"), "macro": re.compile(r"64-(\d{4,6})-basic")}
Digits = tuple[int, ...]


def read_scores(path: Path, variant: str) -> dict[str, dict[Digits, float]]:
    """Column -> digits of the architecture -> value: `<task>` and, where measured, `<task>_test`, and costs of the
    scene network."""
    content = torch_file.load(path, lambda entry: _reduced(entry, str(path)))
    try:
        archs = content["data"][variant].items()
    except (KeyError, TypeError, AttributeError):
        raise DataError(f"{path}: lacks 'data' / '{variant}'; is this the official TransNAS-Bench-101 file?") from None
    columns: dict[str, dict[Digits, float]] = {}
    for name, tasks in archs:
        parts = _NAMES[variant].fullmatch(name) if isinstance(name, str) else None
        if not parts or not isinstance(tasks, dict):
            raise DataError(f"{path}: '{str(name)[:40]}' is not the name of a {variant} architecture with its tasks")
        digits = tuple(int(digit) for digit in "".join(parts.groups()))
        for task, values in tasks.items():
            if not isinstance(values, dict) or "score" not in values:
                raise DataError(f"{path}: {name}: task '{task}' has no 'metrics' and 'model_info'")
            columns.setdefault(task, {})[digits] = values["score"]
            if "test" in values:
                columns.setdefault(f"{task}_test", {})[digits] = values["test"]
            if task == "class_scene":
                for cost, column in COSTS.items():
                    if cost in values:
                        columns.setdefault(column, {})[digits] = values[cost]
    return columns


def _reduced(entry: dict[Any, Any], where: str) -> dict[str, float] | None:
    """The values kept of one trained network; None for a dictionary that is not its results."""
    if not {"metrics", "model_info"} <= entry.keys():
        return None
    safe_pickle.check_parts(entry, where)
    metrics, info = entry["metrics"], entry["model_info"]
    if not isinstance(metrics, dict) or not isinstance(info, dict):
        raise DataError(f"{where}: 'metrics' and 'model_info' of a network must be dictionaries")
    judged = next((metric for metric in JUDGED_BY if f"valid_{metric}" in metrics), None)
    if judged is None or not len(metrics[f"valid_{judged}"]):
        raise DataError(f"{where}: a network has none of {', '.join(f'valid_{metric}' for metric in JUDGED_BY)}")
    valid = [number(value, f"{where}: valid_{judged}") for value in np.asarray(metrics[f"valid_{judged}"]).tolist()]
    best = max(range(len(valid)), key=valid.__getitem__)
    scores = {"score": valid[best]}
    if len(test := np.asarray(metrics.get(f"test_{judged}", ())).tolist()) == len(valid):
        scores["test"] = number(test[best], f"{where}: test_{judged}")
    return scores | {cost: number(info[cost], f"{where}: {cost}") for cost in COSTS if info.get(cost) is not None}
