"""Cross-validation inside the labels of a budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.canonical import canonicalize
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.eval.engine.random_numbers import derive_seed


def same_computation(graphs: Graphs, space: SearchSpace) -> NDArray[np.int64]:
    """int64 [n]: equal for architectures that are one computation (the isomorphism class of their canonical graphs)."""
    ops, adj, mask, cell = (part.cpu().numpy() for part in (graphs.ops, graphs.adj, graphs.mask, graphs.cell))
    key = canonicalize(space, ops, adj, mask, cell).key
    return np.unique(key.astype(str), return_inverse=True)[1].astype(np.int64)


def assign_folds(labels: NDArray[np.float64], classes: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """int64 [n]: which of `count` folds holds an architecture out.

    labels: float64 [n]. classes: int64 [n]; architectures of one class are held out together, so that no copy of one is
    trained on. Classes are dealt out in the order of their mean labels, `count` at a time in random order, so that
    every fold has labels of the whole range.
    """
    members = np.unique(classes, return_inverse=True)[1]
    means = np.bincount(members, labels) / np.bincount(members)
    rng = np.random.default_rng(derive_seed(seed, "folds"))
    order, fold = np.argsort(means, kind="stable"), np.empty(len(means), np.int64)
    for start in range(0, len(order), count):
        dealt = order[start : start + count]
        fold[dealt] = rng.permutation(count)[: len(dealt)]
    return fold[members]
