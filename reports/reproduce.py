"""Published values beside measured ones: which may be compared, what must be run for it, and what came out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from archrank.datasets.catalog import available
from archrank.datasets.errors import ArchrankError
from archrank.datasets.importers import SOURCES
from archrank.eval.metrics import METRICS
from archrank.eval.statistics import Interval, values
from archrank.reports.published import published

__all__ = ["Claim", "ClaimOutcome", "ClaimedRun", "claims", "outcomes", "tasks"]


@dataclass(frozen=True)
class Claim:
    """A published value. `reason`: why nothing measured here may stand beside it (empty: it may). `remark`: what to
    know when it does."""

    paper: str
    encoder: str
    benchmark: str
    protocol: str
    target: str
    as_published: str
    budget: int | None
    metric: str
    value: float
    std: float
    source: str
    confidence: str
    remark: str
    reason: str = ""


@dataclass(frozen=True)
class ClaimedRun:
    """What must be run for the claims on one benchmark under one protocol."""

    benchmark: str
    protocol: str
    target: str
    budgets: tuple[int, ...]


@dataclass(frozen=True)
class ClaimOutcome:
    """A claim with what was measured: the mean over seeds with its 95 % interval. `inside`: None where there is no
    interval."""

    claim: Claim
    ours: Interval
    seeds: int

    @property
    def inside(self) -> bool | None:
        """Whether the published value lies in the interval of our mean."""
        return None if math.isnan(self.ours.low) else bool(self.ours.low <= self.claim.value <= self.ours.high)


def claims(
    encoder: str, benchmarks: Collection[str] | None = None, budgets: Collection[int] | None = None
) -> list[Claim]:
    """Every published value of an encoder (archrank's name), each with the reason why it cannot be compared, where
    there is one.

    benchmarks, budgets: only these, if given. ArchrankError where archrank knows no published value of the encoder.
    """
    rows = published()
    rows = rows[rows["label"] == encoder]
    if rows.empty:
        known = ", ".join(sorted({str(name) for name in published()["label"]} - {""}))
        raise ArchrankError(f"no published value of {encoder} is known to archrank; there are some of: {known}")
    state = available()
    claimed = []
    for row in rows.to_dict("records"):
        budget = None if pd.isna(row["budget"]) else int(row["budget"])
        texts = {
            name: str(row[name])
            for name in (
                "paper",
                "encoder",
                "benchmark",
                "protocol",
                "target",
                "as_published",
                "metric",
                "source",
                "confidence",
                "remark",
            )
        }
        reason = _reason(texts, budget, state, benchmarks, budgets)
        claimed.append(Claim(**texts, budget=budget, value=float(row["value"]), std=float(row["std"]), reason=reason))
    return claimed


def _reason(
    row: dict[str, str],
    budget: int | None,
    state: dict[str, str],
    benchmarks: Collection[str] | None,
    budgets: Collection[int] | None,
) -> str:
    name = row["benchmark"]
    if not (name and row["protocol"] and row["target"]):
        return row["remark"] or "archrank has no such benchmark and protocol"
    if row["metric"] not in METRICS:
        return f"archrank does not measure {row['metric']}"
    if budget is None:
        return "the number of labels is not stated"
    if benchmarks is not None and name not in benchmarks:
        return "this benchmark was not asked for"
    if budgets is not None and budget not in budgets:
        return "this budget was not asked for"
    if state[name] == "missing":
        return f"the table is not available locally: put {SOURCES[name].file} into a data folder; get it from {SOURCES[name].obtain}"
    return ""


def tasks(claims: Iterable[Claim]) -> list[ClaimedRun]:
    """The runs that the comparable claims ask for, sorted."""
    budgets: dict[tuple[str, str, str], set[int]] = {}
    for claim in claims:
        if not claim.reason and claim.budget is not None:
            budgets.setdefault((claim.benchmark, claim.protocol, claim.target), set()).add(claim.budget)
    return [ClaimedRun(*name, tuple(sorted(numbers))) for name, numbers in sorted(budgets.items())]


def outcomes(claims: Sequence[Claim], frame: pd.DataFrame) -> list[ClaimOutcome]:
    """The comparable claims that `frame` (rows of one predictor under its paper recipe, columns of docs/store.md) has
    trials for."""
    out = []
    for claim in (claim for claim in claims if not claim.reason):
        same = (
            (frame["benchmark"] == claim.benchmark)
            & (frame["protocol"] == claim.protocol)
            & (frame["target"] == claim.target)
        )
        rows = frame[same & (frame["budget"] == claim.budget) & (frame["status"] == "done")]
        if claim.metric in rows and rows[claim.metric].notna().any():
            ours = values(rows, claim.metric).iloc[0]
            interval = Interval(ours["mean"], ours["low"], ours["high"], ours["kind"], int(ours["units"]))
            out.append(ClaimOutcome(claim, interval, int(rows[claim.metric].notna().sum())))
    return out
