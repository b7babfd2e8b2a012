"""Autograd functions whose derivative is written by hand, for one network or for a stack of them.

Networks here are tiny: what a training step costs is how many operations it takes and how often each number is moved. A
hot part as one function with an analytic derivative takes a fraction of the operations that its parts would record, may
work in place, and under `vmap` is one call.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=type[torch.autograd.Function])


def over_members(function: Function) -> Function:
    """Gives an autograd function its rule under `vmap`: every tensor gets the members' dimension in front, and the
    function takes it along.

    So the function must accept tensors with one more leading dimension, and treat that one alike in all of them.
    """

    def rule(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        moved = [in_front(argument, dim, info.batch_size) for argument, dim in zip(arguments, in_dims)]
        result: Any = function.apply(*moved)
        return result, tuple(0 for _ in result) if isinstance(result, tuple) else 0

    function.vmap = staticmethod(rule)  # type: ignore[method-assign]
    return function


def in_front(argument: Any, dim: int | None, members: int) -> Any:
    """A tensor with the members' dimension in front, `dim` being where it is (None: nowhere, all members share it)."""
    if not isinstance(argument, Tensor):
        return argument
    return argument.expand(members, *argument.shape) if dim is None else argument.movedim(dim, 0)
