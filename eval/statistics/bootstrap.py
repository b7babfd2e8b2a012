"""The hierarchical bootstrap over a frame: search spaces first, then paired splits and seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from archrank.eval.metrics import METRICS
from archrank.eval.statistics.coverage import TASK, Coverage, coverage, numbered
from archrank.eval.statistics.hierarchy import Joint, joint
from archrank.eval.statistics.results import ComparisonError, Interval, IntervalKind

__all__ = ["LEFT_OUT", "Better", "Bootstrap", "Results", "Scope", "bootstrap", "direction_of", "results_of", "values"]

Floats = NDArray[np.float64]
Better = Literal["higher", "lower"]
Scope = Literal["auto", "spaces", "splits"]
LEFT_OUT = "Left out, with a single common split"
"""How the note begins that names tasks an aggregate is not taken over."""
Weigh = Callable[[Floats], Floats]
"""Sorted budgets of one (benchmark, target) -> their weights, summing to 1."""


@dataclass(frozen=True)
class Bootstrap:
    """Joint uncertainty of one aggregate per label, over the cells every label has.

    Attributes:
        labels: L labels, sorted.
        metric: column name.
        better: "higher" or "lower".
        estimate: [L] the aggregate (mean over budgets, then benchmarks, then spaces).
        draws: [draws, L] joint draws of the aggregate; a row keeps the pairing, so differences and ranks may be taken
            within rows. All NaN for kind "none".
        kind: what the draws vary (see `KINDS`).
        units: number of spaces (kind "spaces") or of paired splits.
        cells: number of common (benchmark, target, budget, seed) cells per label.
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
    cells: int
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
        return _cut(self.joint.contrast(chosen)[0], self.metric)

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
        p-values of the pairs within it (null counts as 1), then labels that are not separable share a letter. Its
        ranks: sort ``estimate``; rank interval: 1 + number of labels separably better, to number in the subset -
        number separably worse. (The cells stay those common to *all* exported labels.)
        """
        p = [[None if math.isnan(v) else float(f"{v:.3g}") for v in row] for row in self.p_values()]
        kept = self.draws[:draws] if self.kind != "none" else self.draws[:0]
        return {
            "labels": list(self.labels),
            "better": self.better,
            "kind": self.kind,
            "estimate": [round(float(value), decimals + 2) for value in self.estimate],
            "draws": [[round(float(value), decimals) for value in row] for row in kept],
            "p": p,
        }


def direction_of(metric: str, better: Better | None) -> Better:
    """Which way the metric is better: as given, else as `METRICS` says.

    Raises:
        ComparisonError: a column that is not a metric, without ``better``.
    """
    if better is not None:
        return better
    if metric not in METRICS:
        raise ComparisonError(f'{metric!r} is not a known metric: say better="higher" or better="lower"')
    return "higher" if METRICS[metric].direction == "max" else "lower"


def _cut(interval: Interval, metric: str) -> Interval:
    low, high = METRICS[metric].bounds if metric in METRICS else (-math.inf, math.inf)
    if interval.kind == "none":
        return interval
    return Interval(interval.estimate, max(low, interval.low), min(high, interval.high), interval.kind, interval.units)


@dataclass(frozen=True)
class Results:
    """The common cells as arrays: ``x`` [L, T, S] with the same NaN holes for every label, made of ``cells`` [T] cells."""

    labels: tuple[str, ...]
    tasks: pd.DataFrame
    x: Floats
    space: NDArray[np.int64]
    test_error: Floats
    shared: NDArray[np.bool_]
    cells: NDArray[np.int64]

    def take(self, keep: NDArray[np.bool_]) -> Results:
        """Only the tasks where ``keep`` [T]."""
        space = np.unique(self.space[keep], return_inverse=True)[1].astype(np.int64)
        tasks = self.tasks[keep].reset_index(drop=True)
        return Results(self.labels, tasks, self.x[:, keep], space, self.test_error[:, keep], self.shared[keep], self.cells[keep])

    def weights(self, weigh: Weigh) -> Floats:
        """[T] weight of each task within its space: every benchmark the same, within it ``weigh`` of its budgets."""
        weight = np.zeros(len(self.tasks))
        for _, group in self.tasks.groupby(["space", "benchmark", "target"], observed=True):
            weight[group.index] = weigh(group["budget"].to_numpy(dtype=float))
        return weight / np.bincount(self.space, weight)[self.space]


def results_of(covered: Coverage) -> Results:
    """The common cells of a coverage as arrays.

    Where several seeds share a split, their mean is one unit: more seeds say nothing about another split. A task whose several splits all have one
    test set is `shared`.

    Raises:
        ComparisonError: no cell that every label has.
    """
    common, metric = covered.common, covered.metric
    if common.empty:
        raise ComparisonError(f"no cell (benchmark, target, budget, seed) has a {metric} from every one of: {', '.join(covered.labels)}")
    t, tasks = numbered(common, TASK)
    seeds = sorted(common["seed"].unique())
    s = common["seed"].map({seed: i for i, seed in enumerate(seeds)}).to_numpy()
    e = common["label"].map({label: i for i, label in enumerate(covered.labels)}).to_numpy()
    x = np.full((len(covered.labels), len(tasks), len(seeds)), np.nan)
    x[e, t, s] = common[metric].to_numpy(dtype=float)
    cells = np.isfinite(x[0]).sum(axis=1)
    shared = np.zeros(len(tasks), dtype=bool)
    first = common.assign(task=t)[e == 0]
    if "split" in common:
        known = first[first["split"].notna()]
        repeated = known.loc[known.duplicated(["task", "split"]), "task"]
        for task, group in known[known["task"].isin(repeated)].groupby("task"):
            for members in group.groupby("split")["seed"].apply(list):
                at = [seeds.index(seed) for seed in members]
                together = x[:, task, at].mean(axis=1)
                x[:, task, at] = np.nan
                x[:, task, at[0]] = together
    if "test_set" in common:
        # Splits may differ in what is trained on and agree in what is tested on.
        repeated = first.loc[first.duplicated(["task", "test_set"]) & first["test_set"].notna(), "task"]
        for task, group in first[first["task"].isin(repeated)].groupby("task")["test_set"]:
            shared[task] = group.nunique(dropna=False) == 1
    shared &= np.isfinite(x[0]).sum(axis=1) > 1
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(x, axis=2)
    size = common.groupby(t)["test"].first().to_numpy(dtype=float) if "test" in common else np.full(len(tasks), np.nan)
    error = METRICS[metric].error if metric in METRICS else None
    test_error = np.array([[math.nan if error is None or math.isnan(n) else error(value, int(n)) for value, n in zip(row, size)] for row in mean])
    space = np.unique(tasks["space"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)
    return Results(covered.labels, tasks, x, space, test_error, shared, cells)


def benchmarks_of(results: Results, metric: str) -> tuple[str, ...]:
    """Every "benchmark/target" of the results; ComparisonError where ``metric`` has no mean over them."""
    benchmarks = tuple(sorted({f"{row.benchmark}/{row.target}" for row in results.tasks.itertuples()}))
    if len(benchmarks) > 1 and metric in METRICS and METRICS[metric].unit == "target":
        raise ComparisonError(f"{metric} is in the unit of its target and has no mean over {', '.join(benchmarks)}: choose one of them")
    return benchmarks


def evenly(budgets: Floats) -> Floats:
    """Every budget the same weight."""
    return np.full(budgets.size, 1 / budgets.size)


def over_spaces(spaces: int, scope: Scope) -> bool:
    """Whether the units are spaces; ComparisonError where that was asked for and there is one space."""
    if scope == "spaces" and spaces < 2:
        raise ComparisonError('scope "spaces" needs at least two search spaces; use "splits" for one')
    return scope != "splits" and spaces > 1


def select(results: Results, scope: Scope) -> tuple[Results, bool, list[str]]:
    """Whether spaces are the units, the tasks that can be used for it, and the sentences that go with it."""
    spaces = int(results.space.max()) + 1
    names = ", ".join(sorted(results.tasks["space"].astype(str).unique()))
    if over_spaces(spaces, scope):
        few = " Two or three spaces say little about others: hence the wide intervals." if spaces < 4 else ""
        return results, True, [f"Inference is over {spaces} search spaces ({names}).{few}"]
    notes = [f"Inference is conditional on {names}: other search spaces may order the encoders differently."]
    enough = np.isfinite(results.x[0]).sum(axis=1) >= 2
    covered = enough.any() and set(results.space[enough]) == set(results.space)
    if covered and not enough.all():
        left = results.tasks[~enough]
        listed = ", ".join(f"{row.benchmark}/{row.target} at {row.budget}" for row in left.itertuples())
        notes.append(f"{LEFT_OUT}: {listed}.")
        results = results.take(enough)
    elif not enough.all():
        several = f" of {', '.join(sorted(results.tasks.loc[~enough, 'space'].astype(str).unique()))}" if enough.any() else ""
        notes.append(
            f"Only one split{several}: intervals hold the sampling error of tau on the test sets and nothing else, and no difference can be called real."
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
    """Mean of ``metric`` over the common cells of ``labels``, per label, with joint draws.

    Every space counts the same, within it every (benchmark, target), within that every budget (or ``weigh`` of the
    sorted budgets, summing to 1), within that every split.

    Args:
        scope: "spaces" asks about the mean over search spaces like these (needs at least two), "splits" about these benchmarks only;
            "auto" takes "spaces" where there are two or more.
        better: only needed for a column that is not in `METRICS`, for example "lower" for ``fit_s``.

    Raises:
        ComparisonError: as `coverage`; no cell in common; a metric in the unit of its target averaged over targets.
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
) -> tuple[Bootstrap, Results]:
    """`bootstrap`, and the results it was taken over."""
    direction = direction_of(metric, better)
    covered = coverage(frame, metric, labels)
    notes = [covered.sentence()] if covered.shared < covered.expected else []
    return aggregate(results_of(covered), metric, direction, scope, draws, seed, weigh, notes)


def aggregate(
    results: Results,
    metric: str,
    better: Better,
    scope: Scope,
    draws: int = 0,
    seed: int = 0,
    weigh: Weigh = evenly,
    further: Sequence[str] = (),
) -> tuple[Bootstrap, Results]:
    """The `Bootstrap` over ``results`` with ``further`` notes, and those of the results that it could use."""
    results, further_spaces, notes = select(results, scope)
    tasks, benchmarks = results.tasks, benchmarks_of(results, metric)
    combined = joint(results.x, results.space, results.weights(weigh), further_spaces, results.test_error, results.shared)
    result = Bootstrap(
        labels=results.labels,
        metric=metric,
        better=better,
        estimate=combined.estimate,
        draws=combined.draw(draws, seed),
        kind=combined.kind,
        units=combined.units,
        cells=int(results.cells.sum()),
        spaces=tuple(sorted(tasks["space"].astype(str).unique())),
        benchmarks=benchmarks,
        budgets=tuple(sorted({int(budget) for budget in tasks["budget"]})),
        notes=(*notes, *further),
        joint=combined,
    )
    return result, results


def values(
    frame: pd.DataFrame,
    metric: str = "kendall",
    labels: Sequence[str] | None = None,
    *,
    common: bool = False,
    better: Better | None = None,
) -> pd.DataFrame:
    """One row per (label, space, benchmark, target, budget): mean over seeds with its 95 % interval.

    Columns: ``label space benchmark target budget mean low high sd kind units test``. ``common=False`` uses all seeds
    a label has (for a curve of one encoder); ``True`` only cells that all labels have (for a table of comparisons).
    """
    direction_of(metric, better)
    covered = coverage(frame, metric, labels)
    if common:
        groups = [results_of(covered)]
    else:
        done = frame[frame["label"].isin(covered.labels)]
        each = [coverage(done, metric, [label]) for label in covered.labels]
        groups = [results_of(one) for one in each if not one.common.empty]
    rows = []
    alone, one = np.zeros(1, dtype=np.int64), np.ones(1)
    for results in groups:
        each_label = np.eye(len(results.labels))
        for t, task in enumerate(results.tasks.itertuples(index=False, name=None)):
            x = results.x[:, t : t + 1]
            got = joint(x, alone, one, False, results.test_error[:, t : t + 1], results.shared[t : t + 1])
            for i, label in enumerate(results.labels):
                interval = _cut(got.contrast(each_label[i])[0], metric)
                seen = x[i, 0][np.isfinite(x[i, 0])]
                sd = float(seen.std(ddof=1)) if seen.size > 1 else math.nan
                numbers = (interval.estimate, interval.low, interval.high, sd)
                rows.append((label, *task, *numbers, interval.kind, interval.units))
    table = pd.DataFrame(rows, columns=["label", *TASK, "mean", "low", "high", "sd", "kind", "units"])
    if "test" in covered.common:
        rows_with = frame[frame["label"].isin(covered.labels)]
        size = rows_with.groupby(["label", *TASK], observed=True)["test"].min().rename("test").reset_index()
        table = table.merge(size, how="left", on=["label", *TASK])
    else:
        table["test"] = math.nan
    return table.sort_values(["label", *TASK], ignore_index=True)
