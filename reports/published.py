"""Published values that may be shown beside measured ones: same benchmark, protocol, target and metric, nothing
less."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import pandas as pd

__all__ = ["matching", "published"]


@cache
def published() -> pd.DataFrame:
    """Every reference value.

    Columns: paper, encoder (the paper's name), label (the archrank encoder meant, or empty), benchmark, protocol and
    target (archrank's names, the target being the one that is trained on; empty where archrank has no such protocol,
    and then the row is never drawn), as_published (space and protocol in the paper's terms), budget, metric, value,
    std, source, confidence (`primary`: read in the paper or its repository; `secondary`: in somebody else's note on
    it), remark (what a reader must know before comparing, or why it cannot be).
    """
    with files("archrank.reports").joinpath("published.csv").open(encoding="utf-8") as stream:
        table = pd.read_csv(stream)
    texts = [name for name in table if name not in ("budget", "value", "std")]
    return table.astype(dict.fromkeys(texts, object)).fillna(dict.fromkeys(texts, ""))


def matching(benchmark: str, protocol: str, target: str, metric: str = "kendall") -> pd.DataFrame:
    """The rows from primary sources that may stand beside results of this benchmark, protocol, target and metric."""
    rows = published()
    same = (rows["benchmark"] == benchmark) & (rows["protocol"] == protocol) & (rows["target"] == target)
    return rows[
        same & (rows["metric"] == metric) & (rows["protocol"] != "") & (rows["confidence"] == "primary")
    ].reset_index(drop=True)
