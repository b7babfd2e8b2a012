"""Which seeds a text means. No torch here."""

from __future__ import annotations

import re

from archrank.datasets.errors import ArchrankError

MOST = 1_000
_RANGE = re.compile(r"(\d{1,18})(?:\s*-\s*(\d{1,18}))?")


def parse_seeds(text: str) -> int | list[int]:
    """`5`: that many, from 0. `3-5,8`: those. ArchrankError, one line, for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1 and parts[0].isdecimal() and len(parts[0]) <= 18:
        if not int(parts[0]):
            raise ArchrankError("seeds 0: a run has at least one seed")
        return int(parts[0])
    seeds: list[int] = []
    for part in parts:
        if (matched := _RANGE.fullmatch(part)) is None:
            raise ArchrankError(f"seeds '{text[:80]}': give how many (5), or which (3-5,8)")
        first, last = int(matched[1]), int(matched[2] or matched[1])
        if last < first or last - first >= MOST or len(seeds) > MOST:
            raise ArchrankError(f"seeds '{part}': a range goes up, over at most {MOST:,} seeds")
        seeds += range(first, last + 1)
    return seeds
