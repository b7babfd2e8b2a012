"""Values that stand for "not measured" in a column of numbers, such as -1 among latencies or 9999 among losses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def marker(values: NDArray[np.float64]) -> str:
    """What looks like a marker among N scores, in a sentence; empty if nothing does.

    It is the smallest or largest value, occurs twice or more, and stands alone: below zero where all others are above,
    or further from them than they are from each other. NaN is passed over.
    """
    known = values[~np.isnan(values)]
    for end, other in ((np.min, np.max), (np.max, np.min)) if len(known) else ():
        mark = float(end(known))
        rest = known[known != mark]
        count = len(known) - len(rest)
        if count < 2 or len(rest) < 2:
            continue
        gap, spread = abs(float(end(rest)) - mark), abs(float(end(rest)) - float(other(rest)))
        if gap > spread or mark < 0 < rest.min():
            return f"{count:,} of {len(known):,} are exactly {mark:g}, apart from all others; if that means not measured, leave them empty"
    return ""
