"""What an architecture costs: as its benchmark's table says, or as it looks from the graph alone where the table does
not."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from archrank.datasets.costs import Cost
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace

CHANNELS = 16
FREE_ROLES = ("input", "output", "none", "skip")
FREE_WORDS = (
    "input",
    "output",
    "none",
    "zero",
    "skip",
    "identity",
    "sum",
    "add",
    "concat",
    "elementwise",
    "blend",
    "activation",
    "relu",
    "tanh",
    "sigm",
    "norm",
    "bias",
    "global",
    "c_{k",
)


def operation_cost(op: str, channels: int = CHANNELS) -> tuple[float, float]:
    """Weights, and multiply-adds per output position, of an operation by its name, in units of channels squared.

    A convolution counts its kernel area; a separable one (as in DARTS, applied twice) and a dilated one (depthwise,
    then pointwise) count area / channels for the depthwise part and 1 for the pointwise part; pooling has no weights
    and counts area / channels; sums, skips, inputs and outputs count nothing; anything else (linear, attention, a graph
    convolution) counts 1. A convolution or pooling that names no kernel is taken as 3x3.
    """
    name = op.lower()
    area = _area(name)
    if "pool" in name:
        return 0.0, area / channels
    if "conv" in name and ("sep" in name or "dil" in name or "dw" in name):
        once = area / channels + 1
        return (2 * once, 2 * once) if "sep" in name else (once, once)
    if "conv" in name:
        return area, area
    if any(word in name for word in FREE_WORDS):
        return 0.0, 0.0
    return 1.0, 1.0


def complexity(graphs: Graphs, space: SearchSpace, metric: Cost = "parameters") -> Tensor:
    """Sum over an architecture's nodes of what their operations cost: float64 [B], in units of channels squared.

    It knows nothing of channel counts, strides, or of how often a cell is repeated. On NAS-Bench-201, whose cells all
    keep the same channels, it is the true parameter count up to scale and shift; elsewhere it follows it roughly.
    """
    free = {op for role, op in space.roles.items() if role in FREE_ROLES}
    which = 0 if metric == "parameters" else 1
    costs = [0.0 if i in free else operation_cost(op)[which] for i, op in enumerate(space.ops)]
    per_op = torch.tensor(costs, dtype=torch.float64, device=graphs.device)
    return (per_op[graphs.ops] * graphs.mask).sum(-1)


def cost(graphs: Graphs, space: SearchSpace, metric: Cost = "parameters") -> Tensor:
    """Parameters or FLOPs float64 [B]: the table's own column where the graphs have it, or else `complexity`.

    An encoding that asks declares both (`@encoding(..., columns=COSTS)`). The unit is the table's; nothing may depend
    on it.
    """
    if metric in graphs.columns:
        return graphs.columns[metric]
    return graphs.derive(f"cost/{metric}", lambda these: complexity(these, space, metric))


def _area(name: str) -> float:
    if match := re.search(r"(\d+)x(\d+)", name):
        return float(match[1]) * float(match[2])
    if match := re.search(r"(?:conv|pool)_?(\d+)", name):  # one-dimensional, as in `conv5`
        return float(match[1])
    return 9.0
