"""Section 7: embedding visualisation - encodings in the plane, coloured by score."""

from __future__ import annotations

import math

from archrank.datasets import Benchmark
from archrank.reports.blocks import Block, Cell, Choice, Column, Details, Figure, Panel, Section, Table, Text
from archrank.reports.encodings import MOST_POINTS, encoded, principal, smoothness, tsne
from archrank.reports.figures import cost_map as fig_cost_map
from archrank.reports.sections import section
from archrank.reports.study import Group, Study, task_name
from archrank.reports.words import missing_cell

__all__ = ["embeddings"]

MOST_LABELS = 8
MOST_TASKS = 6
MOST_TSNE = 6
"""Of all tasks together, but one for each at least: a t-SNE costs as much as five other figures."""


@section("embeddings", order=70)
def embeddings(study: Study) -> Section:
    """Principal components of every encoder, t-SNE of the first few, and the smoothness number."""
    blocks: list[Block] = [
        Text(
            (
                "Each dot is a test architecture, placed by what the encoder makes of it and coloured by its true score, from low "
                "(violet) to high (orange) in sevenths. Smoothness is Spearman's correlation, over all pairs of dots, between the "
                "distance of two encodings and the difference of their scores.",
            ),
            "note",
        )
    ]
    options: list[tuple[str, tuple[Block, ...]]] = []
    drawn = 0
    for group in [g for g in study.groups if g.views][:1]:
        tasks = group.tasks[:MOST_TASKS]
        most_tsne = min(4, max(1, MOST_TSNE // len(tasks)))
        for number, (benchmark, target) in enumerate(tasks):
            table = study.table(benchmark)
            if isinstance(table, str):
                options.append((task_name(benchmark, target), (Text((table,), "note"),)))
                continue
            more = _task(study, group, table, benchmark, target, number, most_tsne)
            drawn += bool(more)
            if more:
                options.append((task_name(benchmark, target), tuple(more)))
    if not drawn:
        blocks = [
            Text(
                ("The stores hold no encodings that can be drawn here (they are kept for the first seed of a run).",),
                "note",
            ),
        ]
    if options:
        blocks.append(Choice("embeddings-by-benchmark", "Benchmark", tuple(options)))
    return Section("embeddings", "Embedding visualisation", blocks, "Embeddings")


def _task(
    study: Study, group: Group, table: Benchmark, benchmark: str, target: str, number: int, most_tsne: int
) -> list[Block]:
    rows = group.task(benchmark, target)
    budget = int(rows["budget"].max())
    order = group.views[0].order
    points = encoded(
        study, table, rows[rows["budget"] == budget], order[:MOST_LABELS], study.tested(group, benchmark, target)
    )
    if not points:
        return []
    name = task_name(benchmark, target)
    flat: list[Panel] = []
    curved: list[Panel] = []
    lines = []
    for i, e in enumerate(points):
        number_shown = smoothness(e)
        shown = e.encoding[:MOST_POINTS]
        place, held = principal(shown)
        note = f"ρ {number_shown:.2f}" if math.isfinite(number_shown) else "ρ –"
        svg = fig_cost_map.encoding_map(place, e.score[:MOST_POINTS], e.label, study.palette, note)
        flat.append(Panel(f"pca-{number}-{i}", svg, f"Principal components of {e.label}, smoothness {note}"))
        if len(curved) < most_tsne and held > 0 and shown.shape[1] > 1:
            svg = fig_cost_map.encoding_map(tsne(shown), e.score[:MOST_POINTS], e.label, study.palette, "t-SNE")
            curved.append(Panel(f"tsne-{number}-{i}", svg, f"t-SNE of {e.label}"))
        lines.append(
            {
                "label": Cell(e.label, label=e.label),
                "dim": Cell(str(e.encoding.shape[1]), float(e.encoding.shape[1])),
                "smooth": Cell(f"{number_shown:.2f}", number_shown) if math.isfinite(number_shown) else missing_cell(),
                "held": Cell(f"{100 * held:.0f} %", held),
                "n": Cell(str(len(e.index)), float(len(e.index))),
            }
        )
    columns = (
        Column("label", "predictor", "", False),
        Column("smooth", "smoothness ρ", "up"),
        Column("dim", "dimensions"),
        Column("held", "variance in the plane"),
        Column("n", "architectures"),
    )
    first = f" (the first {MOST_LABELS} predictors of {len(order)})" if len(order) > MOST_LABELS else ""
    blocks: list[Block] = [
        Figure(
            f"pca-{number}",
            f"Principal components of the encodings on {name} after {budget} labels, first seed, with their smoothness ρ{first}.",
            tuple(flat),
            190,
        ),
    ]
    folded: list[Block] = []
    if curved:
        folded.append(
            Figure(
                f"tsne-{number}",
                f"The same encodings by t-SNE ({name}). Distances between far clusters mean nothing here.",
                tuple(curved),
                190,
            )
        )
    folded.append(
        Table(
            f"smooth-{number}",
            f"Smoothness of the encodings on {name} (one trial each, so no interval).",
            columns,
            tuple(lines),
            sortable=True,
            compact=True,
        )
    )
    return [*blocks, Details("Smoothness as a table, and the same encodings by t-SNE", tuple(folded))]
