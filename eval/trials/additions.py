"""What a learned encoder may be given beside graphs and labels: a pretext, side inputs, weights from other tables. What
they are, and where they must not be. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from archrank.datasets import Benchmark, load
from archrank.datasets.costs import COSTS
from archrank.datasets.errors import ArchrankError, unknown
from archrank.datasets.splits import validation_pair
from archrank.datasets.union import union
from archrank.encoders import catalog
from archrank.encoders.catalog import EncoderInfo
from archrank.encoders.pretexts import PretextTask, parse_pretext
from archrank.encoders.reserved import check_states
from archrank.eval.trials.sources import LabelSource, parse_source

PROXIES = "zcp"


@dataclass(frozen=True)
class SideInput:
    """Numbers beside the graph. name: as it is written. encoding: the fixed encoding of that name, where there is one;
    else it is `parameters` or `flops` (their logarithm), `zcp` (every proxy of the table) or a column of the table."""

    name: str
    encoding: EncoderInfo | None = None

    def columns(self, benchmark: Benchmark, target: str) -> list[str]:
        """The columns of the table that it reads as they are. ArchrankError where there are none of that name."""
        if self.encoding is not None or self.name in COSTS:
            return []
        if self.name == PROXIES:
            columns = [name for name in proxies(benchmark) if name != target]
            if not columns:
                raise ArchrankError(f"side input zcp: the table of {benchmark.name} has no proxy column")
            return columns
        if self.name not in benchmark.targets:
            known = [PROXIES, *COSTS, *benchmark.targets, *(n for n, i in catalog.known().items() if not i.learned)]
            raise unknown(f"side input (a fixed encoding, or a column of {benchmark.name})", self.name, known)
        return [self.name]


@dataclass(frozen=True)
class Additions:
    """What a learned encoder is given: nothing, in the default.

    task: the pretext. unlabelled: whether it sees `all` architectures or those left for training (`train`).
    as_features: whether the source gives columns, what trees trained on it predict, in place of weights (portfolios).
    """

    task: PretextTask | None = None
    unlabelled: Literal["all", "train"] = "all"
    side: tuple[SideInput, ...] = ()
    source: LabelSource | None = None
    as_features: bool = False

    def __bool__(self) -> bool:
        return bool(self.task or self.side or self.source)

    @property
    def pretrains(self) -> bool:
        """Whether something is trained before the encoder learns from labels."""
        return bool(self.task or self.source or any(side.encoding and side.encoding.pretrained for side in self.side))

    def written(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The options with one spelling for what is the same: options of a pretext or a source in their order, without
        defaults."""
        texts = {
            "pretext": self.task.text if self.task else None,
            "side": "+".join(side.name for side in self.side),
            "source": self.source.text if self.source else None,
        }
        return {name: texts.get(name, value) for name, value in config.items()}

    def identity(self, encoder: str) -> str:
        """The sha256 that stands for an encoder of this source and all that it is given; `encoder` itself for
        nothing."""
        parts = [self.task.source] if self.task else []
        parts += [side.encoding.source for side in self.side if side.encoding]
        if self.source:
            parts += [load(name).content_hash for name in self.source.tables]
        return hashlib.sha256(json.dumps([encoder, *parts]).encode()).hexdigest() if parts else encoder

    @property
    def seen(self) -> str:
        """What a pretext saw, in words."""
        graphs = "all architectures, the test ones included (transductive)"
        if self.unlabelled == "train":
            graphs = "the architectures that the protocol leaves for training, none of the test set"
        return f"it saw the graphs of {graphs}, and no label"

    def notes(self, benchmark: Benchmark, target: str) -> list[str]:
        """What a reader of the results must know of it, in a line each."""
        said = []
        if self.task:
            said.append(f"pre-trained on {self.task.text}: {self.seen}")
        for side in self.side:
            if side.encoding and side.encoding.pretrained:
                said.append(f"side input {side.name} was pre-trained on the graphs of all architectures (transductive)")
            said += [
                f"side input {name} costs a {'computation' if name in proxies(benchmark) else 'measurement'} of every "
                f"architecture that is ranked ({benchmark.card.metrics[name].description or 'a column of the table'})"
                for name in side.columns(benchmark, target)
                if name not in COSTS
            ]
        if self.task and self.task.needs("proxy") and (proxy := proxy_of(self.task)) not in COSTS:
            price = benchmark.card.metrics[proxy].description or "a column of the table"
            said.append(f"pretext {self.task.text} costs a computation of every architecture that it sees ({price})")
        if self.source:
            said.append((_as_features if self.as_features else _learned)(self.source, benchmark, target))
        return said


def additions_of(info: EncoderInfo, config: Mapping[str, Any]) -> Additions:
    """What the reserved options of an encoder ask for. ArchrankError for what is misspelt, or makes no sense."""
    text, side, source = config.get("pretext"), config.get("side"), config.get("source")
    unlabelled: Any = config.get("unlabelled", "all")
    if unlabelled != "all" and not text and not info.portfolio:
        raise ArchrankError(
            f"encoder {info.name}: unlabelled={unlabelled} says what a pretext sees; give one, pretext=..."
        )
    added = Additions(
        parse_pretext(text) if text else None,
        unlabelled,
        tuple(_side(name.strip()) for name in str(side).split("+")) if side else (),
        parse_source(source) if source else None,
        info.portfolio,
    )
    if (
        added.source
        and added.as_features
        and (added.source.zero_shot or added.source.head or added.source.updates != LabelSource.updates)
    ):
        raise ArchrankError(
            f"encoder {info.name}: source={added.source.text} is for networks; a portfolio takes columns from trees, which "
            "have no updates, head or zero_shot"
        )
    if added.side and "compare" in info.hooks:
        raise ArchrankError(f"encoder {info.name} compares embeddings itself, so that side inputs would reach nothing")
    if added.source and added.task and added.task.needs("hidden_op"):
        raise ArchrankError(
            f"encoder {info.name}: pretext {added.task.text} starts from an operation more than source={source} gives "
            "weights for; leave one of them out"
        )
    if added.source and (added.source.zero_shot or added.source.devices) and (added.task or added.side):
        what = (
            "trains nothing on the benchmark" if added.source.zero_shot else "starts every split from its own weights"
        )
        raise ArchrankError(f"encoder {info.name}: source={added.source.text} {what}; leave pretext and side out")
    scored = (
        added.source is not None
        and not added.as_features
        and (added.source.zero_shot or added.source.devices or added.source.head)
    )
    if scored and "compare" in info.hooks:
        raise ArchrankError(f"encoder {info.name} compares pairs: it has no score to apply to another table")
    if added.source and added.source.head and (added.task or added.side or added.source.zero_shot):
        raise ArchrankError(
            f"encoder {info.name}: source={added.source.text} keeps the head of the embedding that it learned; leave "
            "pretext, side and zero_shot out"
        )
    if unlabelled == "train" and any(
        side_input.encoding and side_input.encoding.pretrained for side_input in added.side
    ):
        raise ArchrankError(
            f"encoder {info.name}: unlabelled=train, but side={side} is pre-trained on the graphs of all architectures"
        )
    return added


def _learned(source: LabelSource, benchmark: Benchmark, target: str) -> str:
    """What was learned from a source, in a line."""
    tables = source.tables_for(benchmark)
    of = [table.name for table in tables]
    if source.devices:
        of = [f"{table.name}/{name}" for table in tables for name in source.targets_of(table, benchmark, target)]
    trained = f"weights trained on up to {source.labels} labels of each of {', '.join(of)}"
    said = f"predicts with {trained}; no label of {benchmark.name}" if source.zero_shot else f"started from {trained}"
    said += ", its head too" if source.head else ""
    if source.devices and not source.zero_shot:
        said += ", of the one whose order is closest on the labelled architectures"
    return said + ("; they may hold architectures of the test set" if source.same else "")


def _as_features(source: LabelSource, benchmark: Benchmark, target: str) -> str:
    """What fixed encodings are given of a source, in a line."""
    of = [
        f"{table.name}/{name}"
        for table in source.tables_for(benchmark)
        for name in source.targets_of(table, benchmark, target)
    ]
    said = f"beside its features, what trees trained on up to {source.labels} labels of each of {', '.join(of)} predict"
    return said + ("; they may hold architectures of the test set" if source.same else "")


def _side(name: str) -> SideInput:
    if name in (PROXIES, *COSTS):
        return SideInput(name)
    info = catalog.known().get(name)
    if info is not None and info.learned:
        raise ArchrankError(f"side={name}: {name} is a learned encoder; a side input is a fixed encoding or a column")
    return SideInput(name, info)


def proxy_of(task: PretextTask) -> str:
    """The column that a pretext with a proxy orders."""
    return str(task.own.get("proxy", task.entry.options["proxy"].default))


def proxies(benchmark: Benchmark) -> list[str]:
    """Columns that need no training: parameters, FLOPs, and what the card calls a proxy (`proxy: true`)."""
    cards = benchmark.card.metrics
    return [name for name in benchmark.targets if name in COSTS or cards[name].proxy]


def check_additions(
    added: Additions, info: EncoderInfo, config: Mapping[str, Any], benchmark: Benchmark, target: str
) -> None:
    """ArchrankError, one line, where an addition cannot be had on a benchmark, or would hand it a label.

    A column is no side input, and no proxy, where it is the target, or the test score that belongs to it.
    """
    if added.task is not None:
        check_states(added.task, info.name, "states" in info.hooks, config.get("view", "drawn"))
        if added.task.needs("proxy"):
            name = proxy_of(added.task)
            if name == target:
                raise ArchrankError(f"pretext {added.task.text}: {name} is the target itself")
            if name not in proxies(benchmark):
                known = [name for name in proxies(benchmark) if name != target]
                raise ArchrankError(
                    f"pretext {added.task.text}: the table of {benchmark.name} has no proxy column '{name}' "
                    f"({'known: ' + ', '.join(known) if known else 'it has none'}); other columns are measured"
                )
    for side in added.side:
        if side.encoding is not None and (reason := catalog.unsupported(side.encoding, {}, benchmark)):
            raise ArchrankError(f"side input {side.name}: {reason}")
        if side.name in COSTS and side.name == target:
            raise ArchrankError(f"side input {side.name} is the target itself")
        for name in side.columns(benchmark, target):
            pair = (validation_pair(benchmark, name), validation_pair(benchmark, target))
            if name == target or target == pair[0] or name == pair[1]:
                raise ArchrankError(f"side input {name} is the target, or another score of the same training")
            if not _finite(benchmark, name):
                raise ArchrankError(f"side input {name} is not measured for every architecture of {benchmark.name}")
    if added.source:
        for table in added.source.tables_for(benchmark):
            added.source.targets_of(table, benchmark, target)
            if added.as_features:
                union(benchmark.space, [table.space])


def _finite(benchmark: Benchmark, name: str) -> bool:
    return bool(np.isfinite(benchmark.target(name)).all())
