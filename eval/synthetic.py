"""A made-up benchmark: random cells with a score that depends on their operations and on how data flows. For checks and
tests only."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from archrank.datasets.benchmark import Benchmark, build

OPS = ("input", "conv1x1", "conv3x3", "maxpool3x3", "output")


def synthetic(count: int = 400, nodes: int = 7, seed: int = 0) -> Benchmark:
    """`count` different random cells of 4 to `nodes` nodes, every node on a path from input to output; scores `quality`
    (in percent) and `cost`.

    `quality` rises with convolutions on long paths, so that neither counting operations nor the edges alone explain it;
    it carries a little noise, drawn once.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, dict[str, object]] = {}
    while len(rows) < count:
        size = int(rng.integers(4, nodes + 1))
        adj = np.triu(rng.random((size, size)) < 0.45, 1)
        for v in range(1, size):
            if not adj[:v, v].any():
                adj[rng.integers(0, v), v] = True
        for u in range(size - 1):
            if not adj[u, u + 1 :].any():
                adj[u, rng.integers(u + 1, size)] = True
        ops = np.concatenate([[0], rng.integers(1, 4, size - 2), [4]])
        edges = np.argwhere(adj)
        name = hashlib.md5(ops.tobytes() + edges.tobytes()).hexdigest()
        if name in rows:
            continue
        worth = np.array([0.0, 1.0, 1.6, 0.3, 0.0])[ops]
        best, total = np.zeros(size), np.zeros(size)
        for v in range(size):
            before = np.flatnonzero(adj[:, v])
            best[v] = worth[v] + max((best[u] for u in before), default=0.0)
            total[v] = 1 + sum(total[u] for u in before)
        quality = 60 + 25 * np.tanh((best[-1] + 0.1 * np.log(total[-1]) - 3) / 3) + 0.3 * rng.standard_normal()
        rows[name] = {
            "arch": name,
            "ops": ops.tolist(),
            "edges": edges.reshape(-1).tolist(),
            "quality": quality,
            "cost": float((worth**2).sum() + 0.1 * adj.sum()),
        }
    card = {
        "name": f"synthetic{seed}",
        "title": "Synthetic cells",
        "space": {
            "name": "synthetic",
            "ops": list(OPS),
            "max_nodes": nodes,
            "cells": 1,
            "roles": {"input": 0, "output": 4},
        },
        "metrics": {
            "quality": {"unit": "%", "direction": "max", "description": "made up"},
            "cost": {"unit": "ms", "direction": "min", "description": "made up"},
        },
        "default_target": "quality",
    }
    return build(pd.DataFrame(list(rows.values())), card)
