"""Custom benchmarks: graphs and scores become a frame and a card, as `write_benchmark` takes them.

Every problem is named with the row it stands in, several at once, so that a table is mended in one go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from archrank.datasets.benchmark import Benchmark, build, write_benchmark
from archrank.datasets.columns import check_padded
from archrank.datasets.custom import edge_operations
from archrank.datasets.custom.graph import CustomGraph, Problems, as_list, as_value
from archrank.datasets.custom.libraries import GraphReading, as_graph
from archrank.datasets.custom.options import TableOptions
from archrank.datasets.custom.ordering import OrderedGraph, ordered
from archrank.datasets.custom.raw import RawTable
from archrank.datasets.custom.roles import class_keys, leak_warning, op_roles
from archrank.datasets.custom.runs import averaged
from archrank.datasets.custom.scores import Scores, score_table
from archrank.datasets.errors import DataError, warn
from archrank.datasets.importers.common import flat

# Padded adjacency of a table that is made here, in bytes.
PADDED_LIMIT = 1 << 30


def from_graphs(
    graphs: Sequence[Any],
    scores: Mapping[str, Sequence[float]] | pd.DataFrame | Sequence[float],
    *,
    name: str = "own",
    title: str | None = None,
    space: str | None = None,
    ops: Sequence[str] | None = None,
    arch: Sequence[str] | None = None,
    roles: Mapping[str, str] | None = None,
    minimize: Collection[str] | None = None,
    units: Mapping[str, str] | None = None,
    default_target: str | None = None,
    op_attribute: str = "op",
    op_on: Literal["node", "edge"] | None = None,
    node_attributes: Collection[str] | None = None,
    average: bool = False,
    save_to: Path | str | None = None,
) -> Benchmark:
    """A benchmark from N graphs and their scores.

    graphs: directed acyclic graphs, each a `networkx.DiGraph` (node attribute `op`, optionally `cell`), a
        `torch_geometric.data.Data` (`x`: op ids [n] or [n, 1], or one-hot [n, ops]; `edge_index`), a `dgl.DGLGraph`
        (`ndata["op"]`), or a pair (ops, edges). Ops are names, or ids into `ops`. Nodes may come in any order; they are
        put into a topological one.
    scores: metric -> N numbers (NaN = not measured), a data frame, or N numbers (then the metric is called `score`).
    arch: N names (default: `0`, `1`, ...).
    op_attribute: name of the attribute that holds operations. op_on: whether they stand on nodes or on edges, where
        both have some; those of edges become nodes (see `archrank.datasets.custom.edge_operations`).
    node_attributes: the numeric node attributes to hold (default: all; what is no number at every node is refused).
    average: rows with equal graphs (and names) are repeated measurements: their scores are averaged, and the single
        ones kept as the noise of the table.
    save_to: a folder to write `<name>.parquet` and `<name>.json` into, from then on a benchmark known by its name
    there.
    name, title, space, ops, roles, minimize, units, default_target: see `TableOptions`.

    Raises DataError that names each problem with its row. Warns (`ArchrankWarning`) where architectures that compute
    the same may be told apart, scores look like markers, or operations were moved.
    """
    options = TableOptions(name, title, space, ops, roles, minimize, units, default_target)
    reading = GraphReading(op_attribute, op_on, None if node_attributes is None else tuple(node_attributes))
    raw = RawTable(
        [_read(graph, reading) for graph in graphs],
        score_table(scores, name),
        [f"row {row}" for row in range(len(graphs))],
        name,
        None if arch is None else [str(as_value(arch_name)) for arch_name in as_list(arch)],
    )
    frame, card = describe(averaged(raw) if average else raw, options)
    for note in card["facts"]["notes"]:
        warn(f"{name}: {note}")
    if save_to is not None:
        write_benchmark(Path(save_to), frame, card)
    return build(frame, card)


def _read(graph: Any, reading: GraphReading) -> CustomGraph:
    try:
        converted = as_graph(graph, reading)
        return converted if converted.edge_ops is None else edge_operations.on_nodes(converted)
    except DataError as error:
        return CustomGraph(problem=str(error))


def describe(raw: RawTable, options: TableOptions) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of a custom benchmark, as `write_benchmark` takes them. DataError names every problem with its
    row."""
    options.check()
    problems = Problems(raw.where)
    if not raw.graphs:
        raise DataError(f"{raw.where}: holds no architecture")
    vocabulary = _vocabulary(raw, options)
    roles = op_roles(vocabulary, options.roles, raw.where)
    graphs = _ordered(raw, vocabulary, roles, problems)
    names = _names(raw, problems)
    scores = Scores.of(raw.scores, raw.repeats, raw.rows, options, raw.where, problems)
    problems.check()
    scores.check(raw.where)
    attrs = _attributes(graphs, raw)
    check_padded(len(graphs), max(len(graph.ops) for graph in graphs), raw.where, PADDED_LIMIT)
    keys, rule = class_keys(graphs, roles, attrs)
    cells = 1 + max(max(graph.cell) for graph in graphs)
    frame = pd.DataFrame(
        {
            "arch": names,
            "ops": [graph.ops for graph in graphs],
            "edges": [flat(graph.edges) for graph in graphs],
            "key": keys,
            **({"cell": [graph.cell for graph in graphs]} if cells > 1 else {}),
            **(
                {
                    "attrs": [
                        [value for node in zip(*(graph.attrs[name] for name in attrs)) for value in node]
                        for graph in graphs
                    ]
                }
                if attrs
                else {}
            ),
            **scores.columns,
        }
    )
    notes = [edge_operations.NOTE] * any(graph.moved for graph in raw.graphs) + [
        *raw.notes,
        leak_warning(vocabulary, roles, options.roles is not None),
        *scores.markers(),
        *scores.gaps(),
    ]
    space: dict[str, Any] = {
        "name": options.space or options.name,
        "ops": list(vocabulary),
        "cells": cells,
        "roles": roles,
        "max_nodes": max(len(graph.ops) for graph in graphs),
    }
    card = {
        "name": options.name,
        "title": options.title or options.name,
        "space": space | ({"attrs": attrs} if attrs else {}),
        "metrics": scores.cards(),
        "default_target": scores.target,
        "source": options.source,
        "licence": "",
        "citation": "",
        "facts": {
            "architectures": len(names),
            "classes": len(set(keys)),
            **({"missing": missing} if (missing := scores.missing()) else {}),
            "key_rule": rule,
            "left_out": dict(raw.left_out),
            "notes": [note for note in notes if note],
        },
    }
    return frame, card


def _vocabulary(raw: RawTable, options: TableOptions) -> tuple[str, ...]:
    """The operations in the order of their ids; `input` and `output` behind them where operations stood on edges."""
    used = {op for graph in raw.graphs for op in graph.ops}
    if options.ops is None:
        if not all(isinstance(op, str) for op in used):
            raise DataError(
                f"{raw.where}: the graphs hold op ids; name the operations in the order of their ids (ops=[...], --ops a,b,c)"
            )
        return tuple(sorted(map(str, used)))
    if len(set(options.ops)) < len(options.ops):
        raise DataError(f"{raw.where}: the list of ops names one twice")
    ends = [op for op in (edge_operations.INPUT, edge_operations.OUTPUT) if op in used and op not in options.ops]
    return (*map(str, options.ops), *(ends if any(graph.moved for graph in raw.graphs) else ()))


def _names(raw: RawTable, problems: Problems) -> list[str]:
    """One name per architecture; a problem where one is empty or comes twice."""
    names = [str(row) for row in range(len(raw.graphs))] if raw.arch is None else [str(name) for name in raw.arch]
    if len(names) != len(raw.graphs):
        raise DataError(f"{raw.where}: {len(names)} architecture names for {len(raw.graphs)} graphs")
    first: dict[str, str] = {}
    for name, row in zip(names, raw.rows):
        if not name.strip():
            problems.add(row, "the name of the architecture is empty")
        elif name in first:
            problems.add(
                row,
                f"repeats architecture '{name[:60]}' of {first[name]}; rows of several trainings are averaged where their graphs are "
                "equal and a column such as 'seed' or 'run' tells them apart, or on request (--average)",
            )
        first.setdefault(name, row)
    return names


def _ordered(raw: RawTable, ops: Sequence[str], roles: Mapping[str, int], problems: Problems) -> list[OrderedGraph]:
    in_order = []
    for graph, row in zip(raw.graphs, raw.rows):
        try:
            in_order.append(ordered(graph, ops, roles))
        except DataError as error:
            problems.add(row, str(error))
    return in_order


def _attributes(graphs: Sequence[OrderedGraph], raw: RawTable) -> list[str]:
    """Names of the node attributes, which all graphs must share."""
    names = sorted(graphs[0].attrs)
    for graph, row in zip(graphs, raw.rows):
        if differing := sorted(set(names) ^ set(graph.attrs)):
            raise DataError(
                f"{raw.where}: {row}: node attribute '{differing[0]}' is not in every graph; give it everywhere, or name those to hold "
                "(node_attributes=[...])"
            )
    return names
