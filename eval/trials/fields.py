"""Types of the fields of stored trials. Each is checked and bounded on reading, and shows as what it is. No torch
here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from archrank.datasets.io.visible import visible

__all__ = ["Count", "Name", "Number", "Part", "Sha256", "Text", "Values", "first_fault"]

LONGEST_NAME = 4_000
LONGEST_TEXT = 20_000
LARGEST_COUNT = 2**53
LARGEST_NUMBER = 1e100


def _name(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


def _text(value: Any) -> Any:
    """Several lines; of a long text (the traceback of a deep recursion) the beginning and the end."""
    if not isinstance(value, str):
        return value
    if len(value) > LONGEST_TEXT:
        half = LONGEST_TEXT // 2 - 50
        value = f"{value[:half]}\n... {len(value) - 2 * half:,} characters left out ...\n{value[-half:]}"
    return visible(value, lines=True)


def _values(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, (list, tuple)):
        return [_values(item) for item in value]
    if isinstance(value, dict):
        return {_values(name): _values(item) for name, item in value.items()}
    return value


Name = Annotated[str, BeforeValidator(_name), Field(max_length=LONGEST_NAME)]
"""One line: a name, a label, a version. Control characters become their escapes."""

Text = Annotated[str, BeforeValidator(_text)]
"""Any text, line breaks included."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A sha256 in hexadecimal digits."""

Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
"""A whole number from 0 on."""

Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
"""A finite number whose square is finite too."""

Values = Annotated[dict[str, Any], AfterValidator(_values)]
"""Any JSON object."""


class Part(BaseModel):
    """A part of what is published: fields of exactly these types; others are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, use_attribute_docstrings=True)


def first_fault(error: ValidationError) -> tuple[str, str]:
    """The first field that is wrong (empty: the whole), and why; nothing in them acts on a terminal."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ".".join(visible(str(part))[:60] for part in first["loc"]), visible(first["msg"])[:120]
