"""Several objectives as one score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def front(values: Floats) -> NDArray[np.int64]:
    """Rows of values [n, k], higher is better, that no other row is at least as good as in all and better in one. NaN
    is no value: such a row is never among them."""
    finite = np.flatnonzero(np.isfinite(values).all(1))
    left, members = finite[np.lexsort(values[finite].T[::-1])[::-1]], [finite[:0]]
    while len(left):  # the first one left is the largest in the first value, then in the second: nothing beats it
        best = values[left[0]]
        members.append(left[(values[left] == best).all(1)])
        left = left[~(values[left] <= best).all(1)]
    return np.sort(np.concatenate(members))


def combined(values: Floats) -> Floats:
    """One score [n] of values [n, k], higher is better; NaN where one of its values is.

    Rows are ordered by the front they are on, and on one front by their distance to the next ones on it, as K. Deb et
    al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEVC 2002, selects. Strategies and
    predictors see the order of scores alone, so each can search for a front.
    """
    scores = np.full(len(values), np.nan)
    left = values.copy()
    level = 0
    while len(rows := front(left)):
        place = np.empty(len(rows))
        place[np.argsort(_room(values[rows]), kind="stable")] = np.arange(1, len(rows) + 1)
        scores[rows] = -level + place / (len(rows) + 1)
        left[rows] = np.nan
        level += 1
    return scores


def _room(values: Floats) -> Floats:
    """Crowding distance [n]: over all objectives, the gap between a row's two neighbours; infinite at the ends."""
    room = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        width = column[order[-1]] - column[order[0]] or 1.0
        gaps = np.r_[np.inf, (column[order[2:]] - column[order[:-2]]) / width, np.inf][: len(order)]
        room[order] += gaps
    return room
