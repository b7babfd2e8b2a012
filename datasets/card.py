"""The card of a benchmark: what its table is called, where it comes from, its search space, its metrics, and what is
known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import read_bytes, shown

STRUCTURE = ("arch", "ops", "edges", "key", "cell", "attrs")
LARGEST_GRAPH = 10_000
CARD_LIMIT = 64 << 20
_Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class MetricCard(_Part):
    """A metric: its unit, which end of it is good, a description, the columns of the training runs it is the mean of,
    and whether it is a proxy, which takes no training."""

    unit: str = ""
    direction: Literal["max", "min"] = "max"
    description: str = ""
    repeats: list[str] = []
    proxy: bool = False


class SpaceCard(_Part):
    """A search space as `SearchSpace` has it; `roles` are op ids by role."""

    name: str
    ops: Annotated[list[str], Field(min_length=1, max_length=32767)]
    max_nodes: Annotated[int, Field(ge=1, le=LARGEST_GRAPH)]
    cells: Annotated[int, Field(ge=1, le=127)] = 1
    roles: dict[str, int] = {}
    attrs: list[str] = []


class Facts(_Part):
    """What is known of a table, and what was done when it was made.

    architectures, classes, best (metric -> best score), missing (metric -> architectures without a score),
    nb101_hashes: known values that `archrank data verify` compares. key_rule: what architectures of one isomorphism
    class share. left_out: columns that were left out, and why.
    notes: what else was done or should be known. departs: known values of the official table that this one does not
    have.
    """

    architectures: _Count | None = None
    classes: _Count | None = None
    best: dict[str, float] = {}
    missing: dict[str, _Count] = {}
    nb101_hashes: bool = False
    key_rule: str = ""
    left_out: dict[str, str] = {}
    notes: list[str] = []
    departs: list[str] = []


class Card(_Part):
    """A card. `sha256`: digest of the table's file. `content`: digest of what the table holds. Further fields are
    kept."""

    name: str
    title: str
    space: SpaceCard
    metrics: Annotated[dict[str, MetricCard], Field(min_length=1)]
    default_target: str
    source: str = ""
    licence: str = ""
    citation: str = ""
    facts: Facts = Facts()
    sha256: str = ""
    content: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if taken := [name for name in self.metrics if name in STRUCTURE]:
            raise ValueError(
                f"a metric cannot be called '{taken[0]}', which describes the graphs; it needs a name of its own"
            )
        if self.default_target not in self.metrics:
            raise ValueError(f"the default target {shown(self.default_target)} is none of the metrics")
        return self

    @property
    def run_columns(self) -> list[str]:
        """The columns of single training runs, of all metrics."""
        return [column for metric in self.metrics.values() for column in metric.repeats]

    def departing(self, departs: list[str]) -> Card:
        """The card of a table that is not the official one, and says so in its title."""
        facts = self.facts.model_copy(update={"departs": departs})
        return self.model_copy(
            update={"facts": facts, "title": f"{self.title} (not the official table: {'; '.join(departs)})"}
        )

    def with_metrics(self, more: Mapping[str, Mapping[str, Any]]) -> Card:
        """The card with further metrics, or with others in their place."""
        fields = self.as_dict()
        return as_card(fields | {"metrics": fields["metrics"] | more}, self.name)

    def as_dict(self) -> dict[str, Any]:
        """The card as it is written: what was given, further fields included."""
        return self.model_dump(exclude_unset=True)


def as_card(card: Card | Mapping[str, Any], where: str) -> Card:
    """A checked card; DataError naming `where` and the first field that is not usable."""
    if isinstance(card, Card):
        return card
    try:
        return Card.model_validate(card)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = " / ".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        message = f"the card's '{field}' is {shown(first['input'])}: {reason}" if field else f"the card: {reason}"
        raise DataError(
            f"{where}: " + (f"the card has no '{field}'" if first["type"] == "missing" else message)
        ) from None


def read_card(path: Path) -> Card:
    """The JSON card at `path`; DataError if it is missing, broken or incomplete."""
    try:
        content = json.loads(read_bytes(path, CARD_LIMIT))
    except DataError as error:
        raise DataError(
            f"{path}: not a readable benchmark card ({str(error).removeprefix(f'{path}: ')}); import the benchmark again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a readable benchmark card ({error}); import the benchmark again") from None
    try:
        card = as_card(content, str(path))
        if not card.sha256:
            raise DataError(f"{path}: the card has no 'sha256'")
    except DataError as error:
        raise DataError(f"{error}; import the benchmark again") from None
    return card
