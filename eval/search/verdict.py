"""What searches say, in plain English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from archrank.eval.search.compare import (
    DRAWS,
    Difference,
    Estimate,
    Standing,
    digits_of,
    log_area,
    paired_differences,
    rounded,
)
from archrank.eval.search.guided import ROLES
from archrank.eval.search.traces import Judge, Regret
from archrank.eval.statistics.results import ALPHA

Floats = NDArray[np.float64]
FEWEST = 4
# Pairs of which the first is published as better than the second.
PUBLISHED = (("evolution", "random"), ("local", "evolution"), ("bananas", "evolution"))


def parts_of(label: str) -> tuple[str, str]:
    """Strategy and predictor of a search's label; the predictor is empty where the strategy needs none."""
    strategy, _, predictor = label.partition(" / ")
    return strategy, predictor


def sentences(standings: Sequence[Standing], differences: Sequence[Difference], unit: str) -> list[str]:
    """Which search ranks first, and how many queries each predictor saves over random search, by its best strategy."""
    best = standings[0]
    equals = [item.label for item in standings[1:] if set(item.tier) & set(best.tier)]
    last = max(best.at)
    ending = (
        f"; no significant difference from {', '.join(equals)}."
        if equals
        else "; significantly better than all others."
    )
    reached = f"test regret {rounded(best.at[last], digits_of(standings))}{unit} after {last} queries"
    said = [f"{best.label} ranks first: {reached}{ending if len(standings) > 1 else '.'}"]
    apart = {frozenset((item.first, item.second)): item.significant for item in differences}
    mentioned = set()
    for item in standings:
        strategy, predictor = parts_of(item.label)
        name = predictor or strategy
        if strategy == "random" or name in mentioned:
            continue
        mentioned.add(name)
        how = f" (with {strategy})" if predictor else ""
        known = apart.get(frozenset((item.label, "random")))
        doubt = "; no significant difference from random search" if known is False else ""
        saved = rounded(item.saved, 0)
        said.append(f"{name}{how} saves {saved} of {last} queries over random search{doubt}.")
    return said


def strategy_order(judge: Judge, regrets: Sequence[Regret]) -> str:
    """Strategies by their mean log10 regret over predictors, best first: which follow each other with a significant
    difference (`>`), and which without (`~`). Those that an encoding guides are left out. Empty where there is one."""
    means = _by_strategy(judge, regrets)
    order = sorted(means, key=lambda name: (float(means[name].mean()), name))
    if len(order) < 2:
        return ""
    differences = {(item.first, item.second): item for item in paired_differences(order, means)}
    signs = [" > " if differences[pair].significant else " ~ " for pair in pairwise(order)]
    text = order[0] + "".join(sign + name for sign, name in zip(signs, order[1:]))
    return f"Strategies, mean over predictors (> significantly better, ~ no significant difference): {text}."


def published_order(judge: Judge, regrets: Sequence[Regret]) -> str:
    """Whether random search is worse than evolution, and evolution than local search and BANANAS, as published for
    NAS-Bench-101 with 150 queries (White et al., AAAI 2021 and UAI 2021); and where not, what is different here. Empty
    where one of them is missing."""
    means = _by_strategy(judge, regrets)
    if not {"random", *(name for pair in PUBLISHED for name in pair)} <= means.keys():
        return ""
    differences = {(item.first, item.second): item for item in paired_differences([*means], means)}
    held: list[str] = []
    failed: list[str] = []
    for better, worse in PUBLISHED:
        item, sign = (
            (differences[better, worse], 1) if (better, worse) in differences else (differences[worse, better], -1)
        )
        (held if item.significant and sign * item.difference.value < 0 else failed).append(f"{better} over {worse}")
    said = "The order published for NAS-Bench-101 (significantly better: " + ", ".join(
        f"{better} over {worse}" for better, worse in PUBLISHED
    )
    if not failed:
        return f"{said}) is found here."
    confirmed = f"for {' and '.join(held)}, " if held else ""
    queries = regrets[0].curve.shape[1]
    evolution = next(regret.curve for regret in regrets if regret.label == "evolution")
    reached = float((evolution <= judge.target_regret() + 1e-12).any(1).mean())
    return (
        f"{said}) is found here {confirmed}not for {' and '.join(failed)}. {queries} queries are "
        f"{queries / len(judge.pool):.1%} of this table's architectures (of NAS-Bench-101 they are 0.04 %), and "
        f"evolution alone finds one of the best 0.1 % in {reached:.0%} of its repeats: little is left to be better by."
    )


def _by_strategy(judge: Judge, regrets: Sequence[Regret]) -> dict[str, Floats]:
    """Mean log10 regret per repeat [R] of each strategy, mean over its predictors; those that an encoding guides are
    left out."""
    logs: dict[str, list[Floats]] = {}
    for regret in regrets:
        if not any(f"{role}=" in regret.label for role in ROLES):
            logs.setdefault(parts_of(regret.label)[0], []).append(log_area(judge, regret.curve))
    return {name: np.mean(values, 0) for name, values in logs.items()}


@dataclass(frozen=True)
class Agreement:
    """Rank correlation (Spearman) of predictors on two boards: by ranking, and by search.

    The interval is over seeds and repeats, for these predictors. p: two-sided, of no correlation over predictors.
    """

    predictors: int
    correlation: Estimate
    p: float

    def __str__(self) -> str:
        certain = "" if self.p < ALPHA else f"; with so many predictors it could be chance (p = {self.p:.2g})"
        return (
            f"Does better ranking give better search? Rank correlation of the two boards over {self.predictors} "
            f"predictors: {rounded(self.correlation, 2)}{certain}."
        )


def agreement(ranking: Mapping[str, Floats], searching: Mapping[str, Floats]) -> Agreement | None:
    """How far the order of predictors by ranking is that by search; None for fewer than four predictors.

    ranking: Kendall's tau per seed [S], by predictor. searching: mean log10 regret per repeat [R], lower is better, by
    predictor. Seeds and repeats are drawn with replacement, the same for all predictors, as they are paired.
    """
    shared = sorted(ranking.keys() & searching.keys())
    if len(shared) < FEWEST:
        return None
    tau = np.array([ranking[name] for name in shared])
    log = np.array([searching[name] for name in shared])
    correlation = stats.spearmanr(tau.mean(1), -log.mean(1))
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        seeds, repeats = (rng.integers(part.shape[1], size=part.shape[1]) for part in (tau, log))
        tau_ranks, other = (stats.rankdata(part.mean(1)) for part in (tau[:, seeds], -log[:, repeats]))
        if np.ptp(tau_ranks) > 0 and np.ptp(other) > 0:
            drawn.append(np.corrcoef(tau_ranks, other)[0, 1])
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
    return Agreement(
        len(shared), Estimate(float(correlation.statistic), float(low), float(high)), float(correlation.pvalue)
    )


def by_predictor(judge: Judge, regrets: Sequence[Regret]) -> dict[str, Floats]:
    """Mean log10 regret per repeat [R] of each predictor, over the strategies that all of them were searched with."""
    curves: dict[str, dict[str, Floats]] = {}
    for regret in regrets:
        strategy, predictor = parts_of(regret.label)
        if predictor:
            curves.setdefault(predictor, {})[strategy] = log_area(judge, regret.curve)
    shared = set.intersection(*(set(strategies) for strategies in curves.values())) if curves else set()
    if not shared:
        return {}
    return {
        name: np.mean([strategies[strategy_name] for strategy_name in sorted(shared)], 0)
        for name, strategies in curves.items()
    }
