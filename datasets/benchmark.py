"""Benchmarks: a search space whose architectures have measured scores, and their one form on disk.

A benchmark is one Parquet table and one JSON card beside it. The table has one row per architecture:
`arch` (name, unique), `ops` (list of op ids), `edges` (list u0, v0, u1, v1, ... with u < v), `key` (isomorphism class; optional,
`arch` where the card says so), `cell` and `attrs` where the space has them, and one column per metric.
No torch here: planning and reporting read benchmarks too.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets.errors import DataError, unknown
from archrank.datasets.io.bounded import read_parquet, shown
from archrank.datasets.space import SearchSpace

if TYPE_CHECKING:
    from archrank.datasets.graphs import Graphs

STRUCTURE = ("arch", "ops", "edges", "key", "cell", "attrs")


@dataclass(eq=False)
class Benchmark:
    """Architectures (N of them, padded to V nodes) with scores.

    ops int16 [N, V], adj bool [N, V, V], mask bool [N, V], cell int8 [N, V], attrs float32 [N, V, F] or None: as in `Graphs`.
    arch: name of each architecture. key: equal for isomorphic architectures.
    scores: one column per metric, one row per architecture. card: source, licence, units, directions, facts.
    """

    name: str
    space: SearchSpace
    arch: NDArray[np.object_]
    key: NDArray[np.object_]
    ops: NDArray[np.int16]
    adj: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    cell: NDArray[np.int8]
    scores: pd.DataFrame
    card: dict[str, Any]
    attrs: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.arch)

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process is sent: the table, without tensors and what was derived on them."""
        return {name: value for name, value in self.__dict__.items() if name != "graphs"}

    @property
    def default_target(self) -> str:
        """The metric predicted when none is named."""
        return str(self.card["default_target"])

    @property
    def targets(self) -> list[str]:
        """Metrics that can be predicted."""
        return list(self.card["metrics"])

    @cached_property
    def content(self) -> str:
        """sha256 over what the table holds, whichever program wrote its file. The card keeps it; a table without it is read through once."""
        return str(self.card.get("content") or _content(self))

    @cached_property
    def table(self) -> str:
        """sha256 over all that makes numbers: the content, the space, and every metric's direction and unit. Part of every trial's key."""
        read = {name: [self.direction(name), self.unit(name)] for name in self.targets}
        return hashlib.sha256(json.dumps([self.content, self.space.to_card(), read], sort_keys=True).encode()).hexdigest()

    def target(self, name: str | None = None) -> NDArray[np.float64]:
        """Scores [N] of one metric; ArchrankError if the benchmark has no such metric."""
        return self.scores[self.check_target(name)].to_numpy(np.float64)

    def check_target(self, name: str | None = None) -> str:
        """The name itself (or the default target), or an ArchrankError with the nearest names."""
        name = name or self.default_target
        if name not in self.card["metrics"]:
            raise unknown(f"target of benchmark {self.name}", name, self.card["metrics"])
        return name

    def direction(self, target: str) -> str:
        """`max` or `min`: which end of the metric is good."""
        return str(self.card["metrics"][target].get("direction", "max"))

    def unit(self, target: str) -> str:
        """The unit of the metric; empty where the card names none."""
        return str(self.card["metrics"][target].get("unit", ""))

    def repeats(self, target: str) -> NDArray[np.float64] | None:
        """Scores [N, R] of the R training runs behind a metric, or None where the table has only their mean."""
        columns = self.card["metrics"][target].get("repeats")
        return self.scores[columns].to_numpy(np.float64) if columns else None

    @cached_property
    def depth(self) -> NDArray[np.int16]:
        """int16 [N, V], as `Graphs.depth`."""
        depth = np.zeros(self.ops.shape, np.int16)
        for v in range(1, self.ops.shape[1]):
            depth[:, v] = ((depth[:, :v] + 1) * self.adj[:, :v, v]).max(1)
        return depth

    @cached_property
    def isomorphism_class(self) -> NDArray[np.int64]:
        """int64 [N]: number of each architecture's isomorphism class, 0, 1, ... in the order of their keys."""
        return np.unique(self.key.astype(str), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def graphs(self) -> Graphs:
        """The whole space as tensors on the CPU (imports torch)."""
        import torch

        from archrank.datasets.graphs import Graphs

        def tensor(array: NDArray[Any], dtype: torch.dtype) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)

        attrs = None if self.attrs is None else tensor(self.attrs, torch.float32)
        return Graphs(tensor(self.ops, torch.long), tensor(self.adj, torch.bool), tensor(self.mask, torch.bool),
                      tensor(self.cell, torch.long), attrs)

    @classmethod
    def from_graphs(cls, graphs: Sequence[Any], scores: Any, **options: Any) -> Benchmark:
        """A benchmark of one's own graphs (networkx, PyG, DGL): see `archrank.datasets.custom.graphs.from_graphs`."""
        from archrank.datasets.custom.graphs import from_graphs

        return from_graphs(graphs, scores, **options)

    def subset(self, rows: NDArray[np.int64] | Sequence[int]) -> Benchmark:
        """The benchmark cut down to some rows (for a quick look; its card keeps the whole content's hash with the cut added)."""
        index = np.asarray(rows, np.int64)
        card = dict(self.card, content=hashlib.sha256(self.content.encode() + index.tobytes()).hexdigest())
        attrs = None if self.attrs is None else self.attrs[index]
        return Benchmark(self.name, self.space, self.arch[index], self.key[index], self.ops[index], self.adj[index],
                         self.mask[index], self.cell[index], self.scores.iloc[index].reset_index(drop=True), card, attrs)


def write_benchmark(folder: Path, frame: pd.DataFrame, card: dict[str, Any]) -> Path:
    """Write `<name>.parquet` and `<name>.json` atomically into `folder`, after checking them; returns the table's path.

    frame: the columns named at the top of this module. card: at least `name`, `title`, `space`, `metrics`, `default_target`.
    Raises DataError, naming the row, if a graph or a score is not usable; then nothing is written.
    """
    content = _content(build(frame, card))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card['name']}.parquet"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
        table = Path(scratch) / path.name
        frame.to_parquet(table, index=False, compression="zstd")
        digest = hashlib.sha256(table.read_bytes()).hexdigest()
        text = Path(scratch) / f"{card['name']}.json"
        text.write_text(json.dumps(dict(card, sha256=digest, content=content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(table, path)
        os.replace(text, path.with_suffix(".json"))
    return path


def read_card(path: Path) -> dict[str, Any]:
    """The JSON card at `path`; DataError if it is missing, broken or incomplete."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a readable benchmark card ({error}); import the benchmark again") from None
    if problem := _card_problem(card):
        raise DataError(f"{path}: {problem}; import the benchmark again")
    return dict(card)


def _card_problem(card: Any) -> str:
    """What is wrong with a card that somebody wrote, without a look at the table; or nothing."""
    if not isinstance(card, dict):
        return f"a card is a dictionary, not {shown(card)}"
    for needed, kind in {"name": str, "title": str, "space": dict, "metrics": dict, "default_target": str, "sha256": str}.items():
        if not isinstance(card.get(needed), kind):
            return f"the card's '{needed}' is {shown(card[needed])}" if needed in card else f"the card has no '{needed}'"
    space, facts = card["space"], card.get("facts", {})
    names = {part: space.get(part, []) for part in ("ops", "attrs")}
    roles, counts = space.get("roles", {}), (space.get("max_nodes"), space.get("cells", 1))
    if wrong := [part for part, words in names.items() if not isinstance(words, list) or not all(isinstance(word, str) for word in words)]:
        return f"the card's space: '{wrong[0]}' is no list of names"
    if not isinstance(space.get("name"), str) or not names["ops"] or any(type(count) is not int or count < 1 for count in counts):
        return "the card's space needs 'name', 'ops', and a 'max_nodes' (and 'cells') of 1 or more"
    if len(names["ops"]) > np.iinfo(np.int16).max or counts[1] > np.iinfo(np.int8).max:
        return "the card's space has too many ops or cells"
    if not isinstance(roles, dict) or any(type(op) is not int for op in roles.values()):
        return "the card's space: 'roles' is no dictionary of op ids"
    for name, metric in card["metrics"].items():
        if name in STRUCTURE or not isinstance(metric, dict) or metric.get("direction", "max") not in ("max", "min"):
            return f"the card's metric '{name}' is {shown(metric)}; it needs a 'direction' of max or min, and a name of its own"
        if not isinstance(runs := metric.get("repeats") or [], list) or not all(isinstance(run, str) for run in runs):
            return f"the card's metric '{name}': 'repeats' is no list of columns"
    if card["default_target"] not in card["metrics"]:
        return f"the card's default target '{card['default_target']}' is none of its metrics"
    return "" if isinstance(facts, dict) else "the card's 'facts' is no dictionary"


def read_benchmark(path: Path) -> Benchmark:
    """Read the benchmark whose card is at `path` (`.json`, with the `.parquet` beside it)."""
    card = read_card(path.with_suffix(".json"))
    table = path.with_suffix(".parquet")
    return build(read_parquet(table), card, where=str(table))


def build(frame: pd.DataFrame, card: dict[str, Any], where: str | None = None) -> Benchmark:
    """A checked benchmark from a frame in the canonical form. Every problem is one DataError that names the row."""
    where = where or card["name"]
    runs = [column for metric in card["metrics"].values() for column in metric.get("repeats") or ()]
    for column in ("arch", "ops", "edges", *card["metrics"], *runs):
        if column not in frame.columns:
            raise DataError(f"{where}: column '{column}' is missing")
    if frame.empty:
        raise DataError(f"{where}: the table has no rows")
    described = card["space"]
    ids, mask = _ragged(frame["ops"], where, described["max_nodes"])
    adj = _adjacency(frame["edges"], mask, where)
    width = ids.shape[1]
    _check_ids(ids, mask, "op", len(described["ops"]), where)
    ops, cell = ids.astype(np.int16), np.zeros_like(ids, np.int8)
    if "cell" in frame.columns:
        numbers, told = _ragged(frame["cell"], where, width)
        if len(uneven := np.flatnonzero((told != mask).any(1))):
            raise DataError(f"{where}: row {uneven[0]}: {told[uneven[0]].sum()} cell numbers for {mask[uneven[0]].sum()} nodes")
        _check_ids(numbers, mask, "cell", int(described.get("cells", 1)), where)
        cell = numbers.astype(np.int8)
    attrs = None
    if "attrs" in frame.columns:
        names = described["attrs"]
        attrs = np.zeros((*ops.shape, len(names)), np.float32)
        for row, values in enumerate(frame["attrs"]):
            attrs[row, : mask[row].sum()] = np.asarray(values, np.float32).reshape(-1, len(names))
    for column in ("arch", "key"):
        if column in frame.columns and len(empty := np.flatnonzero(frame[column].isna())):
            raise DataError(f"{where}: row {empty[0]}: '{column}' is empty")
    arch = frame["arch"].astype(str).to_numpy(object)
    twice = frame["arch"].duplicated()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise DataError(f"{where}: row {row} repeats architecture '{arch[row]}'; keep one row each")
    key = frame["key"].astype(str).to_numpy(object) if "key" in frame.columns else arch
    columns = [name for name in frame.columns if name not in STRUCTURE]
    scores = frame[columns].reset_index(drop=True)
    _check_scores(scores[list(dict.fromkeys([*card["metrics"], *runs]))], arch, where, set(runs))
    space = SearchSpace(described["name"], tuple(described["ops"]), width, dict(described.get("roles", {})),
                        int(described.get("cells", 1)), np.asarray(adj.any(0)), np.asarray(adj.all(0)), tuple(described.get("attrs", ())))
    return Benchmark(card["name"], space, arch, key, ops, adj, mask, cell, scores, card, attrs)


def _content(benchmark: Benchmark) -> str:
    """sha256 over the columns of a table in one canonical form each: their types and the order of edges in the file do not matter."""
    columns = {name: benchmark.target(name) for name in benchmark.targets}
    for name in benchmark.targets:
        columns |= {run: benchmark.scores[run].to_numpy(np.float64) for run in benchmark.card["metrics"][name].get("repeats") or ()}
    parts = {name: ("\n".join(map(str, names))).encode() for name, names in (("arch", benchmark.arch), ("key", benchmark.key))}
    parts |= {name: np.ascontiguousarray(array, kind).tobytes() for name, array, kind in
              (("nodes", benchmark.mask.sum(1), "<i4"), ("ops", benchmark.ops, "<i4"), ("cell", benchmark.cell, "<i4"))}
    parts["edges"] = np.packbits(benchmark.adj).tobytes()
    if benchmark.attrs is not None:
        parts["attrs"] = _floats(benchmark.attrs, "<f4")
    parts |= {f"score {name}": _floats(columns[name], "<f8") for name in sorted(columns)}
    digest = hashlib.sha256()
    for name, data in parts.items():
        digest.update(f"{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _floats(values: NDArray[Any], kind: str) -> bytes:
    return np.where(np.isnan(values), np.nan, values).astype(kind).tobytes()  # of the many bit patterns of NaN, one


def _whole(column: pd.Series, where: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Length of each row's list, and all their whole numbers one after the other."""
    lists = [np.asarray(row) for row in column]
    wrong = next((row for row, found in enumerate(lists) if found.ndim != 1 or found.dtype.kind not in "iuf"), None)
    if wrong is None:
        lengths, values = np.array([len(found) for found in lists]), np.concatenate(lists)
        broken = np.flatnonzero(~(np.abs(values) < 1 << 31) | (values != np.trunc(values)))
        if not len(broken):
            return lengths, values.astype(np.int64)
        wrong = int(np.searchsorted(np.cumsum(lengths), broken[0], side="right"))
    raise DataError(f"{where}: row {wrong}: {column.name} {shown(column.iloc[wrong])} is no list of whole numbers")


def _ragged(column: pd.Series, where: str, width: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    lengths, flat = _whole(column, where)
    if lengths.min() < 1 or lengths.max() > width:
        row = int(np.flatnonzero((lengths < 1) | (lengths > width))[0])
        raise DataError(f"{where}: row {row} has {lengths[row]} nodes; the space allows 1 to {width}")
    mask = np.arange(width) < lengths[:, None]
    values = np.zeros(mask.shape, np.int64)
    values[mask] = flat
    return values, mask


def _adjacency(edges: pd.Series, mask: NDArray[np.bool_], where: str) -> NDArray[np.bool_]:
    adj = np.zeros((*mask.shape, mask.shape[1]), bool)
    lengths, flat = _whole(edges, where)
    if (lengths % 2).any():
        row = int(np.flatnonzero(lengths % 2)[0])
        raise DataError(f"{where}: row {row}: edges must be a flat list u0, v0, u1, v1, ...; it has {lengths[row]} entries")
    pairs = flat.reshape(-1, 2)
    owner = np.repeat(np.arange(len(mask)), lengths // 2)
    nodes = mask.sum(1)[owner]
    wrong = (pairs[:, 0] < 0) | (pairs[:, 0] >= pairs[:, 1]) | (pairs[:, 1] >= nodes)
    if wrong.any():
        bad = int(np.flatnonzero(wrong)[0])
        u, v = pairs[bad]
        raise DataError(f"{where}: row {owner[bad]}: edge {u} -> {v} does not go forward within its {nodes[bad]} nodes; "
                        "number the nodes in topological order (a cycle has none)")
    adj[owner, pairs[:, 0], pairs[:, 1]] = True
    return adj


def _check_ids(ids: NDArray[np.int64], mask: NDArray[np.bool_], what: str, count: int, where: str) -> None:
    wrong = mask & ((ids < 0) | (ids >= count))
    if wrong.any():
        row, node = (int(i) for i in np.argwhere(wrong)[0])
        raise DataError(f"{where}: row {row}, node {node}: {what} {ids[row, node]} is unknown; the space has {count} {what}{'s' * (count > 1)}")


def _check_scores(scores: pd.DataFrame, arch: NDArray[np.object_], where: str, runs: set[str]) -> None:
    for name in scores.columns:
        try:
            values = scores[name].to_numpy(np.float64)
        except (TypeError, ValueError):
            row = next((row for row, value in enumerate(scores[name]) if not isinstance(value, (int, float, np.number))), 0)
            raise DataError(f"{where}: row {row} ({arch[row]}): '{name}' is {shown(scores[name].iloc[row])}, not a number; "
                            "store numbers, and NaN where it was not measured") from None
        if np.isinf(values).any():
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise DataError(f"{where}: row {row} ({arch[row]}): '{name}' is infinite; leave it empty if it was not measured")
        if name not in runs and np.isnan(values).all():
            raise DataError(f"{where}: metric '{name}' has no value at all")
