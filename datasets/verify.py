"""Does a benchmark's table say what is known of it? Counts, best scores, isomorphism classes, official hashes and graph
facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archrank.datasets.benchmark import Benchmark, content_of, read_benchmark
from archrank.datasets.io.pair import read_table
from archrank.datasets.markers import marker


@dataclass(frozen=True)
class Check:
    """One fact: what was looked at, whether it holds, and what was found."""

    what: str
    ok: bool
    found: str


def verify(card: Path) -> list[Check]:
    """Check the table beside a card against the card. Raises DataError if it cannot be read at all."""
    benchmark = read_benchmark(card, checked=False)
    return [*_digests(benchmark, card), *_facts(benchmark), *_graphs(benchmark), *_scores(benchmark)]


def departures(benchmark: Benchmark) -> list[str]:
    """What is known of an official table and does not hold of this one, each in a few words."""
    return [f"{check.what} {check.found}" for check in _facts(benchmark) if not check.ok]


def _digests(benchmark: Benchmark, card: Path) -> Iterator[Check]:
    _, same = read_table(card, benchmark.card.sha256)
    yield Check(
        "sha256 of the table",
        same,
        benchmark.card.sha256[:12] if same else f"another than the card's {benchmark.card.sha256[:12]}",
    )
    if benchmark.card.content:
        digest = content_of(benchmark)
        yield Check("digest of what it holds", digest == benchmark.card.content, digest[:12])


def _facts(benchmark: Benchmark) -> Iterator[Check]:
    facts = benchmark.card.facts
    if (count := facts.architectures) is not None:
        yield Check("architectures", len(benchmark) == count, f"{len(benchmark):,} (known: {count:,})")
    if (classes := facts.classes) is not None:
        counted, rule = len(set(benchmark.key)), f", by {facts.key_rule}" if facts.key_rule else ""
        yield Check("isomorphism classes", counted == classes, f"{counted:,} (known: {classes:,}{rule})")
    for metric, best in facts.best.items():
        values = benchmark.target(metric)
        value = float(np.nanmin(values) if benchmark.direction(metric) == "min" else np.nanmax(values))
        # Known values are rounded: they hold to half of their last digit.
        digits = len(f"{best}".partition(".")[2])
        yield Check(
            f"best {metric}", abs(value - best) <= 0.5000001 * 10.0**-digits, f"{value:.{digits + 1}f} (known: {best})"
        )
    for metric, count in facts.missing.items():
        counted = int(np.isnan(benchmark.target(metric)).sum())
        yield Check(f"not measured, {metric}", counted == count, f"{counted:,} (known: {count:,})")
    if facts.nb101_hashes:
        yield _nb101_hashes(benchmark)


def _nb101_hashes(benchmark: Benchmark) -> Check:
    from archrank.datasets.nb101_cells import NB101Cell

    wrong = []
    for row, count in enumerate(benchmark.mask.sum(1)):
        edges = tuple((int(u), int(v)) for u, v in np.argwhere(benchmark.adj[row]))
        if NB101Cell(tuple(int(op) for op in benchmark.ops[row, :count]), edges).hash != benchmark.key[row]:
            wrong.append(str(benchmark.arch[row]))
    said = f"{len(benchmark) - len(wrong):,} of {len(benchmark):,} reproduced" + (
        f"; first wrong: {wrong[0]}" if wrong else ""
    )
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
        yield Check(
            f"{role} nodes",
            ok,
            f"in all {len(benchmark):,} graphs, with no edge {'into' if role == 'input' else 'out of'} them{where}"
            if ok
            else f"missing or linked the wrong way{where}",
        )
    nodes, edges = benchmark.mask.sum(1), benchmark.adj.sum((1, 2))
    bare = np.flatnonzero((nodes > 1) & (edges == 0))
    where = f"; {len(bare):,} of several nodes have none, first: {benchmark.arch[bare[0]]}" if len(bare) else ""
    yield Check(
        "graphs",
        not len(bare),
        f"{nodes.min()} to {nodes.max()} nodes, {edges.min()} to {edges.max()} edges, all edges forward{where}",
    )


def _scores(benchmark: Benchmark) -> Iterator[Check]:
    for metric in benchmark.targets:
        values, runs = benchmark.target(metric), benchmark.repeats(metric)
        known = values[~np.isnan(values)]
        if metric == benchmark.default_target:
            marks = f"; {sign}" if (sign := marker(known)) else ""
            yield Check(
                f"scores {metric}",
                len(np.unique(known)) > 1,
                f"{len(known):,} measured, {known.min():.6g} to {known.max():.6g}{marks}",
            )
        if runs is None:
            continue
        measured = ~np.isnan(runs).all(1)
        repeated = runs[measured]
        # A score is the mean, the median or the least of its runs, as the card says.
        off = np.full(len(repeated), np.inf)
        for centre in (np.nanmean, np.nanmedian, np.nanmin):
            off = np.minimum(off, np.abs(centre(repeated, axis=1) - values[measured]))
        wrong = int((off > 1e-6 * np.maximum(1.0, np.abs(values[measured]))).sum())
        yield Check(f"{metric} against its runs", not wrong, f"{len(repeated):,} rows, {wrong:,} differ")
