"""`TrialRecord`: one stored trial, and the one schema of a store's trials (docs/store.md is generated from it). No
torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.visible import visible
from archrank.eval.trials.fields import Count, Name, Number, Sha256, Text, Values, first_fault
from archrank.eval.trials.trial import Trial, key_of

__all__ = [
    "SCHEMA",
    "Damaged",
    "Digest",
    "Model",
    "Provenance",
    "TestSet",
    "Timings",
    "TrialFailure",
    "TrialRecord",
    "parse_record",
]

SCHEMA: Final = 2
"""The version that is written. 1 had no digests: of such a trial only the key tells whether it was changed."""


class Damaged(ArchrankError):
    """A file of a store that is not what a run wrote. It counts as not stored: reading leaves it out, the next run
    makes it again."""


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )


class Timings(_Part):
    """Seconds that a trial took. Null where nothing was trained."""

    fit_s: Number | None = None
    """seconds of training: of an ensemble, its seconds divided by its members, without evaluation and compilation"""
    predict_s: Number | None = None
    """seconds of predicting the test architectures, their encoding included (that of a pre-trained encoding is part of
    `pretrain_s`)"""
    pretrain_s: Number | None = None
    """seconds of the unsupervised pre-training, which trials share"""
    architectures_per_s: Number | None = None
    """test architectures predicted per second"""
    members: Count | None = None
    """trials that trained together in the ensemble"""


class Model(_Part):
    """Size of the predictor."""

    parameters: Count | None = None
    """trained parameters, the head's included"""
    dim: Count | None = None
    """length of the encoding"""


class TestSet(_Part):
    """What the trial was tested on."""

    __test__ = False  # no test of pytest's

    architectures: Count | None = None
    """number of test architectures"""
    set: Name | None = None
    """sha256 of their rows"""
    train: Count | None = None
    """number of labelled architectures it was trained on"""
    validation: Count | None = None
    """number of labelled architectures that chose among its epochs"""
    target: Name | None = None
    """the score it was tested on, where that is another than it was trained on"""


class Provenance(_Part):
    """Where the result came from. Further versions may be listed."""

    model_config = ConfigDict(extra="allow")

    archrank: Name | None = None
    """version"""
    commit: Name | None = None
    """commit, with `+changes` if files differ; null when installed"""
    torch: Name | None = None
    """version"""
    python: Name | None = None
    """version"""
    device: Name | None = None
    """`cpu` or `cuda`"""
    hardware: Name | None = None
    """name of the processor or GPU"""
    threads: Count | None = None
    """threads of the process"""
    finished: Name | None = None
    """UTC, `2026-11-21T22:59:00Z`"""
    compiled: bool | None = None
    """whether the training step was compiled, not whether that was asked for"""
    ensemble: Name | None = None
    """sha256 over the keys of the trials that trained together, in their order"""

    @model_validator(mode="before")
    @classmethod
    def _visible_extras(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: item if name in cls.model_fields else visible(str(item))[:200] for name, item in value.items()}


class TrialFailure(_Part):
    """Why a trial failed."""

    type: Name
    """class of the exception, or `Undefined` where its predictions order nothing"""
    message: Text
    """what it says"""
    traceback: Text | None = None
    """where it was raised"""

    @property
    def headline(self) -> str:
        """The first line of the message."""
        return [*self.message.splitlines(), ""][0]


class Digest(_Part):
    """A file beside the trial, as the run wrote it."""

    sha256: Sha256
    """of the whole file"""
    rows: Count
    """number of architectures in it"""


class TrialRecord(_Part):
    """One stored trial."""

    schema_version: Annotated[Literal[1, 2], Field(alias="schema")] = SCHEMA
    """version of this form"""
    key: Sha256
    """sha256 over everything in `trial` (sorted JSON) and nothing else: not the machine, the order, the device or the
    report options"""
    status: Literal["done", "failed"]
    """whether it has metrics"""
    trial: Trial
    """what was trained and scored"""
    label: Annotated[Name, Field(min_length=1)]
    """what tables and figures call this predictor; unique per encoder, options and head"""
    reference: Name | None = None
    """how a command line names it: as the label, or `file.py:Class` for an encoder from a file"""
    family: Name = ""
    """the encoder's family: `path`, `GNN`, `flow transformer`, ..."""
    space: Name | None = None
    """search space of the benchmark"""
    metrics: dict[Name, Number | None] = {}
    """metric -> value; null where it is undefined (a constant prediction), never 0; absent where it was not computed"""
    timings: Timings = Timings()
    """what it cost"""
    model: Model = Model()
    """how large the predictor is"""
    test: TestSet = TestSet()
    """what it was tested on"""
    recipe: Values = {}
    """every field of the recipe as it was used"""
    config: Values | None = None
    """options of the encoder as it was built, those of the recipe included"""
    notes: list[Text] = []
    """deviations and fallbacks"""
    provenance: Provenance = Provenance()
    """versions and hardware"""
    error: TrialFailure | None = None
    """why it failed"""
    predictions: Digest | None = None
    """its file of predictions"""
    encodings: Digest | None = None
    """its file of encodings, kept for the first seed of a run"""
    digest: Sha256 | None = None
    """sha256 over everything else in this record (sorted JSON); required from schema 2 on"""

    @model_validator(mode="after")
    def _consistent(self) -> TrialRecord:
        if self.status == "failed" and self.error is None:
            object.__setattr__(self, "error", TrialFailure(type="unknown", message="the record does not say why"))
        return self

    @property
    def command_name(self) -> str:
        """How to name the predictor on a command line: an encoder from a file by its file, any other by its label."""
        return self.reference or self.label

    def plain(self) -> dict[str, Any]:
        """The record as JSON values."""
        return self.model_dump(mode="json", by_alias=True)

    def text(self) -> str:
        """The record as the text of its file, with its digest."""
        values = self.model_copy(update={"schema_version": SCHEMA, "digest": None}).plain()
        values["digest"] = _digest(values)
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _digest(values: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in values.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def parse_record(data: bytes) -> TrialRecord:
    """A trial from the bytes of its file.

    Raises:
        Damaged: they are no JSON, a field is missing or of another type, the key is not that of the trial's fields, or
            the digest not that of the record. The message says which, in one line.
    """
    try:
        values = from_json(data, allow_inf_nan=False)
        record = TrialRecord.model_validate_json(data)
        if record.key != key_of(values["trial"]):
            raise Damaged("its key is not that of the trial in it: the trial was edited, or the file is damaged")
        if (record.digest or record.schema_version > 1) and record.digest != _digest(values):
            raise Damaged("its digest is not that of what it holds: it was edited, or is damaged")
    except ValidationError as error:
        place, why = first_fault(error)
        raise Damaged(f"{f'field {place}' if place else 'not a trial'}: {why}") from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"not JSON that can be read ({visible(str(error))[:120]})") from None
    return record
