"""The project's own limits on speed and memory beside what `archrank bench` measured: ``python tools/bench_limits.py
FOLDER ...``.

"At its bound" is the ratio if the ensemble took no longer than its roofline bound, so no way of doing the same
arithmetic gives more. Exit code 1 if a limit is not met.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archrank.eval.bench.results import Sample, read_all
from archrank.eval.bench.summary import Spread, clock, distinct, growth, ratios, roofline_seconds, select, spread


@dataclass(frozen=True)
class Limit:
    """What is limited, the limit in words, what was measured, and whether it was met."""

    what: str
    limit: str
    measured: str
    met: bool


def _ratio(ratio: Spread) -> str:
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _seconds(value: float) -> str:
    return f"{value:.3g} s"


def _megabytes(value: float) -> str:
    return f"{value / 2**20:,.0f} MB"


def limits(samples: Sequence[Sample]) -> list[Limit]:
    """Every limit that the samples say something about.

    Args:
        samples: what `archrank bench` wrote (`archrank.eval.bench.results.read_all`).
    """
    rows: list[Limit] = []

    def row(what: str, limit: str, measured: str, met: bool) -> None:
        rows.append(Limit(what, limit, measured, met))

    for case in distinct(select(samples, part="encoders"), lambda s: str(s["case"])):
        of = select(samples, part="encoders", case=case)
        base, cost = case.split("[")[0].split(" on ")[0], clock(of)
        gpu, graph_network = cost == "wall", base in ("gcn", "gin", "gated_gcn")
        bounds = [max(roofline_seconds(bound, "step")) for bound in select(of, what="roofline")]
        for way, said in (("ensemble", "ensemble"), ("compiled", "compiled ensemble")):
            conventional = ratios(select(of, what="train"), "torch-geometric", way, cost)
            if conventional and (graph_network or base == "flowerformer") and not (gpu and graph_network):
                least = 10 if graph_network else 100 if gpu else 3
                capped = spread(
                    s[cost] / bound for s in select(of, what="train", variant="torch-geometric") for bound in bounds
                )
                row(
                    f"{case}: torch-geometric loop over {said}, {cost} per step and member",
                    f"at least {least}",
                    _ratio(conventional) + (f"; at its bound {capped.median:.1f}" if capped else ""),
                    conventional.median >= least,
                )
            trained = spread(s[cost] for s in select(of, what="train", variant=way))
            for bound in bounds:
                if base == "flowerformer" and trained and not gpu:
                    row(
                        f"{case}: {said} over its bound",
                        "at most 3",
                        f"{trained.median / bound:.1f}",
                        trained.median / bound <= 3,
                    )
        alone = ratios(select(of, what="train"), "alone", "ensemble", cost)
        if alone and not graph_network:
            row(
                f"{case}: alone over ensemble, {cost} per step and member",
                f"at least {5 if gpu else 1}",
                _ratio(alone),
                alone.median >= (5 if gpu else 1),
            )
    whole = [
        s
        for s in select(samples, part="growth-space", what="size", size=423_624, repeat=0)
        if s["case"].startswith("flowerformer")
    ]
    # The bar is for all cores, so one thread counts only where nothing else was measured.
    for sample in [s for s in whole if "threads" in s["case"]] or whole:
        most = 180 if clock([sample]) == "cpu" else 3
        row(
            f"{sample['case']} predicts 423,624 cells: wall",
            f"under {most} s",
            _seconds(sample["wall"]),
            sample["wall"] < most,
        )
        row(
            f"{sample['case']} predicts 423,624 cells: peak memory",
            "under 2 GB",
            _megabytes(sample["peak"]),
            sample["peak"] < 2e9,
        )
    for part in ("members", "budget", "epochs", "space"):
        of = select(samples, part=f"growth-{part}")
        for case in distinct(of, lambda s: str(s["case"])):
            sizes = sorted({s["size"] for s in select(of, case=case, what="size")})
            costs = [spread(s[clock(of)] for s in select(of, case=case, what="size", size=size)) for size in sizes]
            if fitted := growth(sizes, [c.median for c in costs if c]):
                row(
                    f"growth with {part}, {case}: exponent",
                    "at most 1 (to 0.05)",
                    f"{fitted.exponent:.2f}",
                    fitted.exponent <= 1.05,
                )
    if wall := spread(s["wall"] for s in select(samples, part="plan", what="timed")):
        row(
            "`archrank plan` of 10,000 trials, start to exit",
            "under 2 s",
            f"{wall.median:.2f} s ({wall.low:.2f} to {wall.high:.2f})",
            wall.median < 2,
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every limit; 1 if one is not met."""
    parser = argparse.ArgumentParser(prog="python tools/bench_limits.py", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders that `archrank bench` wrote")
    checked = limits(read_all(parser.parse_args(arguments).folders))
    for limit in checked:
        sys.stdout.write(f"{'met ' if limit.met else 'MISS'}  {limit.what}: {limit.limit}; measured {limit.measured}\n")
    return 0 if all(limit.met for limit in checked) else 1


if __name__ == "__main__":
    sys.exit(main())
