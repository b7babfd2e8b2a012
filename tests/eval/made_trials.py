"""Trials of made-up encoders whose mean tau is known, as a frame with the columns of docs/store.md."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd

MEANS = {"path": 0.55, "gcn": 0.70, "tree": 0.705, "flow": 0.75}


def trials(spaces=("nasbench201",), targets=("c10",), budgets=(78,), seeds=5, means=MEANS, between=0.0, seed=0):
    random = np.random.default_rng(seed)
    rows = []
    for space, target in itertools.product(spaces, targets):
        offset = {label: between * random.normal() for label in means}
        for s in range(seeds):
            easy = 0.02 * random.normal()
            for budget, (label, mean) in itertools.product(budgets, means.items()):
                tau = mean + offset[label] + easy + 0.01 * random.normal() + 0.05 * math.log(budget / 78)
                rows.append(
                    {"label": label, "status": "done", "space": space, "benchmark": space, "target": target}
                    | {"protocol": "clean", "recipe": "common", "budget": budget, "seed": s, "test": 5000}
                    | {"split": f"{space}-{target}-{budget}-{s}", "kendall": tau, "regret@1": 1 - tau, "fit_s": tau}
                )
    return pd.DataFrame(rows)


def of(frame, label, column="kendall"):
    return frame[frame["label"] == label].sort_values("seed")[column].to_numpy()
