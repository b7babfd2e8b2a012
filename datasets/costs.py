"""Static costs of an architecture, which a table may hold and a graph tells roughly."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["COSTS", "Cost"]

Cost = Literal["parameters", "flops"]
COSTS: tuple[str, ...] = get_args(Cost)
