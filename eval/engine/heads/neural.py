"""Neural heads."""

from __future__ import annotations

from typing import Literal

from archrank.eval.engine.heads import neural_head
from archrank.eval.engine.heads.layers import Head


@neural_head("linear")
def linear() -> Head:
    """One linear layer; a learned encoder's default, in place of which its recipe may name another."""
    return Head()


@neural_head("mlp")
def mlp(
    *, hidden: tuple[int, ...] = (128, 128), dropout: float = 0.0, activation: Literal["relu", "tanh", "none"] = "relu"
) -> Head:
    """Hidden layers of 128 and 128 units; a fixed encoding's default."""
    return Head(hidden=hidden, dropout=dropout, activation=activation)
