"""What a neural head is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Head(BaseModel):
    """From an embedding [B, dim] to one score: hidden layers (none: linear), each with `activation` and `dropout`, then
    one output."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    hidden: tuple[int, ...] = ()
    bias: bool = True
    activation: Literal["relu", "tanh", "none"] = "relu"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    output: Literal["identity", "sigmoid"] = "identity"
