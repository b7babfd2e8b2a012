"""What a report costs: `python tests/reports/measure.py [600 | 10000]` builds one from a made-up store and prints CPU
seconds, wall seconds and bytes.

600 trials come with predictions and encodings, so that every figure is drawn; larger stores hold numbers alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from synthetic import ENCODERS, make_store

from archrank.reports import build

SPACES = (("toy-a", "toy-a"), ("toy-b", "toy-b"), ("other", "other"))
BUDGETS = (20, 78, 156, 390)


def main(trials: int) -> None:
    """Make the store, build the report once, print."""
    labels, seeds = (10, 5) if trials <= 1000 else (25, 34)
    cells = len(SPACES) * len(BUDGETS) * seeds
    labels = max(2, min(labels, round(trials / cells)))
    more = {f"encoder-{i}": ("GNN", 0.5 + 0.05 * i) for i in range(labels - len(ENCODERS))}
    with tempfile.TemporaryDirectory() as scratch:
        store, out = Path(scratch) / "store", Path(scratch) / "out"
        made = make_store(
            store,
            SPACES,
            encoders=dict(list({**ENCODERS, **more}.items())[:labels]),
            budgets=BUDGETS,
            seeds=seeds,
            predictions=trials <= 1000,
        )
        cpu, wall = time.process_time(), time.perf_counter()
        files = build([store], out, formats=("html", "md"), load=made.__getitem__)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        page = next(path for path in files if path.suffix == ".html")
        print(
            f"{labels * cells:,} trials: {cpu:.1f} s CPU, {wall:.1f} s wall, page {page.stat().st_size / 1e6:.2f} MB, "
            f"torch {'imported' if 'torch' in sys.modules else 'not imported'}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
