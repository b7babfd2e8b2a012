"""What predictors cost, on one machine at a time: mixed hardware is refused, never averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from archrank.reports.study import Group, View
from archrank.reports.words import join, seconds

__all__ = ["Cost", "cheapest", "costs_by_machine"]


@dataclass(frozen=True)
class Cost:
    """Cost of one predictor on one machine, over the settings every ranked predictor has at one budget.

    fit_s: training seconds of one trial (with pre-training), geometric mean over benchmarks of the median over seeds.
    rate: architectures predicted per second, the same way. parameters: largest over the settings.
    """

    label: str
    fit_s: float
    rate: float
    parameters: float


def costs_by_machine(view: View, budget: int) -> tuple[Mapping[str, Mapping[str, Cost]], list[str]]:
    """Per hardware string the costs of the predictors whose settings were all measured there; and sentences about the
    rest."""
    rows = view.covered.common
    keys = ["label", "benchmark", "target", "budget", "seed"]
    whole = rows[keys].merge(view.frame, on=keys, how="left")
    whole = whole[whole["budget"] == budget]
    out: dict[str, dict[str, Cost]] = {}
    refused: list[str] = []
    for label in view.order:
        mine = whole[whole["label"] == label]
        machines = sorted(mine["hardware"].dropna().astype(str).unique())
        if len(machines) > 1:
            refused.append(
                f"{label} was measured on {join(machines)}: times of different machines are not averaged, so it is left out here."
            )
        elif machines:
            out.setdefault(machines[0], {})[label] = _cost(label, mine)
    return dict(sorted(out.items())), refused


def _cost(label: str, rows: pd.DataFrame) -> Cost:
    total = rows.assign(total=rows["fit_s"] + rows["pretrain_s"].fillna(0.0))
    tasks = total.groupby(["benchmark", "target"])
    return Cost(
        label,
        _geometric(tasks["total"].median()),
        _geometric(tasks["architectures_per_s"].median()),
        float(rows["parameters"].max()),
    )


def _geometric(values: pd.Series) -> float:
    known = values[values > 0].to_numpy(float)
    return float(np.exp(np.log(known).mean())) if len(known) else float("nan")


def cheapest(group: Group, view: View) -> str:
    """One sentence: the fastest of the best predictor and those that do not differ significantly from it, if all ran on
    one machine."""
    top = view.top
    budget = max(int(b) for b in view.boot.budgets)
    for machine, costs in costs_by_machine(view, budget)[0].items():
        if len(top) > 1 and all(label in costs for label in top):
            fastest = min(top, key=lambda label: (costs[label].fit_s, label))
            others = [label for label in top if label != fastest]
            slow = max(others, key=lambda label: costs[label].fit_s)
            return (
                f"Of {top[0]} and those without a significant difference from it, {fastest} trains fastest: {seconds(costs[fastest].fit_s)} per trial at {budget} labels, "
                f"against {seconds(costs[slow].fit_s)} for {slow} ({machine})."
            )
    return ""
