"""Zero-cost proxies as the exports of NAS-Bench-Suite-Zero hold them beside a score: numbers of untrained networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from archrank.datasets.importers.common import metric, number

PROXIES = {
    "epe_nas": "EPE-NAS",
    "fisher": "Fisher",
    "grad_norm": "norm of the gradient",
    "grasp": "GraSP",
    "jacov": "covariance of the Jacobian",
    "l2_norm": "norm of the weights",
    "nwot": "NASWOT",
    "plain": "plain",
    "snip": "SNIP",
    "synflow": "SynFlow",
    "zen": "Zen-score",
}
PRICE = "one mini-batch through the untrained network at most"


def proxies_of(entry: Mapping[str, Any], where: str) -> dict[str, float]:
    """The proxies in an architecture's entry, by name: numbers, or `{score: ..., time: ...}`. DataError, with `where`,
    for anything else under the name of one."""
    values = {name: entry[name] for name in PROXIES if name in entry}
    return {
        name: number(value["score"] if isinstance(value, dict) and "score" in value else value, f"{where}: {name}")
        for name, value in values.items()
    }


def proxy_metrics(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a card says of the proxies that every architecture has. rows: of each what is known by name."""
    common = set(PROXIES).intersection(*rows)
    return {name: proxy_metric(name) for name in PROXIES if name in common}


def proxy_metric(name: str, where: str = "") -> dict[str, Any]:
    """What a card says of one proxy. where: of what network it is, in words, where that is not the table's."""
    return metric(f"zero-cost proxy {PROXIES[name]}{where}: {PRICE}", "", "max", proxy=True)
