"""Synthetic stores in the stored form of docs/store.md, with a known order of encoders, for the tests of the report."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, spearmanr

from archrank.datasets.benchmark import Benchmark, build

OPS = ("input", "conv3x3", "conv1x1", "pool", "skip", "output")
ENCODERS: Mapping[str, tuple[str, float]] = {
    # label: (family, noise at 20 labels); the smaller the noise the better the encoder
    "flowerformer": ("flow transformer", 0.55),
    "gcn": ("GNN", 0.62),
    "dagnn": ("GNN", 0.60),
    "path[kind=truncated]": ("path", 1.00),
    "adjacency": ("adjacency", 1.15),
    "parameter-count": ("baseline", 1.60),
}


def make_table(name: str, architectures: int = 400, seed: int = 0, nodes: int = 7) -> Benchmark:
    """A benchmark of random DAGs whose score depends on depth and on the share of 3x3 convolutions."""
    rng = np.random.default_rng(seed)
    used = rng.integers(4, nodes + 1, architectures)
    mask = np.arange(nodes)[None, :] < used[:, None]
    ops = rng.integers(1, 5, (architectures, nodes))
    ops[:, 0] = 0
    ops[np.arange(architectures), used - 1] = 5
    ops[~mask] = 0
    adj = np.zeros((architectures, nodes, nodes), bool)
    for a in range(architectures):
        n = int(used[a])
        for v in range(1, n):
            adj[a, rng.integers(0, v), v] = True
            for u in range(v):
                adj[a, u, v] |= rng.random() < 0.25
        for u in range(n - 1):
            adj[a, u, n - 1] |= not adj[a, u].any()
    score = used + 1.5 * ((ops == 1) & mask).sum(1) + rng.normal(0, 0.6, architectures)
    repeats = score[:, None] + rng.normal(0, 0.5, (architectures, 3))
    repeats = 85 + 10 * (repeats - repeats.min()) / np.ptp(repeats)
    columns = [f"accuracy_{i}" for i in range(3)]
    frame = pd.DataFrame(
        {
            "arch": [f"{name}-{i}" for i in range(architectures)],
            "ops": [list(ops[i, : used[i]]) for i in range(architectures)],
            "edges": [list(np.argwhere(adj[i]).ravel()) for i in range(architectures)],
            "accuracy": repeats.mean(1),
            **{column: repeats[:, i] for i, column in enumerate(columns)},
        }
    )
    card = {
        "name": name,
        "title": f"Synthetic benchmark {name}",
        "source": "made by the tests",
        "licence": "Apache-2.0",
        "citation": "none",
        "sha256": hashlib.sha256(repeats.tobytes()).hexdigest(),
        "default_target": "accuracy",
        "space": {"name": name, "ops": list(OPS), "max_nodes": nodes, "roles": {"input": 0, "output": 5, "skip": 4}},
        "metrics": {"accuracy": {"unit": "%", "direction": "max", "description": "accuracy", "repeats": columns}},
    }
    return build(frame, card)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _record(
    label: str,
    family: str,
    benchmark: str,
    space: str,
    budget: int,
    seed: int,
    *,
    protocol: str,
    recipe: str,
    hardware: str,
    target: str,
    tests: int,
    table: str,
) -> dict[str, Any]:
    encoder, _, rest = label.partition("[")
    config = dict(item.split("=") for item in rest.rstrip("]").split(",") if "=" in item)
    trial = {
        "encoder": encoder,
        "config": config,
        "head": "linear",
        "source": hashlib.sha256(encoder.encode()).hexdigest(),
        "benchmark": benchmark,
        "table": table,
        "target": target,
        "protocol": protocol,
        "budget": budget,
        "split": hashlib.sha256(f"{benchmark}{target}{protocol}{budget}{seed}".encode()).hexdigest(),
        "seed": seed,
        "recipe": recipe,
        "numerics": 1,
    }
    key = hashlib.sha256(json.dumps(trial, sort_keys=True).encode()).hexdigest()
    return {
        "schema": 1,
        "key": key,
        "status": "done",
        "trial": trial,
        "label": label,
        "reference": label,
        "family": family,
        "space": space,
        "metrics": {},
        "timings": {},
        "model": {"parameters": 1000 + 997 * len(encoder) ** 2, "dim": 64},
        "test": {"architectures": tests, "train": budget, "validation": 0},
        "recipe": {"name": recipe, "loss": "hinge", "epochs": 100 if recipe == "common" else 300, "optimizer": "adamw"},
        "notes": [],
        "provenance": {
            "archrank": "0.1.0",
            "commit": "0123abc",
            "torch": "2.13.0",
            "python": "3.11.7",
            "device": "cpu",
            "hardware": hardware,
            "threads": 1,
            "finished": f"2026-11-21T22:{seed:02d}:00Z",
        },
        "error": None,
    }


def make_store(
    root: Path,
    tables: Sequence[tuple[str, str]] = (("toy-a", "toy"), ("toy-b", "toy"), ("other", "other")),
    *,
    encoders: Mapping[str, tuple[str, float]] = ENCODERS,
    budgets: Sequence[int] = (20, 78, 156, 390),
    seeds: int = 5,
    protocol: str = "clean",
    recipe: str = "common",
    hardware: Sequence[str] = ("Synthetic CPU @ 2 GHz",),
    holes: Sequence[tuple[str, str, int, int]] = (),
    failures: Sequence[tuple[str, str, int, int]] = (),
    tests: int = 200,
    predictions: bool = True,
) -> dict[str, Benchmark]:
    """Writes trials for every (encoder, benchmark, budget, seed) and returns the benchmark tables they were made on.

    `holes` and `failures` name cells as (label, benchmark, budget, seed). `predictions=False` leaves the Parquet files
    out and draws the metrics from a formula, for stores of many thousand trials.
    """
    out = {name: make_table(name, seed=i) for i, (name, _) in enumerate(tables)}
    for name, space in tables:
        table = out[name]
        score = table.scores["accuracy"].to_numpy()
        z = (score - score.mean()) / score.std()
        for budget in budgets:
            for seed in range(seeds):
                rng = np.random.default_rng([seed, budget, len(name)])
                index = np.sort(rng.permutation(len(score))[:tests])
                shared = rng.normal(0, 0.04)
                for number, (label, (family, noise)) in enumerate(encoders.items()):
                    record = _record(
                        label,
                        family,
                        name,
                        space,
                        budget,
                        seed,
                        protocol=protocol,
                        recipe=recipe,
                        target="accuracy",
                        hardware=hardware[number % len(hardware)],
                        tests=tests,
                        table=table.content_hash,
                    )
                    if (label, name, budget, seed) in holes:
                        continue
                    if (label, name, budget, seed) in failures:
                        record |= {
                            "status": "failed",
                            "space": None,  # as older versions stored it
                            "metrics": {},
                            "test": {},
                            "model": {},
                            "timings": {},
                            "error": {
                                "type": "NonFiniteLoss",
                                "message": f"the loss became NaN at step {budget}",
                                "traceback": "Traceback (most recent call last): ...",
                            },
                        }
                        _write(root / "trials" / f"{record['key']}.json", json.dumps(record, sort_keys=True))
                        continue
                    sigma = noise * (20 / budget) ** 0.35 * np.exp(rng.normal(0, 0.06) + shared)
                    if predictions:
                        predicted = z[index] + rng.normal(0, sigma, tests)
                        _predictions(
                            root, record["key"], index, predicted, z, rng, seed, 1 if family == "baseline" else 8
                        )
                        record["metrics"] = _metrics(score[index], predicted)
                    else:
                        tau = 2 / np.pi * np.arcsin(1 / np.sqrt(1 + sigma**2)) + rng.normal(0, 0.01)
                        record["metrics"] = {
                            "kendall": tau,
                            "spearman": min(tau * 1.15, 0.999),
                            "p@1%": tau / 2,
                            "p@10%": tau * 0.8,
                            "regret@10": (1 - tau) / 3,
                        }
                    record["timings"] = {
                        "fit_s": 0.4 * (number + 1) * budget**0.5,
                        "predict_s": 0.05 * (number + 1),
                        "pretrain_s": 0.0,
                        "architectures_per_s": tests / (0.05 * (number + 1)),
                        "members": seeds,
                    }
                    if label == "dagnn":
                        record["notes"] = ["trained as a loop: vmap does not support data-dependent control flow"]
                    _write(root / "trials" / f"{record['key']}.json", json.dumps(record, sort_keys=True))
    return out


def _metrics(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    best = np.argsort(-true, kind="stable")
    order = np.argsort(-predicted, kind="stable")
    out = {"kendall": float(kendalltau(true, predicted)[0]), "spearman": float(spearmanr(true, predicted)[0])}
    for percent in (1, 5, 10, 50):
        k = max(1, len(true) * percent // 100)
        out[f"p@{percent}%"] = len(set(best[:k]) & set(order[:k])) / k
    for k in (1, 10, 50):
        out[f"regret@{k}"] = float(true.max() - true[order[:k]].max())
    return out


def _predictions(
    root: Path,
    key: str,
    index: np.ndarray,
    predicted: np.ndarray,
    z: np.ndarray,
    rng: np.random.Generator,
    seed: int,
    dim: int,
) -> None:
    (root / "predictions").mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"index": index.astype("int32"), "prediction": predicted})
    frame.to_parquet(root / "predictions" / f"{key}.parquet", index=False)
    if seed == 0:
        (root / "encodings").mkdir(parents=True, exist_ok=True)
        few = index[:150]
        basis = np.linspace(-1, 1, 8, dtype="float32")
        encoding = (z[few, None] * basis + rng.normal(0, 0.4, (len(few), 8)))[:, :dim].astype("float32")
        pd.DataFrame({"index": few.astype("int32"), "encoding": list(encoding)}).to_parquet(
            root / "encodings" / f"{key}.parquet", index=False
        )


if __name__ == "__main__":
    make_store(Path(sys.argv[1]))
