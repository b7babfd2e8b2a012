"""Measures the error rates that `docs/statistics.md` states: ``python tools/calibrate.py``.

Every study draws data whose truth is known and runs `archrank.eval.statistics` on it (not a copy of them). The
seed is fixed; all of it takes less than a minute of an idle core. Rates carry a Monte Carlo standard error of about 0.6
points, 1 to 2 where fewer data sets were drawn.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from archrank.eval.metrics import kendall, tau_standard_error
from archrank.eval.statistics.ceiling import noise_ceiling
from archrank.eval.statistics.efficiency import labels_needed
from archrank.eval.statistics.multiplier_bootstrap import Joint, joint
from archrank.eval.statistics.results import ALPHA
from archrank.eval.statistics.tiers import holm, leaderboard

__all__ = ["STUDIES", "Rate", "main"]

Floats = NDArray[np.float64]
Noise = Callable[[Generator, tuple[int, ...]], Floats]


@dataclass(frozen=True)
class Rate:
    """One measured number: ``what`` under ``setting``, its nominal and its measured value, both in percent."""

    what: str
    setting: str
    nominal: float
    measured: float
    repeats: int


def _normal(random: Generator, shape: tuple[int, ...]) -> Floats:
    return random.standard_normal(shape)


def _skewed(random: Generator, shape: tuple[int, ...]) -> Floats:
    """Left-skewed (skewness -1) like tau near its ceiling: a standardised gamma variable, turned round."""
    return -(random.gamma(4.0, 0.5, shape) - 2.0)


def _joint(x: Floats, over_spaces: bool = False) -> Joint:
    """``x`` [E, K, S]: one task per space."""
    spaces = x.shape[1]
    return joint(
        x, np.arange(spaces), np.ones(spaces), over_spaces, np.full(x.shape[:2], np.nan), np.zeros(spaces, dtype=bool)
    )


def _percent(hits: int, repeats: int) -> float:
    return round(100 * hits / repeats, 1)


def _percentile(values: Floats, random: Generator, inflate: bool) -> tuple[float, float]:
    """The plain percentile bootstrap of a mean, as a yardstick; ``inflate`` widens it by sqrt(n / (n - 1))."""
    n = values.size
    means = values[random.integers(0, n, (1000, n))].mean(axis=1)
    low, high = np.quantile(means, [ALPHA / 2, 1 - ALPHA / 2])
    factor = math.sqrt(n / (n - 1)) if inflate else 1.0
    centre = values.mean()
    return float(centre + factor * (low - centre)), float(centre + factor * (high - centre))


def coverage_over_splits(random: Generator, repeats: int) -> Iterator[Rate]:
    """Intervals of a value and of a paired difference from few splits of one space."""
    noises: dict[str, Noise] = {"normal": _normal, "skewed": _skewed}
    for name, noise in noises.items():
        for n in (3, 5, 10):
            hits = np.zeros(4, dtype=int)
            for _ in range(repeats):
                split = noise(random, (1, 1, n))  # an easy split is easy for both
                x = 0.02 * (split + noise(random, (2, 1, n)) * np.array([1.0, 2.0])[:, None, None])
                got = _joint(x)
                hits[0] += got.contrast(np.array([1.0, 0.0]))[0].covers(0.0)
                hits[1] += got.contrast(np.array([1.0, -1.0]))[0].covers(0.0)
                if name == "normal":
                    for place, inflate in ((2, False), (3, True)):
                        low, high = _percentile(x[0, 0] - x[1, 0], random, inflate)
                        hits[place] += low <= 0 <= high
            setting = f"{n} splits, {name}"
            yield Rate("coverage of a value", setting, 95, _percent(hits[0], repeats), repeats)
            yield Rate("coverage of a difference", setting, 95, _percent(hits[1], repeats), repeats)
            if name == "normal":
                yield Rate("  yardstick: percentile bootstrap", setting, 95, _percent(hits[2], repeats), repeats)
                what = "  yardstick: same, x sqrt(n/(n-1))"
                yield Rate(what, setting, 95, _percent(hits[3], repeats), repeats)


def coverage_over_spaces(random: Generator, repeats: int) -> Iterator[Rate]:
    """The difference over spaces, and over splits for the spaces given; the pooled test's false positives."""
    minus = np.array([1.0, -1.0])
    for spaces in (2, 3, 6, 10):
        over = within = 0
        for _ in range(repeats):
            effect = random.standard_normal((1, spaces, 1))
            settings = effect + random.standard_normal((1, spaces, 5))
            x = np.concatenate([settings, np.zeros_like(settings)])
            over += _joint(x, True).contrast(minus)[0].covers(0.0)
            within += _joint(x).contrast(minus)[0].covers(float(effect.mean()))
        setting = f"{spaces} spaces x 5 splits"
        yield Rate("false positives, spaces as units", setting, 5, _percent(repeats - over, repeats), repeats)
        yield Rate("coverage for these spaces only", setting, 95, _percent(within, repeats), repeats)
    for splits, between in ((5, 1.0), (10, 1.0), (10, 1.5)):
        settings = between * random.standard_normal((repeats, 6, 1)) + random.standard_normal((repeats, 6, splits))
        wrong = stats.ttest_1samp(settings.reshape(repeats, -1), 0.0, axis=1).pvalue < ALPHA
        right = sum(_joint(np.stack([x, np.zeros_like(x)]), True).contrast(minus)[1] < ALPHA for x in settings)
        setting = f"6 spaces x {splits} splits, sd of spaces {between:g}"
        yield Rate("false positives, spaces as units", setting, 5, _percent(right, repeats), repeats)
        yield Rate(
            "  yardstick: settings pooled as independent", setting, 5, _percent(int(wrong.sum()), repeats), repeats
        )


def family_wise_error(random: Generator, repeats: int) -> Iterator[Rate]:
    """Any false difference among eight equal encoders of unequal spread: Holm, and max-t over the joint draws."""
    labels = 8
    first, second = np.triu_indices(labels, 1)
    minus = np.zeros((first.size, labels))
    minus[np.arange(first.size), first] = 1
    minus[np.arange(first.size), second] = -1
    spread = np.linspace(0.5, 2.0, labels)[:, None, None]
    for n in (3, 5, 10):
        wrong = wrong_max = wrong_plain = 0
        for _ in range(repeats // 4):
            x = random.standard_normal((1, 1, n)) + spread * random.standard_normal((labels, 1, n))
            got = _joint(x)
            p = np.array([got.contrast(row)[1] for row in minus])
            wrong += holm(p).min() < ALPHA
            wrong_plain += p.min() < ALPHA
            error = np.linalg.norm(minus @ got.factors, axis=1)
            moved = (got.draw(1000, int(random.integers(1 << 31))) - got.estimate) @ minus.T / error
            limit = np.quantile(np.abs(moved).max(axis=1), 1 - ALPHA)
            wrong_max += bool((np.abs(minus @ got.estimate) / error > limit).any())
        for what, count in (
            ("any false difference, Holm (tiers)", wrong),
            ("  yardstick: max-t over the draws", wrong_max),
            ("  yardstick: pairs not corrected", wrong_plain),
        ):
            setting = f"8 encoders, {n} splits"
            yield Rate(what, setting, 5, _percent(count, repeats // 4), repeats // 4)


def _frame(tau: Floats, test: int = 5000) -> pd.DataFrame:
    """Trials of one space at 78 labels from ``tau`` [labels, 1, seeds]."""
    rows = [
        {
            "label": chr(97 + e),
            "benchmark": "simulated",
            "space": "simulated",
            "target": "accuracy",
            "protocol": "clean",
        }
        | {"recipe": "common", "budget": 78, "seed": s, "split": f"78-{s}", "test": test}
        | {"kendall": tau[e, 0, s]}
        for e in range(tau.shape[0])
        for s in range(tau.shape[2])
    ]
    return pd.DataFrame(rows)


def real_taus(random: Generator, repeats: int) -> Iterator[Rate]:
    """Taus that are computed, not drawn: two predictors, trained unevenly well, on test splits of a finite table."""
    few = repeats // 2
    table, size, seeds = random.standard_normal(4000), 200, 5

    def trial(noise: float) -> float:
        rows = random.choice(table.size, size, replace=False)
        level = noise * math.exp(0.2 * random.standard_normal())
        return kendall(table[rows], table[rows] + level * random.standard_normal(size))

    truth = np.array([np.mean([trial(noise) for _ in range(1500)]) for noise in (0.4, 0.5)])
    value = difference = 0
    for _ in range(few):
        got = _joint(np.array([[[trial(noise) for _ in range(seeds)]] for noise in (0.4, 0.5)]))
        value += got.contrast(np.array([1.0, 0.0]))[0].covers(float(truth[0]))
        difference += got.contrast(np.array([1.0, -1.0]))[0].covers(float(truth[0] - truth[1]))
    setting = "tau on 200 of 4,000 architectures, 5 splits"
    yield Rate("coverage of a value", setting, 95, _percent(value, few), few)
    yield Rate("coverage of a difference", setting, 95, _percent(difference, few), few)


def ranks_and_wins(random: Generator, repeats: int) -> Iterator[Rate]:
    """The leaderboard's rank intervals (all at once) and win rates, from the frame on."""
    few, seeds = repeats // 6, 5
    means = np.array([0.80, 0.80, 0.78, 0.75, 0.70])
    best, worst = np.array([1, 1, 3, 4, 5]), np.array([2, 2, 3, 4, 5])  # equals may take either rank
    spread = 0.01
    wins = stats.norm.cdf((means[:, None] - means[None, :]) / (spread * math.sqrt(2)))
    true_wins = (wins.sum(axis=1) - 0.5) / (means.size - 1)
    ranked = won = 0
    for _ in range(few):
        tau = means[:, None, None] + 0.02 * random.standard_normal((1, 1, seeds))
        board = leaderboard(_frame(tau + spread * random.standard_normal((5, 1, seeds))), draws=0)
        board = board.sort_values("label", ignore_index=True)
        ranked += bool(((board["rank_low"] <= best) & (board["rank_high"] >= worst)).all())
        won += int(((board["win_low"] <= true_wins) & (true_wins <= board["win_high"])).sum())
    yield Rate("all rank intervals hold the true ranks", "5 encoders, 5 splits", 95, _percent(ranked, few), few)
    yield Rate("coverage of a win rate (conservative)", "5 encoders, 5 splits", 95, _percent(won, 5 * few), 5 * few)
    won = 0
    for _ in range(few):
        board = leaderboard(_frame(random.standard_normal((2, 1, seeds))), draws=0)
        won += int(((board["win_low"] <= 0.5) & (board["win_high"] >= 0.5)).iloc[0])
    yield Rate("coverage of a win rate (conservative)", "2 encoders, 5 splits", 95, _percent(won, few), few)


def label_efficiency(random: Generator, repeats: int) -> Iterator[Rate]:
    """Labels needed to reach the other's level, two parallel curves."""
    budgets = (20, 78, 156, 390)
    log = np.log(np.array(budgets) / 78)
    curves = np.stack([0.72 + 0.06 * log, 0.69 + 0.06 * log])
    first_seed = np.zeros(1, dtype=np.int64)
    needed = 78 * math.exp(0.03 / 0.06)
    for n in (3, 5, 10):
        hits = 0
        for _ in range(repeats):
            noise = random.standard_normal((2, 4, n)) + random.standard_normal((1, 1, n))
            x = (curves[:, :, None] + 0.01 * noise)[:, :, None]
            error = np.full(x.shape[:3], np.nan)
            (_, low, high), _ = labels_needed(
                x, error, first_seed, first_seed > 0, np.array(budgets, float), 78, False, 1000, 0
            )
            hits += low <= needed <= high
        yield Rate("coverage of label efficiency", f"4 budgets, {n} splits", 95, _percent(hits, repeats), repeats)


def sampling_error_of_tau(random: Generator, repeats: int) -> Iterator[Rate]:
    """One split: the interval from tau's own error; and the noise ceiling of three repeats."""
    few = repeats // 4
    tau = 0.8
    rho = math.sin(math.pi * tau / 2)
    for n in (50, 200, 1000):
        hits = 0
        for _ in range(few):
            x = random.standard_normal(n)
            y = rho * x + math.sqrt(1 - rho * rho) * random.standard_normal(n)
            seen = kendall(x, y)
            hits += abs(seen - tau) <= 1.96 * tau_standard_error(seen, n)
        yield Rate("coverage of tau, one split", f"{n} test architectures, tau 0.8", 95, _percent(hits, few), few)
    few = repeats // 20
    noise = 0.3
    tau_single = 2 / math.pi * math.asin(1 / math.sqrt((1 + noise**2) * (1 + noise**2 / 2)))
    mean = 2 / math.pi * math.asin(1 / math.sqrt(1 + noise**2 / 3))
    single = oracle = 0
    for _ in range(few):
        truth = random.standard_normal((300, 1))
        ceiling = noise_ceiling(truth + noise * random.standard_normal((300, 3)))
        single += ceiling.single.covers(tau_single)
        oracle += ceiling.oracle.covers(mean)
    setting = "300 architectures x 3 repeats"
    yield Rate("coverage of the noise ceiling, one repeat", setting, 95, _percent(single, few), few)
    yield Rate("coverage of the noise ceiling, oracle", setting, 95, _percent(oracle, few), few)


STUDIES = (
    coverage_over_splits,
    coverage_over_spaces,
    family_wise_error,
    real_taus,
    ranks_and_wins,
    label_efficiency,
    sampling_error_of_tau,
)


def main(arguments: list[str] | None = None) -> list[Rate]:
    """Run every study, print one table (or JSON), and return the rates."""
    parser = argparse.ArgumentParser(prog="python tools/calibrate.py", description=__doc__)
    parser.add_argument("--repeats", type=int, default=1500, help="simulated data sets per setting (default 1500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args(arguments)
    if given.repeats < 100:
        parser.error("--repeats must be at least 100: below that no rate means anything")
    rates = [
        rate for n, study in enumerate(STUDIES) for rate in study(np.random.default_rng([given.seed, n]), given.repeats)
    ]
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if given.json:
        console.print_json(json.dumps([asdict(rate) for rate in rates]))
        return rates
    table = Table(title=f"Measured error rates, seed {given.seed}", show_edge=False)
    for name in ("what", "setting"):
        table.add_column(name)
    for name in ("nominal %", "measured %", "data sets"):
        table.add_column(name, justify="right")
    for rate in rates:
        table.add_row(rate.what, rate.setting, f"{rate.nominal:g}", f"{rate.measured:.1f}", f"{rate.repeats:,}")
    console.print(table)
    return rates


if __name__ == "__main__":
    main()
