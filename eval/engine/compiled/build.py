"""Building programs with `torch.compile`'s back end from what the engine would run."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from archrank.encoders.ensembling.fused import fusing

# Matrices of up to so many rows and columns are multiplied by written-out sums.
SMALL = 24


def build(function: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
    """The function of tensors as a program: as two where a tensor wants a gradient, forward and backward, and then what
    the forward pass computes is kept, since recomputing it costs more than its memory here. Tensors that the function
    changes in place are changed in place."""
    from functorch.compile import aot_function, default_partition
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.decomposition import select_decomp_table

    def traced(*tensors: Tensor) -> tuple[Tensor, ...]:
        with fusing():
            return function(*tensors)

    built: Callable[..., tuple[Tensor, ...]] = aot_function(
        traced,
        fw_compiler=compile_fx_inner,
        bw_compiler=partial(compile_fx_inner, is_backward=True),
        partition_fn=default_partition,
        decompositions={**select_decomp_table(), torch.ops.aten.bmm.default: _small_products},
        keep_inference_input_mutations=True,
    )
    return built


def _small_products(left: Tensor, right: Tensor) -> Any:
    """Products with the matrix of a small graph, written out: so they are fused with what stands around them, where a
    library's call for hundreds of 8 x 8 matrices takes most of its time for itself."""
    from torch._inductor.decomposition import bmm

    rows, inner, columns = *left.shape[1:], right.shape[2]
    if left.device.type == "cpu" and rows <= SMALL and inner <= SMALL and columns >= 16 and right.stride(2) == 1:
        return (left.unsqueeze(-1) * right.unsqueeze(-3)).sum(-2)
    return bmm(left, right)


def operations(forward: Callable[[], Any], modules: list[nn.Module]) -> dict[nn.Module, int]:
    """How many operations each module takes when `forward` is called."""

    class Count(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            Count.total += 1
            return function(*args, **(kwargs or {}))

    counts = dict.fromkeys(modules, 0)
    hooks = []
    for module in modules:

        def before(module: nn.Module, _: Any) -> None:
            counts[module] -= Count.total

        def after(module: nn.Module, *_: Any) -> None:
            counts[module] += Count.total

        hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        with torch.no_grad(), Count():
            forward()
    finally:
        for hook in hooks:
            hook.remove()
    return counts


def signature(module: nn.Module) -> tuple[Any, ...]:
    """The same for modules that compute the same from the same parameters and buffers."""

    def settings(part: nn.Module) -> tuple[tuple[str, bytes], ...]:
        held = {
            name: [entry for entry, value in vars(part)[name].items() if value is not None]
            for name in ("_parameters", "_buffers", "_modules")
        }
        return tuple((name, _written(value)) for name, value in (vars(part) | held).items())

    return tuple((name, type(part), settings(part)) for name, part in module.named_modules())


def _written(value: Any) -> bytes:
    """A value in full; of what cannot be written (a lambda, say) something unlike anything else."""
    try:
        return pickle.dumps(value)
    except Exception:  # whatever a stranger's object objects to
        return uuid.uuid4().bytes
