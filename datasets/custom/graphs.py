"""Bring your own benchmark: graphs of common libraries, or rows of a table, become a benchmark like any other.

Every problem is named with the row it stands in, several at once, so that a table is mended in one go.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets.benchmark import STRUCTURE, Benchmark, build, write_benchmark
from archrank.datasets.errors import DataError
from archrank.datasets.importers.common import flat, graph_keys
from archrank.datasets.io.bounded import shown

SHOWN = 8
LARGEST_NUMBER = 1 << 31
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# Operation names that have a meaning of their own, when no roles are given.
_ROLE_NAMES = {
    "input": ("input", "in", "x"),
    "output": ("output", "out", "y"),
    "none": ("none", "zero", "zeroize"),
    "skip": ("skip", "skip_connect", "identity", "skip_connection"),
}
# Direction a metric has when none is given and its name says so.
_SMALLER_IS_BETTER = re.compile(r"latency|loss|error|energy|param|flops|seconds|runtime|perplexity|memory|"
                                r"(?<![a-z])(time|cost|macs|err|mse|rmse|mae|nll|ppl|wer)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Node:
    """One graph as it was given: operation of each node (name or id), edges between positions, cell of each node; or why it cannot be read."""

    ops: list[Hashable]
    edges: list[tuple[int, int]]
    cell: list[int] | None = None
    problem: str = ""


class Problems:
    """What is wrong, row by row; raised together as one line."""

    def __init__(self, where: str) -> None:
        self.where, self.found = where, list[str]()

    def add(self, row: str, what: str) -> None:
        """Note a problem of a row."""
        self.found.append(f"{row}: {what}")

    def check(self) -> None:
        """DataError with the first problems, if there are any."""
        if self.found:
            more = f"; and {len(self.found) - SHOWN} more" if len(self.found) > SHOWN else ""
            raise DataError(f"{self.where}: " + "; ".join(self.found[:SHOWN]) + more)


def from_graphs(
    graphs: Sequence[Any],
    scores: Mapping[str, Sequence[float]] | pd.DataFrame | Sequence[float],
    *,
    name: str = "own",
    title: str | None = None,
    ops: Sequence[str] | None = None,
    arch: Sequence[str] | None = None,
    roles: Mapping[str, str] | None = None,
    minimize: Collection[str] | None = None,
    units: Mapping[str, str] | None = None,
    default_target: str | None = None,
    op_attribute: str = "op",
    save_to: Path | str | None = None,
) -> Benchmark:
    """A benchmark from N graphs and their scores.

    graphs: directed acyclic graphs, each a `networkx.DiGraph` (node attribute `op`, optionally `cell`), a `torch_geometric.data.Data`
        (`x`: op ids [n] or [n, 1], or one-hot [n, ops]; `edge_index`), a `dgl.DGLGraph` (`ndata["op"]`), or a pair (ops, edges). Ops are
        names, or ids into `ops`. Nodes may come in any order; they are put into a topological one.
    scores: metric -> N numbers (NaN = not measured), a data frame, or N numbers (then the metric is called `score`).
    ops: the vocabulary in the order of its ids; needed where graphs hold ids, otherwise what occurs, sorted.
    arch: N names (default: `0`, `1`, ...). roles: role (`input`, `output`, `none`, `skip`) -> op name; guessed from usual names.
    minimize: metrics where less is better (default: those whose name says so, such as latency or loss).
    default_target: the metric predicted when none is named (default: the first). op_attribute: name of the node attribute.
    save_to: a folder to write `<name>.parquet` and `<name>.json` into, from then on a benchmark known by its name there.

    Raises DataError that names each problem with its row.
    """
    nodes = []
    for graph in graphs:
        try:
            nodes.append(_node(graph, op_attribute))
        except DataError as error:
            nodes.append(Node([], [], problem=str(error)))
    table = scores if isinstance(scores, pd.DataFrame) else pd.DataFrame(
        {metric: list(values) for metric, values in scores.items()} if isinstance(scores, Mapping) else {"score": list(scores)})
    frame, card = describe(nodes, table, [f"row {row}" for row in range(len(nodes))], name=name, title=title, ops=ops, arch=arch,
                           roles=roles, minimize=minimize, units=units, default_target=default_target)
    if save_to is not None:
        write_benchmark(Path(save_to), frame, card)
    return build(frame, card)


def describe(
    nodes: Sequence[Node],
    scores: pd.DataFrame,
    rows: Sequence[str],
    *,
    name: str,
    where: str | None = None,
    title: str | None = None,
    ops: Sequence[str] | None = None,
    arch: Sequence[str] | None = None,
    roles: Mapping[str, str] | None = None,
    minimize: Collection[str] | None = None,
    units: Mapping[str, str] | None = None,
    default_target: str | None = None,
    source: str = "your own table",
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and card of a table of one's own, as `write_benchmark` takes them. rows: what each row is called in an error."""
    where = where or name
    _check_name(name)
    if not len(nodes):
        raise DataError(f"{where}: holds no architecture")
    if not len(scores.columns):
        raise DataError(f"{where}: has no metric; add a column of scores")
    if len(twice := scores.columns[scores.columns.duplicated()]):
        raise DataError(f"{where}: metric '{twice[0]}' comes twice; name it once")
    if len(scores) != len(nodes):
        raise DataError(f"{where}: {len(nodes)} graphs but {len(scores)} rows of scores; give one row each")
    problems = Problems(where)
    vocabulary = _vocabulary(nodes, ops, where)
    place = {op: number for number, op in enumerate(vocabulary)}
    known_roles = _roles(vocabulary, roles, where)
    ready = [node for given, row in zip(nodes, rows) if (node := _sorted(given, place, row, problems, known_roles)) is not None]
    measured = {str(metric): _column(scores[metric], rows, str(metric), problems) for metric in scores.columns}
    names = list(map(str, arch)) if arch is not None else [str(row) for row in range(len(nodes))]
    _check_names(names, rows, problems, len(nodes))
    problems.check()
    target = default_target or next(iter(measured))
    if target not in measured:
        raise DataError(f"{where}: there is no metric '{target}'; known: {', '.join(measured)}")
    if unknown := sorted(set(units or {}) - measured.keys()):
        raise DataError(f"{where}: 'units' names '{unknown[0]}', which is no metric; known: {', '.join(measured)}")
    for metric, values in measured.items():
        known = values[np.isfinite(values)]
        if metric == target and (len(known) < 2 or (known == known[0]).all()):
            raise DataError(f"{where}: metric '{metric}' is the same for every architecture; there is nothing to rank")
        if metric in STRUCTURE:
            raise DataError(f"{where}: a metric cannot be called '{metric}'; that column describes the graphs")
    less = set(minimize) if minimize is not None else {metric for metric in measured if _SMALLER_IS_BETTER.search(metric)}
    if unknown := sorted(less - measured.keys()):
        raise DataError(f"{where}: 'minimize' names '{unknown[0]}', which is no metric; known: {', '.join(measured)}")
    cells = 1 + max((max(node.cell) for node in ready if node.cell), default=0)
    frame = pd.DataFrame({
        "arch": names,
        "ops": [list(node.ops) for node in ready],
        "edges": [flat(node.edges) for node in ready],
        "key": graph_keys([_coloured(node, len(vocabulary)) for node in ready], [node.edges for node in ready]),
        **({"cell": [node.cell or [0] * len(node.ops) for node in ready]} if cells > 1 else {}),
        **measured,
    })
    card = {
        "name": name,
        "title": title or name,
        "space": {"name": name, "ops": list(vocabulary), "max_nodes": max(len(node.ops) for node in ready), "cells": cells,
                  "roles": known_roles},
        "metrics": {metric: {"unit": str((units or {}).get(metric, "")), "direction": "min" if metric in less else "max",
                             "description": metric} for metric in measured},
        "default_target": target,
        "source": source, "licence": "", "citation": "",
        "facts": {"architectures": len(names)},
    }
    return frame, card


def whole(value: Any) -> int:
    """An id or a position; DataError if it is no whole number (0.9 is not taken for 0)."""
    try:
        if abs(value) < LARGEST_NUMBER and int(value) == value:
            return int(value)
    except (TypeError, ValueError):
        pass
    raise DataError(f"{shown(value)} is no whole number, as positions and ids are")


def _node(graph: Any, attribute: str) -> Node:
    """The graph of another library, or a pair, in plain form. Libraries are told apart by what they offer, never imported."""
    if hasattr(graph, "edge_index"):
        return _from_pyg(graph)
    if hasattr(graph, "ndata"):
        if attribute not in graph.ndata:
            raise DataError(f"the DGL graph has no ndata['{attribute}']")
        source, target = graph.edges()
        return Node(_ids(graph.ndata[attribute]), list(zip(source.tolist(), target.tolist())), _cells_of(graph.ndata.get("cell")))
    if hasattr(graph, "nodes") and hasattr(graph, "edges"):
        if not graph.is_directed():
            raise DataError("the networkx graph is undirected; use a DiGraph with edges in the direction of the data")
        place = {label: number for number, label in enumerate(graph.nodes)}
        lacking = [label for label, data in graph.nodes(data=True) if attribute not in data]
        if lacking:
            raise DataError(f"node {lacking[0]!r} has no attribute '{attribute}'")
        cell = [whole(data.get("cell", 0)) for _, data in graph.nodes(data=True)]
        edges = [(place[edge[0]], place[edge[1]]) for edge in graph.edges]
        return Node([data[attribute] for _, data in graph.nodes(data=True)], edges, cell if any(cell) else None)
    if isinstance(graph, (tuple, list)) and len(graph) == 2:
        try:
            return Node(list(graph[0]), [(whole(u), whole(v)) for u, v in graph[1]])
        except (TypeError, ValueError):
            raise DataError("a pair must be (ops, edges), edges being pairs of node positions") from None
    raise DataError(f"a {type(graph).__name__} is no graph that is known here (networkx, PyG, DGL, or a pair of ops and edges)")


def _from_pyg(graph: Any) -> Node:
    values = graph.x if getattr(graph, "x", None) is not None else getattr(graph, "op", None)
    if values is None:
        raise DataError("the PyG graph has neither x nor op")
    values = values.detach().cpu()
    if values.ndim == 2 and values.shape[1] > 1:
        if not bool(((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all()):
            raise DataError("x is neither op ids [n] nor one-hot [n, ops]")
        values = values.argmax(1)
    source, target = ([whole(node) for node in end] for end in graph.edge_index.detach().cpu().tolist())
    return Node(_ids(values.reshape(-1)), list(zip(source, target)), _cells_of(getattr(graph, "cell", None)))


def _ids(values: Any) -> list[Hashable]:
    return [whole(value) for value in values.reshape(-1).tolist()]


def _cells_of(values: Any) -> list[int] | None:
    return None if values is None else [whole(value) for value in values.reshape(-1).tolist()]


def _vocabulary(nodes: Sequence[Node], ops: Sequence[str] | None, where: str) -> tuple[str, ...]:
    if ops is not None:
        if len(set(ops)) < len(ops):
            raise DataError(f"{where}: the list of ops names one twice")
        return tuple(map(str, ops))
    if any(not isinstance(op, str) for node in nodes for op in node.ops):
        raise DataError(f"{where}: the graphs hold op ids; name the operations in the order of their ids (ops=[...], --ops a,b,c)")
    return tuple(sorted({str(op) for node in nodes for op in node.ops}))


def _sorted(node: Node, place: Mapping[str, int], row: str, problems: Problems, roles: Mapping[str, int]) -> Node | None:
    """The graph with op ids and its nodes in topological order (the given order is kept where it is one already); None if it has a problem."""
    count = len(node.ops)
    if node.problem or not count:
        problems.add(row, node.problem or "the graph has no node")
        return None
    ids: list[Hashable] = []
    for op in node.ops:
        number = place.get(op) if isinstance(op, str) else op
        if not isinstance(number, int) or not 0 <= number < len(place):
            problems.add(row, f"unknown operation {shown(op)}; known: {', '.join(place)}")
            return None
        ids.append(number)
    if node.cell is not None and (len(node.cell) != count or min(node.cell) < 0):
        problems.add(row, f"{len(node.cell)} cell numbers for {count} nodes")
        return None
    waiting = [0] * count
    after: list[list[int]] = [[] for _ in range(count)]
    for u, v in set(node.edges):
        if not (0 <= u < count and 0 <= v < count):
            problems.add(row, f"edge {u} -> {v} leaves its {count} nodes (0 to {count - 1})")
            return None
        after[u].append(v)
        waiting[v] += 1
    order = _order(waiting, after)
    if len(order) < count:
        problems.add(row, f"the graph is cyclic (nodes {sorted(set(range(count)) - set(order))[:6]} wait for each other)")
        return None
    if wrong := _wrong_ends(ids, node.edges, list(place), roles):
        problems.add(row, wrong)
        return None
    position = {old: new for new, old in enumerate(order)}
    edges = sorted((position[u], position[v]) for u, v in set(node.edges))
    return Node([ids[old] for old in order], edges, None if node.cell is None else [node.cell[old] for old in order])


def _wrong_ends(ids: Sequence[Hashable], edges: Sequence[tuple[int, int]], ops: Sequence[str], roles: Mapping[str, int]) -> str:
    """What `archrank data verify` would fail: no edge at all, no input or output where the space has them, edges into one or out of the other."""
    if len(ids) > 1 and not edges:
        return f"{len(ids)} nodes and no edge"
    for role, end, way in (("input", 1, "into"), ("output", 0, "out of")):
        these = [op for name, op in roles.items() if name.startswith(role)]
        called = " or ".join(f"'{ops[op]}'" for op in these)
        if these and not any(op in these for op in ids):
            return f"no node is {called}, which is taken for the {role}"
        if linked := [edge for edge in edges if ids[edge[end]] in these]:
            return f"edge {linked[0][0]} -> {linked[0][1]} leads {way} {called}, which is taken for the {role}"
    return ""


def _order(waiting: list[int], after: list[list[int]]) -> list[int]:
    import heapq

    ready = [v for v, count in enumerate(waiting) if count == 0]
    order = []
    while ready:
        u = heapq.heappop(ready)
        order.append(u)
        for v in after[u]:
            waiting[v] -= 1
            if waiting[v] == 0:
                heapq.heappush(ready, v)
    return order


def _coloured(node: Node, width: int) -> list[int]:
    cell = node.cell or [0] * len(node.ops)
    return [int(op) + width * number for op, number in zip(node.ops, cell)]  # type: ignore[call-overload]


def _column(values: pd.Series, rows: Sequence[str], metric: str, problems: Problems) -> NDArray[np.float64]:
    blank = values.isna() | (values.astype(str).str.strip() == "")
    numbers = pd.to_numeric(values.where(~blank), errors="coerce").to_numpy(np.float64)
    wrong = (np.isnan(numbers) & ~blank.to_numpy()) | np.isinf(numbers)
    for row in np.flatnonzero(wrong):
        problems.add(rows[int(row)], f"'{metric}' is {shown(values.iloc[row])}, not a finite number; leave it empty if it was not measured")
    return numbers


def _check_name(name: str) -> None:
    from archrank.datasets.catalog import embedded
    from archrank.datasets.importers import SOURCES

    if not _NAME.fullmatch(name):
        raise DataError(f"'{name[:80]}' cannot be the name of a benchmark: letters, digits, '_', '-' and '.', at most 64")
    if name in embedded() or name in SOURCES:
        raise DataError(f"'{name}' is the name of a benchmark that archrank comes with; choose another one (name=..., --as NAME)")


def _check_names(names: Sequence[str], rows: Sequence[str], problems: Problems, count: int) -> None:
    if len(names) != count:
        problems.add("names", f"{len(names)} architecture names for {count} graphs")
        return
    first: dict[str, str] = {}
    for name, row in zip(names, rows):
        if not name.strip():
            problems.add(row, "the name of the architecture is empty")
        elif name in first:
            problems.add(row, f"repeats architecture '{name[:60]}' of {first[name]}")
        first.setdefault(name, row)


def _roles(vocabulary: Iterable[str], roles: Mapping[str, str] | None, where: str) -> dict[str, int]:
    place = {op: number for number, op in enumerate(vocabulary)}
    if roles is None:
        lower = {op.lower(): number for op, number in place.items()}
        found = {role: next((lower[word] for word in words if word in lower), None) for role, words in _ROLE_NAMES.items()}
        return {role: number for role, number in found.items() if number is not None}
    for role, op in roles.items():
        if op not in place:
            raise DataError(f"{where}: role '{role}' names operation '{op}', which does not occur; known: {', '.join(place)}")
    return {role: place[op] for role, op in roles.items()}
