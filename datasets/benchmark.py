"""Benchmarks: a search space whose architectures have measured scores, and their one form on disk.

A benchmark is one Parquet table and one JSON card beside it. The table has one row per architecture:
`arch` (name, unique), `ops` (list of op ids), `edges` (list u0, v0, u1, v1, ... with u < v), `key` (isomorphism class;
optional, `arch` where the card says so), `cell` and `attrs` where the space has them, and one column per metric.
No torch here: planning and reporting read benchmarks too.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from archrank.datasets.card import STRUCTURE, Card, as_card, read_card
from archrank.datasets.columns import adjacency, attributes, cells, check_ids, check_scores, ragged
from archrank.datasets.errors import DataError, unknown
from archrank.datasets.io import pair
from archrank.datasets.io.bounded import parse_parquet
from archrank.datasets.space import SearchSpace

if TYPE_CHECKING:
    from archrank.datasets.graphs import Graphs


@dataclass(eq=False)
class Benchmark:
    """Architectures (N of them, padded to V nodes) with scores.

    ops int16 [N, V], adj bool [N, V, V], mask bool [N, V], cell int8 [N, V], attrs float32 [N, V, F] or None: as in
    `Graphs`.
    arch: name of each architecture. key: equal for isomorphic architectures.
    scores: one column per metric, one row per architecture. card: source, licence, units, directions, facts (see
    `Card`).
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
    card: Card
    attrs: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.arch)

    def __post_init__(self) -> None:
        self.card = as_card(self.card, self.name)

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process is sent: the table, without tensors and what was derived on them."""
        return {name: value for name, value in self.__dict__.items() if name != "graphs"}

    @property
    def about(self) -> str:
        """The title, the search space, and how many isomorphism classes there are by which rule, in a line."""
        rule = f" by {self.card.facts.key_rule}" if self.card.facts.key_rule else ""
        return f"{self.card.title}; search space {self.space.name}, {self.isomorphism_class.max() + 1:,} isomorphism classes{rule}"

    @property
    def default_target(self) -> str:
        """The metric predicted when none is named."""
        return self.card.default_target

    @property
    def targets(self) -> list[str]:
        """Metrics that can be predicted."""
        return list(self.card.metrics)

    @cached_property
    def content(self) -> str:
        """sha256 over what the table holds, whichever program wrote its file. The card keeps it; a table without it is
        read through once."""
        return self.card.content or content_of(self)

    @cached_property
    def content_hash(self) -> str:
        """sha256 over all that makes numbers: the content, the space, and every metric's direction and unit. Part of
        every trial's key."""
        read = {name: [self.direction(name), self.unit(name)] for name in self.targets}
        return hashlib.sha256(
            json.dumps([self.content, self.space.to_card(), read], sort_keys=True).encode()
        ).hexdigest()

    def target(self, name: str | None = None) -> NDArray[np.float64]:
        """Scores [N] of one metric; ArchrankError if the benchmark has no such metric."""
        return self.scores[self.check_target(name)].to_numpy(np.float64)

    def check_target(self, name: str | None = None) -> str:
        """The name itself (or the default target), or an ArchrankError with the nearest names."""
        name = name or self.default_target
        if name not in self.card.metrics:
            raise unknown(f"target of benchmark {self.name}", name, self.card.metrics)
        return name

    def direction(self, target: str) -> str:
        """`max` or `min`: which end of the metric is good."""
        return self.card.metrics[target].direction

    def oriented(self, target: str) -> NDArray[np.float64]:
        """Scores [N] of one metric, turned so that higher is better."""
        return self.target(target) * (1.0 if self.direction(target) == "max" else -1.0)

    def unit(self, target: str) -> str:
        """The unit of the metric; empty where the card names none."""
        return self.card.metrics[target].unit

    def repeats(self, target: str) -> NDArray[np.float64] | None:
        """Scores [N, R] of the R training runs behind a metric, or None where the table has only their mean."""
        columns = self.card.metrics[target].repeats
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
        return Graphs(
            tensor(self.ops, torch.long),
            tensor(self.adj, torch.bool),
            tensor(self.mask, torch.bool),
            tensor(self.cell, torch.long),
            attrs,
        )

    @classmethod
    def from_graphs(cls, graphs: Sequence[Any], scores: Any, **options: Any) -> Benchmark:
        """A benchmark of one's own graphs (networkx, PyG, DGL): see `archrank.datasets.custom.table.from_graphs`."""
        from archrank.datasets.custom.table import from_graphs

        return from_graphs(graphs, scores, **options)

    def subset(self, rows: NDArray[np.int64] | Sequence[int]) -> Benchmark:
        """The benchmark cut down to some rows (for a quick look; its card keeps the whole content's hash with the cut
        added)."""
        index = np.asarray(rows, np.int64)
        card = self.card.model_copy(
            update={"content": hashlib.sha256(self.content.encode() + index.tobytes()).hexdigest()}
        )
        attrs = None if self.attrs is None else self.attrs[index]
        return Benchmark(
            self.name,
            self.space,
            self.arch[index],
            self.key[index],
            self.ops[index],
            self.adj[index],
            self.mask[index],
            self.cell[index],
            self.scores.iloc[index].reset_index(drop=True),
            card,
            attrs,
        )


def write_benchmark(folder: Path, frame: pd.DataFrame, card: Card | Mapping[str, Any]) -> Path:
    """Write `<name>.parquet` and `<name>.json` into `folder`, after checking them; returns the table's path.

    frame: the columns named at the top of this module. card: at least `name`, `title`, `space`, `metrics`,
    `default_target`.
    Raises DataError, naming the row, if a graph or a score is not usable; then nothing is written.
    """
    return save(folder, frame, build(frame, card))


def save(folder: Path, frame: pd.DataFrame, benchmark: Benchmark) -> Path:
    """As `write_benchmark`, of a frame and the benchmark that `build` made of it.

    Table and card are replaced in one step (see `archrank.datasets.io.pair`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{benchmark.name}.parquet"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
        table, text = Path(scratch) / path.name, Path(scratch) / f"{benchmark.name}.json"
        frame.to_parquet(table, index=False, compression="zstd")
        digests = {"sha256": hashlib.sha256(table.read_bytes()).hexdigest(), "content": content_of(benchmark)}
        text.write_text(
            json.dumps(benchmark.card.as_dict() | digests, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        pair.replace(path.with_suffix(".json"), table, text)
    return path


def read_benchmark(path: Path, checked: bool = True) -> Benchmark:
    """Read the benchmark whose card is at `path` (`.json`, with the `.parquet` beside it).

    checked: the table must have the sha256 that its card names. DataError, in one line, for whatever cannot be used.
    """
    card, table = read_card(path.with_suffix(".json")), path.with_suffix(".parquet")
    data, same = pair.read_table(path.with_suffix(".json"), card.sha256)
    if checked and not same:
        raise DataError(f"{table}: not the table that its card describes (another sha256); import the benchmark again")
    return build(parse_parquet(data, str(table)), card, where=str(table))


def build(frame: pd.DataFrame, card: Card | Mapping[str, Any], where: str | None = None) -> Benchmark:
    """A checked benchmark from a frame in the canonical form. Every problem is one DataError that names the row."""
    card = as_card(card, where or "card")
    where = where or card.name
    for column in ("arch", "ops", "edges", *card.metrics, *card.run_columns):
        if column not in frame.columns:
            raise DataError(f"{where}: column '{column}' is missing")
    if frame.empty:
        raise DataError(f"{where}: the table has no rows")
    described = card.space
    ids, mask = ragged(frame["ops"], where, described.max_nodes)
    adj = adjacency(frame["edges"], mask, where)
    check_ids(ids, mask, "op", len(described.ops), where)
    ops, cell = ids.astype(np.int16), np.zeros_like(ids, np.int8)
    if "cell" in frame.columns:
        cell = cells(frame["cell"], mask, described.cells, where)
    attrs = attributes(frame["attrs"], mask, len(described.attrs), where) if "attrs" in frame.columns else None
    for column in ("arch", "key"):
        if column in frame.columns and len(empty := np.flatnonzero(frame[column].isna())):
            raise DataError(f"{where}: row {empty[0]}: '{column}' is empty")
    arch = frame["arch"].astype(str).to_numpy(object)
    if (twice := pd.Series(arch).duplicated()).any():
        row = int(np.flatnonzero(twice)[0])
        raise DataError(f"{where}: row {row} repeats architecture '{arch[row]}'; keep one row each")
    key = frame["key"].astype(str).to_numpy(object) if "key" in frame.columns else arch
    columns = [name for name in frame.columns if name not in STRUCTURE]
    scores = frame[columns].reset_index(drop=True)
    check_scores(scores[list(dict.fromkeys([*card.metrics, *card.run_columns]))], arch, where, set(card.run_columns))
    space = SearchSpace(
        described.name,
        tuple(described.ops),
        ids.shape[1],
        dict(described.roles),
        described.cells,
        np.asarray(adj.any(0)),
        np.asarray(adj.all(0)),
        tuple(described.attrs),
    )
    return Benchmark(card.name, space, arch, key, ops, adj, mask, cell, scores, card, attrs)


def content_of(benchmark: Benchmark) -> str:
    """sha256 over the columns of a table in one canonical form each: their types and the order of edges in the file do
    not matter."""
    columns = {name: benchmark.target(name) for name in benchmark.targets}
    for name in benchmark.targets:
        columns |= {run: benchmark.scores[run].to_numpy(np.float64) for run in benchmark.card.metrics[name].repeats}
    parts = {
        name: ("\n".join(map(str, names))).encode()
        for name, names in (("arch", benchmark.arch), ("key", benchmark.key))
    }
    parts |= {
        name: np.ascontiguousarray(array, kind).tobytes()
        for name, array, kind in (
            ("nodes", benchmark.mask.sum(1), "<i4"),
            ("ops", benchmark.ops, "<i4"),
            ("cell", benchmark.cell, "<i4"),
        )
    }
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
