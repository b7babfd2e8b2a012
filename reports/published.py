"""Published values that may be shown beside measured ones: same benchmark, protocol, target and metric, nothing less."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import pandas as pd

__all__ = ["matching", "published"]


@cache
def published() -> pd.DataFrame:
    """Every reference value: primary sources only.

    Columns: paper, encoder (the paper's name), label (the archrank encoder meant, or empty), benchmark, protocol and
    target (archrank's names, the target being the one that is trained on; empty where archrank has no such protocol, and then the row is never drawn), as_published
    (space and protocol in the paper's terms), budget, metric, value, std, source.
    """
    with files("archrank.reports").joinpath("published.csv").open(encoding="utf-8") as stream:
        return pd.read_csv(stream, dtype={"protocol": str, "target": str, "label": str, "benchmark": str}).fillna(
            {"protocol": "", "target": "", "label": "", "benchmark": "", "encoder": "", "source": ""}
        )


def matching(benchmark: str, protocol: str, target: str, metric: str = "kendall") -> pd.DataFrame:
    """The rows that may stand beside results of this benchmark, protocol, target and metric."""
    rows = published()
    same = (rows["benchmark"] == benchmark) & (rows["protocol"] == protocol) & (rows["target"] == target)
    return rows[same & (rows["metric"] == metric) & (rows["protocol"] != "")].reset_index(drop=True)
