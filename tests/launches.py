"""What a training step would launch on a GPU, found out on torch's `meta` device, on which nothing is computed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

SYNCHRONISE = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal"}
# They allocate or relabel, and compute nothing.
FREE = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "detach",
    "_unsafe_view",
    "lift_fresh",
}


class Launches(TorchDispatchMode):
    """Counts, by name, operations that are no views, and those that wait for the device or have a tensor of the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        actual = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        tensors = [part for part in tree_flatten((args, kwargs or {}, actual))[0] if isinstance(part, torch.Tensor)]
        if name in SYNCHRONISE:
            self.faults[f"{name} waits for the device"] += 1
        elif any(tensor.device.type == "cpu" for tensor in tensors):
            self.faults[f"{name} has a tensor of the CPU"] += 1
        if not is_view(function) and tensors:
            self.count[name] += 1
        return actual


class OneLaunch:
    """Stands in for a fused optimiser, which takes one launch for all weights and which the `meta` device has not."""

    def __init__(self, weights: list[torch.Tensor], **_: Any) -> None:
        self.weights, self.param_groups = weights, [{"params": weights}]

    @torch.no_grad()
    def step(self) -> None:
        """Use the gradients."""
        torch._foreach_add_(self.weights, [weight.grad for weight in self.weights])


def is_view(function: Any) -> bool:
    """Whether an operation gives another view of its argument, or memory without content."""
    returned = function._schema.returns
    alias = bool(returned) and all(out.alias_info is not None and not out.alias_info.is_write for out in returned)
    return alias or function.overloadpacket.__name__ in FREE
