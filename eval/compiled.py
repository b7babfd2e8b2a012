"""Training programs compiled by `torch.compile`'s back end: element-wise work fused, so that numbers are moved less often.

What is compiled is what the engine runs: a part of the network for all members of an ensemble at once, with its derivative. A small network is
one part; of a large one the entries of its `nn.ModuleList`s are, and layers that are alike share one program. A program is good for one shape of
batch. Building one takes seconds to a minute (less once PyTorch has it on disk) and needs a C++ compiler, or Triton on a GPU.

Compiled and plain programs round differently in the last digits: an ensemble is one or the other from its first step to its last.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from archrank.encoders.layers.noise import Counter, Vector, noise, uniform
from archrank.encoders.layers.stacked import in_front

# Operations in a forward pass. Compiling takes about 0.05 s each, so what is larger is taken apart.
MOST_OPERATIONS = 600
MOST_IN_A_LAYER = 1500
# Matrices of up to so many rows and columns are multiplied by written-out sums.
SMALL = 24
_programs: dict[Any, Program] = {}


class Parts:
    """The compiled parts of a network, in force inside `with parts.running():`. `seconds` is what building them took."""

    def __init__(self, network: nn.Module, members: int, forward: Callable[[], Any]) -> None:
        """forward: calls the network once (for one member, keeping nothing), to find out what its parts do. ValueError if no part is small enough."""
        self.members, self.seconds, self.active = members, 0.0, False
        layers = [entry for entries in network.modules() if isinstance(entries, nn.ModuleList) for entry in entries if any(entry.children())]
        counts = _operations(forward, [network, *layers])
        whole = counts.pop(network)
        small = [layer for layer, count in counts.items() if 0 < count <= MOST_IN_A_LAYER]
        self.modules = [network] if whole <= MOST_OPERATIONS else small
        if not self.modules:
            raise ValueError(f"a forward pass takes {whole:,} operations, and it has no layers that are compiled one by one")
        parts = [_Part(module, self) for module in self.modules]
        for module, part in zip(self.modules, parts):
            module.forward = part
        self.whole = parts[0] if whole <= MOST_OPERATIONS else None

    def __str__(self) -> str:
        number = len(self.modules)
        return f"{type(self.modules[0]).__name__}{f' (each of {number})' if number > 1 else ''}, {self.seconds:.0f} s to build, not counted in training"

    @contextmanager
    def running(self, active: bool = True) -> Iterator[None]:
        """Calls of the parts inside run compiled programs (or, with `active` False, do not)."""
        was, self.active = self.active, active
        try:
            yield
        finally:
            self.active = was

    def dissolve(self) -> None:
        """Give the modules back as they were."""
        for module in self.modules:
            module.__dict__.pop("forward", None)


class _Part:
    """Stands in for a module's `forward`."""

    def __init__(self, module: nn.Module, parts: Parts) -> None:
        self.module, self.parts, self.plain = module, parts, module.forward
        self.signature = _signature(module)
        # Looked up once: walking through a module's children at every step takes as long as a small program runs.
        self.weights, self.buffers = _places(module, module.named_parameters()), _places(module, module.named_buffers())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.parts.active:
            return self.plain(*args, **kwargs)
        weights, buffers = ({name: getattr(owner, last) for name, owner, last in places} for places in (self.weights, self.buffers))
        return self._run(weights, buffers, args, kwargs, None, _Stacked.apply)

    def stacked(self, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], drawn: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The call for all members, without `vmap` around it: tensors [M, ...], drawn [M, n] the random numbers that it takes."""
        return self._run(weights, buffers, args, kwargs, drawn, lambda program, *tensors: program(*tensors))

    def _run(self, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], args: Any, kwargs: Any, drawn: Tensor | None,
             apply: Callable[..., Any]) -> Any:
        given: list[Tensor] = []
        structure: list[Any] = []
        call = _take_apart((args, kwargs), given, structure)
        tensors = [*weights.values(), *buffers.values(), *given]
        key = (self.signature, self.parts.members, torch.get_num_threads(), drawn is None, tuple(structure),
               tuple((tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad) for tensor in tensors))
        if key not in _programs:
            numbers = self._numbers(weights, buffers, call, given) if drawn is None else drawn.shape[-1]
            _programs[key] = Program(self, call, list(weights), list(buffers), numbers)
        program = _programs[key]
        program.part = self
        if drawn is None:
            drawn = uniform(torch.empty(program.numbers, device=tensors[0].device))
        found = apply(program, drawn, *tensors)
        with torch.no_grad():
            for buffer, after in zip(buffers.values(), found):
                buffer.copy_(after)
        return _put_together(program.result, found[len(buffers):])

    def _numbers(self, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], call: Any, given: list[Tensor]) -> int:
        """How many random numbers a call takes."""
        counter = Counter()
        args, kwargs = _put_together(call, given)
        with torch.no_grad(), noise(counter), self.parts.running(False):
            functional_call(self.module, (dict(weights), {name: buffer.clone() for name, buffer in buffers.items()}), args, kwargs)
        return counter.taken


class Program:
    """One part for all members at one shape: tensors [M, ...] -> buffers after the call, then the tensors of the result."""

    def __init__(self, part: _Part, call: Any, weights: list[str], buffers: list[str], numbers: int) -> None:
        self.part, self.call, self.weights, self.buffers, self.numbers = part, call, weights, buffers, numbers
        self.result: Any = None
        self.built: Callable[..., tuple[Tensor, ...]] | None = None

    def __call__(self, *stacked: Tensor) -> tuple[Tensor, ...]:
        """Build at the first call, run from then on."""
        if self.built is not None:
            return self.built(*stacked)
        start = time.perf_counter()
        built = _build(self._stacked)
        found = built(*stacked)
        self.built = built
        self.part.parts.seconds += time.perf_counter() - start
        return found

    def _stacked(self, *stacked: Tensor) -> tuple[Tensor, ...]:
        with self.part.parts.running(False):
            found: tuple[Tensor, ...] = vmap(self._one)(*stacked)
            return found

    def _one(self, drawn: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        first, second = len(self.weights), len(self.weights) + len(self.buffers)
        weights = dict(zip(self.weights, tensors[:first]))
        buffers = {name: buffer.clone() for name, buffer in zip(self.buffers, tensors[first:second])}
        args, kwargs = _put_together(self.call, tensors[second:])
        with noise(Vector(drawn)):
            found = functional_call(self.part.module, (weights, buffers), args, kwargs)
        results: list[Tensor] = []
        self.result = _take_apart(found, results, [])
        return (*buffers.values(), *results)


class _Stacked(torch.autograd.Function):
    """Leaves `vmap`: calls a program with all members' tensors. What it computes is differentiated by the program's own derivative."""

    @staticmethod
    def forward(program: Program, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Never called: a part is only in force under `vmap`."""
        raise RuntimeError("a compiled part was called for a single network")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing to keep."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], program: Program, *tensors: Tensor) -> tuple[Any, Any]:
        """The program for all members."""
        found = tuple(program(*(in_front(tensor, dim, info.batch_size) for tensor, dim in zip(tensors, in_dims[1:]))))
        return found, tuple(0 for _ in found)


def _build(function: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
    """Forward and backward as two compiled graphs. What the forward pass computes is kept: recomputing it costs more than its memory here."""
    from functorch.compile import aot_function, default_partition
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.decomposition import select_decomp_table

    built: Callable[..., tuple[Tensor, ...]] = aot_function(
        function, fw_compiler=compile_fx_inner, bw_compiler=partial(compile_fx_inner, is_backward=True), partition_fn=default_partition,
        decompositions={**select_decomp_table(), torch.ops.aten.bmm.default: _small_products})
    return built


def _small_products(left: Tensor, right: Tensor) -> Any:
    """Products with the matrix of a small graph, written out: so they are fused with what stands around them, where a library's call for
    hundreds of 8 x 8 matrices takes most of its time for itself."""
    from torch._inductor.decomposition import bmm

    rows, inner, columns = *left.shape[1:], right.shape[2]
    if left.device.type == "cpu" and rows <= SMALL and inner <= SMALL and columns >= 16 and right.stride(2) == 1:
        return (left.unsqueeze(-1) * right.unsqueeze(-3)).sum(-2)
    return bmm(left, right)


def _operations(forward: Callable[[], Any], modules: list[nn.Module]) -> dict[nn.Module, int]:
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


def _places(module: nn.Module, named: Iterable[tuple[str, Tensor]]) -> list[tuple[str, nn.Module, str]]:
    """Name, owner and name there of each of a module's tensors."""
    return [(name, module.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name, _ in named]


def _signature(module: nn.Module) -> str:
    """The same for modules that compute the same from the same tensors."""
    def settings(part: nn.Module) -> list[tuple[str, str]]:
        return sorted((name, repr(value)) for name, value in vars(part).items() if not name.startswith("_") and name != "forward")

    return repr([(name, type(part), settings(part)) for name, part in module.named_modules()])


class _Slot(int):
    """Stands for a tensor of a taken-apart value."""


def _take_apart(value: Any, tensors: list[Tensor], structure: list[Any]) -> Any:
    """`value` with its tensors moved to `tensors` and replaced by slots; `structure` gets what else tells two values apart."""
    if isinstance(value, Tensor):
        tensors.append(value)
        structure.append("tensor")
        return _Slot(len(tensors) - 1)
    structure.append(type(value))
    if isinstance(value, Mapping):
        structure.append(tuple(value))
        return {name: _take_apart(part, tensors, structure) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        structure.append(len(value))
        parts = [_take_apart(part, tensors, structure) for part in value]
        return parts if isinstance(value, list) else type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if hasattr(value, "__dict__") and not isinstance(value, (type, nn.Module)) and not callable(value):
        shell = copy.copy(value)
        object.__setattr__(shell, "__dict__", _take_apart(vars(value), tensors, structure))
        return shell
    structure.append(getattr(value, "__qualname__", None) or repr(value))
    return value


def _put_together(value: Any, tensors: Any) -> Any:
    """The inverse of `_take_apart`, with other tensors."""
    if isinstance(value, _Slot):
        return tensors[value]
    if isinstance(value, dict):
        return {name: _put_together(part, tensors) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [_put_together(part, tensors) for part in value]
        return parts if isinstance(value, list) else type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if hasattr(value, "__dict__") and not isinstance(value, (type, nn.Module)) and not callable(value):
        shell = copy.copy(value)
        object.__setattr__(shell, "__dict__", _put_together(vars(value), tensors))
        return shell
    return value
