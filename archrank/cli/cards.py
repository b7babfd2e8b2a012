"""Cards of benchmarks as lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archrank.datasets.card import Card


def imported(card: Card, path: Path) -> list[str]:
    """What was imported: metrics, search space, classes, what was left out, and what else should be known."""
    facts, target = card.facts, card.default_target
    size = f"{facts.architectures:,} architectures, " if facts.architectures is not None else ""
    named = [
        f"{name} ({metric.direction}{', the target' if name == target else ''})"
        for name, metric in card.metrics.items()
    ]
    lines = [f"imported as {card.name}: {size}metrics {', '.join(named[:6])}{', ...' if len(named) > 6 else ''}"]
    lines += [f"not the official table of {card.name}: {', '.join(facts.departs)}"] * bool(facts.departs)
    if facts.key_rule:
        lines.append(f"search space {card.space.name}; {facts.classes:,} isomorphism classes, by {facts.key_rule}")
    lines += [f"left out: column '{column}' ({why})" for column, why in facts.left_out.items()]
    lines += [f"note: {note}" for note in facts.notes]
    return [*lines, str(path.with_suffix(".parquet"))]


def described(card: Card, path: Path) -> Iterator[str]:
    """The card of a benchmark: where it comes from, its metrics, and what is known of it."""
    space, facts = card.space, card.facts
    yield f"{card.title} ({card.name})"
    for label, text in (
        ("source", card.source),
        ("licence", card.licence),
        ("citation", card.citation),
        ("table", path.with_suffix(".parquet")),
        ("sha256", card.sha256),
    ):
        if text:
            yield f"  {label:<9} {text}"
    yield (
        f"  {'space':<9} {space.name}: {len(space.ops)} operations, up to {space.max_nodes} nodes, {space.cells} "
        f"cell{'s' if space.cells > 1 else ''}" + (f", attributes {', '.join(space.attrs)}" if space.attrs else "")
    )
    for fact, value in facts.model_dump(exclude_unset=True).items():
        if value not in ({}, [], ""):
            yield f"  {fact:<14} {json.dumps(value, ensure_ascii=False)}"
    for fact, text in _measured(card.as_dict()):
        yield f"  {fact:<14} {text}"
    yield "  metrics"
    width = max(map(len, card.metrics))
    for metric, said in card.metrics.items():
        mark = "*" if metric == card.default_target else " "
        runs = f", {len(said.repeats)} runs" if said.repeats else ""
        unit = f"[{said.unit}] " if said.unit else ""
        yield f"  {mark} {metric:<{width}}  {said.direction}  {unit}{said.description}{runs}"


def _measured(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the builder measured of a table it made: (fact, text), for the default target."""
    target = card["default_target"]
    if "reliability" not in card:
        return
    cells, share = card["cells"], card.get("distinct", {}).get(target)
    yield (
        "trained",
        f"{cells['trained']:,} of {cells['planned']:,} cells, {len(cells['failed'])} failed, {card['made']['core_seconds']:,} core-seconds",
    )
    yield (
        "reliability",
        f"tau {card['reliability'][target]} between the mean {target} of two disjoint halves of the seeds",
    )
    yield "noise ceiling", f"tau {card['noise_ceiling'][target]} between one seed and the mean of the others"
    if share is not None:
        yield "distinct means", f"{100 * share:.1f} % of the cells"
    yield "quantiles", ", ".join(f"{at}: {value}" for at, value in card["quantiles"].items())
    yield "naive tau", ", ".join(f"{what} {tau}" for what, tau in card["baselines"]["kendall_tau"].items())
