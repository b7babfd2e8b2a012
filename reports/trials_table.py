"""One table of trials for other programs: CSV and Parquet, and the JSON schema of a record."""

from __future__ import annotations

import io
import json

import pandas as pd

from archrank.eval.trials.files import table_bytes
from archrank.eval.trials.records import TrialRecord
from archrank.reports.renderers.csv import safe

__all__ = ["record_schema", "trials_csv", "trials_parquet"]


def trials_csv(frame: pd.DataFrame) -> bytes:
    """One line per trial, with the columns of docs/store.md; what is missing is empty."""
    texts = {
        name: frame[name].map(lambda value: safe(value) if isinstance(value, str) else value) for name in _texts(frame)
    }
    stream = io.StringIO()
    frame.assign(**texts).to_csv(stream, index=False, lineterminator="\n")
    return stream.getvalue().encode()


def trials_parquet(frame: pd.DataFrame) -> bytes:
    """The same as a Parquet table: texts, whole numbers and numbers; what is missing is null."""
    import pyarrow as pa

    kinds = {name: pa.string() if name in _texts(frame) else None for name in frame.columns}
    return table_bytes({name: pa.array(frame[name], kind, from_pandas=True) for name, kind in kinds.items()})


def _texts(frame: pd.DataFrame) -> set[str]:
    return {str(name) for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])}


def record_schema() -> str:
    """The JSON schema of a trial's file (JSON Schema 2020-12), made from the one class that reads and writes it."""
    schema = TrialRecord.model_json_schema(by_alias=True)
    return (
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema, indent=1, sort_keys=True)
        + "\n"
    )
