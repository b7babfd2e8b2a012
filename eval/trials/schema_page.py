"""The schema of stored trials as tables for docs/store.md, from `TrialRecord`'s own fields."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from archrank.datasets.source_text import summary
from archrank.eval.trials.records import TrialRecord
from archrank.eval.trials.trial import Trial

__all__ = ["schema_tables"]

TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "array": "list",
    "null": "null",
}


def schema_tables() -> str:
    """A Markdown table for the record and one for each of its parts, in the order of the fields."""
    parts = [_table("", TrialRecord)]
    for name, field in TrialRecord.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if inspect.isclass(kind)]
        part = next((kind for kind in kinds if issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)), None)
        if part is not None and f"### `{name}`" not in "".join(parts):
            parts.append(f"### `{name}`\n\n{summary(part.__doc__ or '')}\n\n{_table(name, part)}")
    return "\n\n".join(parts)


def _table(name: str, kind: Any) -> str:
    schema = kind.model_json_schema() if issubclass(kind, BaseModel) else TypeAdapter(Trial).json_schema()
    rows = [
        f"| `{field}` | {_type(about)} | {about.get('description', '')} |"
        for field, about in schema["properties"].items()
    ]
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *rows])


def _type(about: dict[str, Any]) -> str:
    if "enum" in about:
        return " or ".join(f"`{value}`" for value in about["enum"])
    if "anyOf" in about:
        return " or ".join(dict.fromkeys(map(_type, about["anyOf"])))
    if about.get("pattern"):
        return "sha256"
    if about.get("type") == "array":
        return f"list of {_type(about['items'])}s" if about.get("items") else "list"
    return "object" if "$ref" in about else TYPES.get(about.get("type", ""), "any")
