"""The hierarchical bootstrap over a frame: search spaces first, then paired splits and seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from archrank.eval.metrics import METRICS
from archrank.eval.statistics.coverage import coverage
from archrank.eval.statistics.metric_range import Better, cut, direction_of
from archrank.eval.statistics.multiplier_bootstrap import Joint, joint
from archrank.eval.statistics.paired import PairedResults, Weigh, evenly, paired_results
from archrank.eval.statistics.results import ComparisonError, Interval, IntervalKind

__all__ = ["LEFT_OUT", "Bootstrap", "Scope", "bootstrap"]

Floats = NDArray[np.float64]
Scope = Literal["auto", "spaces", "splits"]
LEFT_OUT = "Excluded, with a single common split"
"""How the note begins that names tasks an aggregate is not taken over."""


@dataclass(frozen=True)
class Bootstrap:
    """Joint uncertainty of one aggregate per label, over the settings every label has.

    Attributes:
        labels: L labels, sorted.
        metric: column name.
        better: "higher" or "lower".
        estimate: [L] the aggregate (mean over budgets, then benchmarks, then spaces).
        draws: [draws, L] joint draws of the aggregate; a row keeps the pairing, so differences and ranks may be taken
            within rows. All NaN for kind "none".
        kind: what the draws vary (see `KINDS`).
        units: number of spaces (kind "spaces") or of paired splits.
        settings: number of common (benchmark, target, budget, seed) settings per label.
        spaces, benchmarks, budgets: what the aggregate is over; a benchmark is written "name/target".
        notes: sentences a reader must see (conditional on one space, one seed, tasks left out, ...).
    """

    labels: tuple[str, ...]
    metric: str
    better: Better
    estimate: Floats
    draws: Floats = field(repr=False)
    kind: IntervalKind
    units: int
    settings: int
    spaces: tuple[str, ...]
    benchmarks: tuple[str, ...]
    budgets: tuple[int, ...]
    notes: tuple[str, ...]
    joint: Joint = field(repr=False)

    def _index(self, label: str) -> int:
        if label not in self.labels:
            raise ComparisonError(f"{label!r} is not among the compared labels: {', '.join(self.labels)}")
        return self.labels.index(label)

    def value(self, label: str) -> Interval:
        """The aggregate of one label with its 95 % interval, cut at the metric's bounds."""
        chosen = np.zeros(len(self.labels))
        chosen[self._index(label)] = 1
        return cut(self.joint.contrast(chosen)[0], self.metric)

    def difference(self, a: str, b: str) -> tuple[Interval, float]:
        """Paired difference a - b with its 95 % interval, and its two-sided p-value (NaN where none is possible)."""
        chosen = np.zeros(len(self.labels))
        chosen[self._index(a)] += 1
        chosen[self._index(b)] -= 1
        return self.joint.contrast(chosen)

    def p_values(self) -> Floats:
        """[L, L] two-sided p-values of all pairs; NaN on the diagonal and where no test is possible."""
        table = np.full((len(self.labels),) * 2, np.nan)
        for i, a in enumerate(self.labels):
            for j in range(i):
                table[i, j] = table[j, i] = self.difference(a, self.labels[j])[1]
        return table

    def ranks(self) -> Floats:
        """[draws, L] rank of each label in each draw (1 = best, ties averaged); NaN for kind "none"."""
        if self.kind == "none":
            return np.full_like(self.draws, np.nan)
        ranks: Floats = stats.rankdata(self.draws if self.better == "lower" else -self.draws, axis=1)
        return ranks

    def export(self, draws: int = 400, decimals: int = 4) -> dict[str, Any]:
        """All a page needs to recompute ranks and tiers for any subset of labels, as plain JSON values.

        Keys: ``labels`` [L], ``better``, ``kind``, ``estimate`` [L], ``draws`` [draws][L] (rounded), ``p`` [L][L]
        two-sided pairwise p-values (null on the diagonal and where none is possible). A subset's tiers: Holm over the
        p-values of the pairs within it (null counts as 1), then labels without a significant difference share a letter.
        Its
        ranks: sort ``estimate``; rank interval: 1 + number of labels significantly better, to number in the subset -
        number significantly worse. (The settings stay those common to *all* exported labels.)
        """
        p = [[None if math.isnan(v) else float(f"{v:.3g}") for v in row] for row in self.p_values()]
        exported = self.draws[:draws] if self.kind != "none" else self.draws[:0]
        return {
            "labels": list(self.labels),
            "better": self.better,
            "kind": self.kind,
            "estimate": [round(float(value), decimals + 2) for value in self.estimate],
            "draws": [[round(float(value), decimals) for value in row] for row in exported],
            "p": p,
        }


def benchmarks_of(results: PairedResults, metric: str) -> tuple[str, ...]:
    """Every "benchmark/target" of the results; ComparisonError where ``metric`` has no mean over them."""
    benchmarks = tuple(sorted({f"{row.benchmark}/{row.target}" for row in results.tasks.itertuples()}))
    if len(benchmarks) > 1 and metric in METRICS and METRICS[metric].unit == "target":
        raise ComparisonError(
            f"{metric} is in the unit of its target and has no mean over {', '.join(benchmarks)}: choose one of them"
        )
    return benchmarks


def over_spaces(spaces: int, scope: Scope) -> bool:
    """Whether the units are spaces; ComparisonError where that was asked for and there is one space."""
    if scope == "spaces" and spaces < 2:
        raise ComparisonError('scope "spaces" needs at least two search spaces; use "splits" for one')
    return scope != "splits" and spaces > 1


def select(results: PairedResults, scope: Scope) -> tuple[PairedResults, bool, list[str]]:
    """Whether spaces are the units, the tasks that can be used for it, and the sentences that go with it."""
    spaces = int(results.space.max()) + 1
    names = ", ".join(sorted(results.tasks["space"].astype(str).unique()))
    if over_spaces(spaces, scope):
        few = " Two or three spaces say little about others: hence the wide intervals." if spaces < 4 else ""
        return results, True, [f"Inference is over {spaces} search spaces ({names}).{few}"]
    notes = [f"Inference is conditional on {names}: other search spaces may order the predictors differently."]
    enough = np.isfinite(results.x[0]).sum(axis=1) >= 2
    covered = enough.any() and set(results.space[enough]) == set(results.space)
    if covered and not enough.all():
        left = results.tasks[~enough]
        listed = ", ".join(f"{row.benchmark}/{row.target} at {row.budget}" for row in left.itertuples())
        notes.append(f"{LEFT_OUT}: {listed}.")
        results = results.take(enough)
    elif not enough.all():
        several = (
            f" of {', '.join(sorted(results.tasks.loc[~enough, 'space'].astype(str).unique()))}" if enough.any() else ""
        )
        notes.append(
            f"Only one split{several}: intervals hold the sampling error of tau on the test sets and nothing else, and no difference can be called significant."
        )
    if results.shared.any():
        known = " is added" if np.isfinite(results.test_error[:, results.shared]).all() else " is not known"
        notes.append(f"All seeds share one test set, so its sampling error{known}.")
    return results, False, notes


def bootstrap(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    scope: Scope = "auto",
    better: Better | None = None,
    draws: int = 4000,
    seed: int = 0,
    weigh: Weigh = evenly,
) -> Bootstrap:
    """Mean of ``metric`` over the common settings of ``labels``, per label, with joint draws.

    Every space counts the same, within it every (benchmark, target), within that every budget (or ``weigh`` of the
    sorted budgets, summing to 1), within that every split.

    Args:
        scope: "spaces" asks about the mean over search spaces like these (needs at least two), "splits" about these
            benchmarks only; "auto" takes "spaces" where there are two or more.
        better: only needed for a column that is not in `METRICS`, for example "lower" for ``fit_s``.

    Raises:
        ComparisonError: as `coverage`; no setting in common; a metric in the unit of its target averaged over targets.
    """
    return resampled(frame, metric, labels, scope, better, draws, seed, weigh)[0]


def resampled(
    frame: pd.DataFrame,
    metric: str,
    labels: Sequence[str] | None,
    scope: Scope,
    better: Better | None,
    draws: int = 0,
    seed: int = 0,
    weigh: Weigh = evenly,
) -> tuple[Bootstrap, PairedResults]:
    """`bootstrap`, and the results it was taken over."""
    direction = direction_of(metric, better)
    covered = coverage(frame, metric, labels)
    notes = [covered.sentence()] if covered.shared < covered.expected else []
    return aggregate(paired_results(covered), metric, direction, scope, draws, seed, weigh, notes)


def aggregate(
    results: PairedResults,
    metric: str,
    better: Better,
    scope: Scope,
    draws: int = 0,
    seed: int = 0,
    weigh: Weigh = evenly,
    further: Sequence[str] = (),
) -> tuple[Bootstrap, PairedResults]:
    """The `Bootstrap` over ``results`` with ``further`` notes, and those of the results that it could use."""
    results, further_spaces, notes = select(results, scope)
    tasks, benchmarks = results.tasks, benchmarks_of(results, metric)
    combined = joint(
        results.x, results.space, results.weights(weigh), further_spaces, results.test_error, results.shared
    )
    result = Bootstrap(
        labels=results.labels,
        metric=metric,
        better=better,
        estimate=combined.estimate,
        draws=combined.draw(draws, seed),
        kind=combined.kind,
        units=combined.units,
        settings=int(results.settings.sum()),
        spaces=tuple(sorted(tasks["space"].astype(str).unique())),
        benchmarks=benchmarks,
        budgets=tuple(sorted({int(budget) for budget in tasks["budget"]})),
        notes=(*notes, *further),
        joint=combined,
    )
    return result, results
