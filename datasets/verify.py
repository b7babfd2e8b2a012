"""Does a benchmark's table say what is known of it? Counts, best scores, isomorphism classes, official hashes and graph facts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archrank.datasets.benchmark import Benchmark, read_benchmark

HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Check:
    """One fact: what was looked at, whether it holds, and what was found."""

    what: str
    ok: bool
    found: str


def verify(card: Path) -> list[Check]:
    """Check the table beside a card against the card. Raises DataError if it cannot be read at all."""
    benchmark = read_benchmark(card)
    return [*_file(benchmark, card.with_suffix(".parquet")), *_facts(benchmark), *_graphs(benchmark), *_scores(benchmark)]


def _file(benchmark: Benchmark, table: Path) -> Iterator[Check]:
    digest = hashlib.sha256()
    with table.open("rb") as stream:
        while chunk := stream.read(HASHED_AT_ONCE):
            digest.update(chunk)
    yield Check("sha256 of the table", digest.hexdigest() == benchmark.card["sha256"], digest.hexdigest()[:12])


def _facts(benchmark: Benchmark) -> Iterator[Check]:
    facts = benchmark.card.get("facts", {})
    if (count := facts.get("architectures")) is not None:
        yield Check("architectures", len(benchmark) == count, f"{len(benchmark):,} (known: {count:,})")
    if (classes := facts.get("classes")) is not None:
        found = len(set(benchmark.key))
        yield Check("isomorphism classes", found == classes, f"{found:,} (known: {classes:,})")
    for metric, best in facts.get("best", {}).items():
        values = benchmark.target(metric)
        value = float(np.nanmin(values) if benchmark.direction(metric) == "min" else np.nanmax(values))
        # Known values are rounded: they hold to half of their last digit.
        digits = len(f"{best}".partition(".")[2])
        yield Check(f"best {metric}", abs(value - best) <= 0.5000001 * 10.0**-digits, f"{value:.{digits + 1}f} (known: {best})")
    for metric, count in facts.get("missing", {}).items():
        found = int(np.isnan(benchmark.target(metric)).sum())
        yield Check(f"not measured, {metric}", found == count, f"{found:,} (known: {count:,})")
    if facts.get("nb101_hashes"):
        yield _nb101_hashes(benchmark)


def _nb101_hashes(benchmark: Benchmark) -> Check:
    from archrank.datasets.nb101_cells import Cell

    wrong = []
    for row, count in enumerate(benchmark.mask.sum(1)):
        edges = tuple((int(u), int(v)) for u, v in np.argwhere(benchmark.adj[row]))
        if Cell(tuple(int(op) for op in benchmark.ops[row, :count]), edges).hash != benchmark.key[row]:
            wrong.append(str(benchmark.arch[row]))
    said = f"{len(benchmark) - len(wrong):,} of {len(benchmark):,} reproduced" + (f"; first wrong: {wrong[0]}" if wrong else "")
    return Check("official module hashes", not wrong, said)


def _graphs(benchmark: Benchmark) -> Iterator[Check]:
    """Inputs have no predecessor, outputs no successor, and (`build` has checked it) every edge goes forward."""
    for role, axis in (("input", 1), ("output", 2)):
        ops = [op for name, op in benchmark.space.roles.items() if name.startswith(role)]
        if not ops:
            continue
        ends = np.isin(benchmark.ops, ops) & benchmark.mask
        linked = (benchmark.adj.any(axis) & ends).any(1)
        some = ends.any(1)
        ok = bool(some.all() and not linked.any())
        where = "" if ok else f"; first wrong: {benchmark.arch[int(np.flatnonzero(linked | ~some)[0])]}"
        yield Check(f"{role} nodes", ok, f"in all {len(benchmark):,} graphs, with no edge {'into' if role == 'input' else 'out of'} them{where}"
                    if ok else f"missing or linked the wrong way{where}")
    nodes, edges = benchmark.mask.sum(1), benchmark.adj.sum((1, 2))
    bare = np.flatnonzero((nodes > 1) & (edges == 0))
    where = f"; {len(bare):,} of several nodes have none, first: {benchmark.arch[bare[0]]}" if len(bare) else ""
    yield Check("graphs", not len(bare), f"{nodes.min()} to {nodes.max()} nodes, {edges.min()} to {edges.max()} edges, all edges forward{where}")


def _scores(benchmark: Benchmark) -> Iterator[Check]:
    for metric in benchmark.targets:
        values, runs = benchmark.target(metric), benchmark.repeats(metric)
        known = values[~np.isnan(values)]
        if metric == benchmark.default_target:
            yield Check(f"scores {metric}", len(np.unique(known)) > 1, f"{len(known):,} measured, {known.min():.6g} to {known.max():.6g}")
        if runs is None:
            continue
        measured = ~np.isnan(runs).all(1)
        kept = runs[measured]
        # A score is the mean, the median or the least of its runs, as the card says.
        off = np.full(len(kept), np.inf)
        for centre in (np.nanmean, np.nanmedian, np.nanmin):
            off = np.minimum(off, np.abs(centre(kept, axis=1) - values[measured]))
        wrong = int((off > 1e-6 * np.maximum(1.0, np.abs(values[measured]))).sum())
        yield Check(f"{metric} against its runs", not wrong, f"{len(kept):,} rows, {wrong:,} differ")
