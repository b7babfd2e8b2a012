"""From a build's journal to a benchmark: the table, and the card with everything that was measured about it."""

from __future__ import annotations

import itertools
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau

from archrank.datasets.benchmark import write_benchmark
from archrank.datasets.digits101.builder import SAMPLE_SEED, BuildPlan, read_journal
from archrank.datasets.digits101.latency import BATCH, HALVES, PASSES, REPEATS, WARM_UP, measure_all
from archrank.datasets.digits101.network import cost
from archrank.datasets.errors import DataError
from archrank.datasets.nb101_cells import CONV3X3, INPUT, MAX_VERTICES, OPS, OUTPUT, NB101Cell

SCORES = {
    "test_accuracy": ("fraction", "share of test images classified right, expected over the image's shift"),
    "val_accuracy": ("fraction", "share of validation images classified right, expected over the image's shift"),
    "test_log_likelihood": ("nats", "mean log-likelihood of the test labels, expected over the image's shift"),
    "val_log_likelihood": ("nats", "mean log-likelihood of the validation labels, expected over the image's shift"),
}


def assemble(plan: BuildPlan, folder: Path, name: str, title: str, quiet: bool = False) -> Path:
    """Measure the latencies that are missing and write `<name>.parquet` and `<name>.json` into a build folder.

    Cells of the plan that are not in the journal yet make a partial table, which its card says. Returns the table's
    path.
    Raises DataError when the journal is of another build or holds no cell of the plan.
    """
    header, journal, _ = read_journal(folder / "journal.jsonl")
    if header["digest"] != plan.header["digest"] or header["seeds"] != plan.seeds:
        raise DataError(f"{folder / 'journal.jsonl'} holds another build; choose another folder")
    cells = [cell for cell in plan.cells if journal.get(cell.hash, {}).get("ok")]
    failed = [cell.hash for cell in plan.cells if cell.hash in journal and not journal[cell.hash]["ok"]]
    if not cells:
        raise DataError(f"{folder / 'journal.jsonl'} holds no finished cell of this plan")
    # One order whatever the journal's: tables of the same cells are then the same bytes.
    cells.sort(key=lambda cell: (len(cell.ops), cell.hash))
    records = [journal[cell.hash] for cell in cells]
    size = plan.task.images.shape[1]
    latency = measure_all(cells, plan.task.classes, size, plan.recipe.skeleton, folder / "latency.jsonl", quiet)
    frame = _frame(plan, cells, records, latency)
    devices = Counter(record["device"] for record in records)
    card = {
        "name": name,
        "title": title,
        "space": {
            "name": "nasbench101",
            "ops": list(OPS),
            "roles": {"input": INPUT, "output": OUTPUT},
            "max_nodes": MAX_VERTICES,
            "cells": 1,
        },
        "metrics": _metrics(plan),
        "default_target": "test_accuracy",
        "source": f"made by archrank: archrank data build {name}",
        "licence": "Apache-2.0",
        "citation": "Space: Ying et al., NAS-Bench-101: Towards Reproducible Neural Architecture Search, ICML 2019. "
        "Images: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (CC BY 4.0), in scikit-learn.",
        "key": "arch",
        "partial": len(cells) < len(plan.cells),
        "cells": {"planned": len(plan.cells), "trained": len(cells), "failed": failed, "sample_seed": SAMPLE_SEED}
        | {f"vertices_{v}": n for v, n in sorted(Counter(len(cell.ops) for cell in cells).items())},
        "recipe": plan.header["recipe"],
        "task": {
            "name": plan.task.name,
            "sha256": plan.task.sha256,
            "classes": plan.task.classes,
            "image_size": size,
            "train": len(plan.task.train),
            "validation": len(plan.task.validation),
            "test": len(plan.task.test),
        },
        "digest": header["digest"],
        "made": software()
        | {
            "core_seconds": round(float(frame["train_seconds"].sum())),
            "cells_by_device": dict(devices),
            "workers": plan.workers,
            "commit": _commit(),
        },
        **quality(frame, cells, plan.seeds),
    }
    return write_benchmark(folder, frame, card)


def software() -> dict[str, str]:
    """What decides whether trainings can be bit-equal: versions and the class of the machine (no names, no paths)."""
    import sklearn
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit_learn": sklearn.__version__,
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def quality(frame: pd.DataFrame, cells: Sequence[NB101Cell], seeds: int) -> dict[str, Any]:
    """The measured facts on the card: reliability, noise ceiling, ties, distribution, naive baselines.

    reliability: mean tau between the means of two disjoint halves of the seeds, over all halvings. noise_ceiling: mean
    tau between one seed and the mean of the others. baselines: tau of a single number of the architecture with test
    accuracy.
    """
    facts: dict[str, Any] = {"reliability": {}, "noise_ceiling": {}, "distinct": {}}
    for metric in SCORES:
        repeats = frame[[f"{metric}/{seed}" for seed in range(seeds)]].to_numpy(np.float64)
        facts["distinct"][metric] = round(frame[metric].nunique() / len(frame), 4)
        if seeds > 1 and len(frame) > 2:
            facts["reliability"][metric] = _digits(reliability(repeats))
            facts["noise_ceiling"][metric] = _digits(noise_ceiling(repeats))
    latency = frame[[f"latency_ms/{number}" for number in range(HALVES)]].to_numpy(np.float64)
    facts["reliability"]["latency_ms"] = _digits(_tau(latency[:, 0], latency[:, 1]))
    accuracy = frame["test_accuracy"].to_numpy(np.float64)
    counts, edges = np.histogram(accuracy, bins=np.arange(0.0, 1.0001, 0.025))
    facts["histogram"] = {
        "metric": "test_accuracy",
        "edges": [round(float(e), 3) for e in edges],
        "counts": counts.tolist(),
    }
    levels = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
    facts["quantiles"] = {f"{100 * q:g} %": round(float(np.quantile(accuracy, q)), 4) for q in levels}
    numbers = {
        "parameters": frame["parameters"].to_numpy(),
        "flops": frame["flops"].to_numpy(),
        "depth": np.array([cell.depth for cell in cells]),
        "edges": np.array([len(cell.edges) for cell in cells]),
        "conv3x3 count": np.array([cell.ops.count(CONV3X3) for cell in cells]),
        "latency_ms": frame["latency_ms"].to_numpy(),
    }
    facts["baselines"] = {
        "metric": "test_accuracy",
        "kendall_tau": {name: _digits(_tau(values, accuracy)) for name, values in numbers.items()},
        "kendall_tau_of_latency": {
            name: _digits(_tau(values, frame["latency_ms"].to_numpy()))
            for name, values in numbers.items()
            if name != "latency_ms"
        },
    }
    return facts


def reliability(repeats: NDArray[np.float64]) -> float:
    """Mean Kendall tau between the means of two disjoint halves of the R columns, over all halvings. repeats: [N,
    R]."""
    columns = range(repeats.shape[1])
    taus = []
    for half in itertools.combinations(columns, len(columns) // 2):
        other = [c for c in columns if c not in half]
        if len(half) < len(other) or 0 in half:  # of an even number each halving comes up twice
            taus.append(_tau(repeats[:, half].mean(1), repeats[:, other].mean(1)))
    return float(np.mean(taus))


def noise_ceiling(repeats: NDArray[np.float64]) -> float:
    """Mean Kendall tau between one column and the mean of the others. repeats: [N, R]."""
    columns = range(repeats.shape[1])
    return float(np.mean([_tau(repeats[:, c], np.delete(repeats, c, 1).mean(1)) for c in columns]))


def _tau(x: NDArray[Any], y: NDArray[Any]) -> float:
    return float(kendalltau(x, y).statistic)


def _digits(value: float) -> float | None:
    """Four decimals; None where tau does not exist (everything tied), since JSON has no NaN."""
    return round(value, 4) if np.isfinite(value) else None


def _frame(
    plan: BuildPlan, cells: Sequence[NB101Cell], records: Sequence[dict[str, Any]], halves: Sequence[dict[str, float]]
) -> pd.DataFrame:
    costs = [cost(cell, plan.task.classes, plan.task.images.shape[1], plan.recipe.skeleton) for cell in cells]
    columns: dict[str, Any] = {
        "arch": [cell.hash for cell in cells],
        "ops": [np.array(cell.ops, np.int16) for cell in cells],
        "edges": [np.array(cell.flat_edges, np.int16) for cell in cells],
    }
    for metric in SCORES:
        repeats = np.array([record[metric] for record in records]).astype(np.float32)
        columns[metric] = repeats.astype(np.float64).mean(1)
        columns |= {f"{metric}/{seed}": repeats[:, seed] for seed in range(plan.seeds)}
    columns["parameters"] = np.array([c[0] for c in costs], np.int32)
    columns["flops"] = np.array([c[1] for c in costs], np.int32)
    columns["made_on"] = pd.Categorical([record["device"] for record in records])
    columns["train_seconds"] = np.array([record["seconds"] for record in records], np.float32)
    latency = np.array([[half[cell.hash] for half in halves] for cell in cells], np.float32)
    columns["latency_ms"] = latency.astype(np.float64).min(1)
    columns |= {f"latency_ms/{number}": latency[:, number] for number in range(HALVES)}
    return pd.DataFrame(columns)


def _metrics(plan: BuildPlan) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        metric: {
            "unit": unit,
            "direction": "max",
            "description": f"{description}; mean of {plan.seeds} trainings",
            "repeats": [f"{metric}/{seed}" for seed in range(plan.seeds)],
        }
        for metric, (unit, description) in SCORES.items()
    }
    metrics["latency_ms"] = {
        "unit": "ms",
        "direction": "min",
        "description": f"inference of a batch of {BATCH} images on one CPU thread: thread time, least of {REPEATS} runs after "
        f"{WARM_UP} unmeasured in each of {PASSES} passes; the repeats are the least in either half of the passes",
        "repeats": [f"latency_ms/{number}" for number in range(HALVES)],
    }
    metrics["parameters"] = {"unit": "count", "direction": "min", "description": "trainable parameters"}
    metrics["flops"] = {
        "unit": "operations",
        "direction": "min",
        "description": "floating-point operations per image (2 per multiply-add; convolutions and linear layer)",
    }
    metrics["train_seconds"] = {
        "unit": "s",
        "direction": "min",
        "description": f"CPU seconds to train and score all {plan.seeds} seeds on one thread of a busy machine",
    }
    return metrics


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Commit of the source the build ran from, or None outside a checkout."""
    try:
        command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
