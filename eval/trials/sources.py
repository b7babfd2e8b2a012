"""Labels of other tables that an encoder is trained on first: which tables, which of their metrics, and where they
would hand over a label. No torch here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from archrank.datasets import Benchmark, load
from archrank.datasets.errors import ArchrankError, unknown
from archrank.datasets.splits import validation_pair
from archrank.encoders.pretexts import parse_call

SOURCE_OPTIONS = {
    "target": str,
    "labels": int,
    "updates": int,
    "same": bool,
    "others": bool,
    "head": bool,
    "zero_shot": bool,
}


@dataclass(frozen=True)
class LabelSource:
    """Labels of other tables to train on first.

    tables: their names. target: a metric of theirs (empty: each one's default); several joined by `+`, or a pattern
    such as `cifar10_*_latency`, are devices, each with operations of its own. labels: of each table, or device.
    updates: of the training. same: whether a table may hold architectures of the benchmark itself. others: leave out
    the tables that hold some, so that one list serves every benchmark in it. head: start from the head too, not from
    the encoder alone. zero_shot: apply what was trained as it is, without any label of the benchmark.
    """

    tables: tuple[str, ...]
    target: str = ""
    labels: int = 1000
    updates: int = 2000
    same: bool = False
    others: bool = False
    head: bool = False
    zero_shot: bool = False

    @property
    def text(self) -> str:
        """How it is written: `a+b(labels=500)`."""
        given = {
            name: getattr(self, name) for name in SOURCE_OPTIONS if getattr(self, name) != getattr(LabelSource, name)
        }
        inside = ",".join(f"{name}={str(value).lower() if value is True else value}" for name, value in given.items())
        return "+".join(self.tables) + (f"({inside})" if inside else "")

    @property
    def devices(self) -> bool:
        """Whether it names several metrics of a table, each of which is a device."""
        return "+" in self.target or "*" in self.target

    def tables_for(self, benchmark: Benchmark) -> list[Benchmark]:
        """The tables whose labels serve a benchmark. ArchrankError where none is left, or one holds architectures of
        the benchmark and neither `same` nor `others` says what to do with it."""
        tables = []
        for table in map(load, self.tables):
            shared = 0 if self.same else same_architectures(table, benchmark)
            if shared and not self.others:
                raise ArchrankError(
                    f"source {table.name}: {shared:,} of its architectures are in {benchmark.name}, whose labels these "
                    f"may as well be; allow it with source={table.name}(same=true), which the report then says"
                )
            if not shared:
                tables.append(table)
        if not tables:
            raise ArchrankError(
                f"source {self.text}: every table holds architectures of {benchmark.name}, so that none is left"
            )
        return tables

    def targets_of(self, table: Benchmark, benchmark: Benchmark, target: str) -> list[str]:
        """The metrics that are trained on for a benchmark's target. A pattern never means the target itself, or another
        score of its training; ArchrankError where a name does, and where fewer than two devices are left."""
        if table.name != benchmark.name:
            return self.metrics_of(table)
        if not self.devices and self.metrics_of(table) == [target]:
            raise ArchrankError(f"source {table.name}: its {target} is the target itself")
        own = [target, validation_pair(benchmark, target)]
        own += [name for name in benchmark.targets if validation_pair(benchmark, name) == target]
        return self.metrics_of(table, own if self.devices else ())

    def metrics_of(self, table: Benchmark, hidden: Collection[str | None] = ()) -> list[str]:
        """The metrics of a table that are trained on: one, or devices but for the `hidden` ones."""
        if not self.devices:
            return [table.check_target(self.target or None)]
        metrics: list[str] = []
        for part in self.target.split("+"):
            named = [name for name in table.targets if fnmatchcase(name, part)] or [table.check_target(part)]
            metrics += [name for name in named if name not in (*metrics, *hidden)]
        if len(metrics) < 2:
            raise ArchrankError(f"source {self.text}: it names {len(metrics)} devices to learn from; two are the least")
        return metrics


def parse_source(text: str) -> LabelSource:
    """The source that `table`, `table+table` or `table(labels=500,target=...)` means."""
    names, options = parse_call(text, "source")
    for name, value in options.items():
        if name not in SOURCE_OPTIONS:
            raise unknown(f"option of source {names}", name, SOURCE_OPTIONS)
        if type(value) is not SOURCE_OPTIONS[name]:
            raise ArchrankError(f"source {names}: option {name}={value!r} is no {SOURCE_OPTIONS[name].__name__}")
    source = LabelSource(tuple(name.strip() for name in names.split("+")), **options)
    if source.same and source.others:
        raise ArchrankError(f"source {names}: same=true keeps the tables that others=true leaves out; give one of them")
    if source.devices and len(source.tables) > 1:
        raise ArchrankError(f"source {names}: devices are metrics of one table; give one table")
    return source


def same_architectures(table: Benchmark, other: Benchmark) -> int:
    """How many architectures of a table are in another too: drawn alike, or of one isomorphism class."""
    if set(table.space.ops) != set(other.space.ops):
        return 0
    drawn = _drawn(other)
    classes = {str(key) for key in other.key}
    return sum(mine in drawn or str(key) in classes for mine, key in zip(_drawn(table, ordered=True), table.key))


def _drawn(benchmark: Benchmark, ordered: bool = False) -> Any:
    """Every architecture as names of operations and edges."""
    forms = [
        (tuple(benchmark.space.ops[op] for op in ops[mask]), adj[mask][:, mask].tobytes())
        for ops, adj, mask in zip(benchmark.ops, benchmark.adj, benchmark.mask)
    ]
    return forms if ordered else set(forms)
