"""`archrank compare`: two encoders, paired, with intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archrank.cli.console import echo, emit, print_table
from archrank.cli.options import DEFAULT_STORE, Stores

if TYPE_CHECKING:
    import pandas as pd

    from archrank.eval.statistics import Comparison


def compare(
    a: Annotated[str, typer.Argument(help="Label of an encoder in the store, e.g. flowerformer.")],
    b: Annotated[str, typer.Argument(help="Label of another one.")],
    store: Stores = [DEFAULT_STORE],  # noqa: B006
    metric: Annotated[str, typer.Option("--metric", "-m", help="kendall, spearman, p@1%, regret@10, ...")] = "kendall",
    benchmark: Annotated[str | None, typer.Option("--benchmark", "-b", help="Only these, comma-separated.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Only these targets, comma-separated.")] = None,
    budgets: Annotated[str | None, typer.Option("--budgets", help="Only these, e.g. 78,390.")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="Needed where both ran under several.")] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="Needed where both ran under several.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a machine.")] = False,
) -> None:
    """Compare two encoders on the splits both have: paired difference with a 95 % interval, and whether it is
    significant."""
    from archrank.datasets.errors import ArchrankError, unknown
    from archrank.eval.metrics import METRICS
    from archrank.eval.statistics import ComparisonError, compare_each
    from archrank.eval.trials.results import as_frame, latest
    from archrank.reports.stores import read, scored
    from archrank.reports.words import replaced

    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    reading = read(store)
    records, older = latest(reading.records)
    choice = {"benchmark": benchmark, "target": target, "budget": budgets, "protocol": protocol, "recipe": recipe}
    chosen = set(_chosen(as_frame(records), a, b, choice, ", ".join(str(folder) for folder in store))["key"])
    frame = as_frame(scored([record for record in records if record.key in chosen], reading, metric))
    try:
        rows = compare_each(frame, a, b, metric)
        sentences, overall = _overall(frame, a, b, metric)
    except ComparisonError as error:
        raise ArchrankError(str(error)) from None
    under = {name: str(frame[name].iloc[0]) for name in ("protocol", "recipe")}
    if as_json:
        answer: dict[str, Any] = {"a": a, "b": b, "metric": metric, **under, "rows": [_plain(row) for row in rows]}
        answer |= {"overall": [_plain(comparison) for comparison in overall], "sentences": sentences, "replaced": older}
        emit(answer)
        return
    _print_table(frame, rows, under)
    for text in sentences + ([f"In the store, {replaced(older)}."] if older else []):
        echo(text)


def _chosen(frame: pd.DataFrame, a: str, b: str, choice: dict[str, str | None], where: str) -> pd.DataFrame:
    """The rows of both labels that the options leave, of one protocol and one recipe that both ran under."""
    from archrank.datasets.errors import ArchrankError, unknown

    if frame.empty:
        raise ArchrankError(f"no results in {where}; run some trials first (archrank run) or point --store at them")
    for label in (a, b):
        if label not in set(frame["label"]):
            raise unknown("encoder in the store", label, sorted(frame["label"].unique()))
    frame = frame[frame["label"].isin([a, b])]
    for column, text in choice.items():
        if text is None:
            continue
        names = {name.strip() for name in text.split(",")}
        present = frame[column].astype(str)
        for name in sorted(names - set(present)):
            raise unknown(f"{column} among the results of {a} and {b}", name, sorted(set(present)))
        frame = frame[present.isin(names)]
    ran = [set(map(tuple, frame.loc[frame["label"] == label, ["protocol", "recipe"]].to_numpy())) for label in (a, b)]
    both = sorted(ran[0] & ran[1])
    if not both:
        raise ArchrankError(
            f"{a} and {b} share no protocol and recipe: {a} has {_listed(ran[0])}; {b} has {_listed(ran[1])}"
        )
    if len(both) > 1:
        raise ArchrankError(f"{a} and {b} both ran under {_listed(both)}: choose one with --protocol and --recipe")
    return frame[(frame["protocol"] == both[0][0]) & (frame["recipe"] == both[0][1])]


def _listed(pairs: Any) -> str:
    return ", ".join(f"{protocol}/{recipe}" for protocol, recipe in sorted(pairs)) or "nothing"


def _overall(frame: pd.DataFrame, a: str, b: str, metric: str) -> tuple[list[str], list[Comparison]]:
    """One sentence over everything; for several spaces a second one for these spaces only.

    A metric in the unit of its target has no mean over targets: then there is a sentence per benchmark.
    """
    from archrank.eval.metrics import METRICS
    from archrank.eval.statistics import compare as compare_all
    from archrank.eval.statistics import compare_each, coverage, sentence

    covered = coverage(frame, metric, [a, b])
    if METRICS[metric].unit == "target" and len(covered.common[["benchmark", "target"]].drop_duplicates()) > 1:
        comparisons = compare_each(frame, a, b, metric, by=("benchmark", "target"))
    else:
        comparisons = [compare_all(frame, a, b, metric)]
        if len(comparisons[0].spaces) > 1:
            comparisons.append(compare_all(frame, a, b, metric, scope="splits"))
    missing = [covered.sentence()] if covered.shared < covered.expected else []
    return [sentence(comparison) for comparison in comparisons] + missing, comparisons


def _plain(row: Comparison) -> dict[str, Any]:
    """A comparison as JSON values; what is undefined is null."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    difference = row.difference
    return {
        "benchmarks": row.benchmarks,
        "budgets": row.budgets,
        "difference": number(difference.estimate),
        "low": number(difference.low),
        "high": number(difference.high),
        "kind": difference.kind,
        "units": row.units,
        "settings": row.settings,
        "p": number(row.p),
        "p_holm": number(row.p_adjusted),
        "win_rate": number(row.win_rate),
        "winner": row.winner,
    }


def _print_table(frame: pd.DataFrame, rows: list[Comparison], under: dict[str, str]) -> None:
    """One line per benchmark and label budget: both means, the paired difference, how many splits, which is
    significantly better."""
    from archrank.eval.metrics import METRICS
    from archrank.eval.statistics import rounded, values

    a, b, metric = rows[0].a, rows[0].b, rows[0].metric
    means = values(frame, metric, [a, b], common=True)
    shown = means.assign(task=means["benchmark"] + "/" + means["target"]).set_index(["task", "budget", "label"])["mean"]
    right: dict[str, Any] = {"justify": "right"}
    lines = []
    for row in rows:
        at = (row.benchmarks[0], row.budgets[0])
        own = [f"{shown[(*at, label)]:.3f}" for label in (a, b)]
        conclusion = f"{row.winner} significantly better" if row.winner else "no significant difference"
        lines.append((at[0], str(at[1]), *own, rounded(row.difference, signed=True), str(row.units), conclusion))
    print_table(
        f"{a} - {b}: {METRICS[metric].description} {METRICS[metric].arrow}, protocol {under['protocol']}, recipe {under['recipe']}",
        [("benchmark", {}), *((name, right) for name in ("labels", a, b, "difference", "splits")), ("test", {})],
        lines,
        f"95 % intervals of paired differences; paired tests at 5 % after Holm's correction for {len(rows)} comparison{'' if len(rows) == 1 else 's'}",
    )
