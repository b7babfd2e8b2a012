"""Compiled layers of networks that are too large to be compiled as a whole, in force under `vmap`.

An ensemble calls its network under `vmap`, where a layer sees one member's tensors. A compiled program wants all
members' tensors at once, and a program of one layer serves every layer that is alike. So, for each such layer:

1. `_Part` takes the place of its `forward`. It lays what the layer reads (weights, buffers, arguments, in any nesting)
   out as one list of tensors (`_take_apart`), and looks up the program for such a list: same layer, same shapes.
2. `_Stacked`, an autograd function whose `vmap` rule is handed the stacked tensors [M, ...], steps out of the
   ensemble's `vmap` and calls the program with them.
3. `Program` is, plainly, `vmap` of the layer itself over that list; `build` compiles it with its derivative.
4. What comes out is put together again (`_put_together`); buffers that the layer moved on are written back.

So a part computes what its layer does, in one compiled program for all members; the tests train networks both ways.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from archrank.encoders.ensembling.noise import Counter, Vector, noise, uniform
from archrank.encoders.ensembling.stacked import in_front
from archrank.eval.engine.compiled.build import build, operations, signature
from archrank.eval.engine.network import stateless

# Operations in a forward pass. Compiling takes about 0.05 s each.
MOST_IN_A_LAYER = 1500
_programs: dict[Any, Program] = {}


class Parts:
    """The compiled parts of a network, in force inside `with parts.running():`. `seconds` is what building them
    took."""

    def __init__(self, network: nn.Module, members: int, forward: Callable[[], Any]) -> None:
        """forward: calls the network once (for one member, keeping nothing), to find out what its parts do. ValueError
        if no part is small enough."""
        self.members, self.seconds, self.active = members, 0.0, False
        layers = [
            entry
            for entries in network.modules()
            if isinstance(entries, nn.ModuleList)
            for entry in entries
            if any(entry.children())
        ]
        counts = operations(forward, [network, *layers])
        whole = counts.pop(network)
        self.modules = [
            layer for layer, count in counts.items() if 0 < count <= MOST_IN_A_LAYER and "forward" not in vars(layer)
        ]
        if not self.modules:
            raise ValueError(
                f"a forward pass takes {whole:,} operations, and it has no layers that are compiled one by one"
            )
        for part in [_Part(module, self) for module in self.modules]:
            part.module.forward = part

    def __str__(self) -> str:
        return f"{type(self.modules[0]).__name__} (each of {len(self.modules)}), {self.seconds:.0f} s to build, not counted in training"

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
        self.signature = signature(module)
        # Looked up once: walking through a module's children at every step takes as long as a small program runs.
        self.weights, self.buffers = _places(module, module.named_parameters()), _places(module, module.named_buffers())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.parts.active:
            return self.plain(*args, **kwargs)
        weights, buffers = (
            {name: getattr(owner, last) for name, owner, last in places} for places in (self.weights, self.buffers)
        )
        given: list[Tensor] = []
        structure: list[Any] = []
        call = _take_apart((args, kwargs), given, structure)
        tensors = [*weights.values(), *buffers.values(), *given]
        key = (
            self.signature,
            self.parts.members,
            torch.get_num_threads(),
            tuple(structure),
            tuple((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors),
        )
        if key not in _programs:
            _programs[key] = Program(
                self, call, list(weights), list(buffers), self._numbers(weights, buffers, call, given)
            )
        program = _programs[key]
        program.part = self
        outputs = _Stacked.apply(program, uniform(torch.empty(program.numbers, device=tensors[0].device)), *tensors)
        with torch.no_grad():
            for buffer, after in zip(buffers.values(), outputs):
                buffer.copy_(after)
        return _put_together(program.result, outputs[len(buffers) :])

    def _numbers(
        self, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], call: Any, given: list[Tensor]
    ) -> int:
        """How many random numbers a call takes."""
        counter = Counter()
        args, kwargs = _put_together(call, given)
        with torch.no_grad(), noise(counter), self.parts.running(False):
            functional_call(
                self.module, (dict(weights), {name: buffer.clone() for name, buffer in buffers.items()}), args, kwargs
            )
        return counter.taken


class Program:
    """One part for all members at one shape: tensors [M, ...] -> buffers after the call, then the tensors of the
    result."""

    def __init__(self, part: _Part, call: Any, weights: list[str], buffers: list[str], numbers: int) -> None:
        self.part, self.call, self.weights, self.buffers, self.numbers = part, call, weights, buffers, numbers
        self.result: Any = None
        self.built: dict[tuple[bool, ...], Callable[..., tuple[Tensor, ...]]] = {}

    def __call__(self, *stacked: Tensor) -> tuple[Tensor, ...]:
        """Build at the first call, run from then on; once for each choice of tensors that want a gradient. Only here do
        they say so: inside of `vmap` none does."""
        wanting = tuple(tensor.requires_grad for tensor in stacked)
        if wanting in self.built:
            return self.built[wanting](*stacked)
        start = time.perf_counter()
        built = build(self._stacked)
        outputs = built(*stacked)
        self.built[wanting] = built
        self.part.parts.seconds += time.perf_counter() - start
        return outputs

    def _stacked(self, *stacked: Tensor) -> tuple[Tensor, ...]:
        with self.part.parts.running(False):
            outputs: tuple[Tensor, ...] = vmap(self._of_member)(*stacked)
            return outputs

    def _of_member(self, numbers: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        first, second = len(self.weights), len(self.weights) + len(self.buffers)
        weights = dict(zip(self.weights, tensors[:first]))
        buffers = {name: buffer.clone() for name, buffer in zip(self.buffers, tensors[first:second])}
        args, kwargs = _put_together(self.call, tensors[second:])
        with noise(Vector(numbers)):
            outputs, buffers = stateless(self.part.module, weights, buffers, *args, **kwargs)
        results: list[Tensor] = []
        self.result = _take_apart(outputs, results, [])
        return (*(buffers[name] for name in self.buffers), *results)


class _Stacked(torch.autograd.Function):
    """Leaves `vmap`: calls a program with all members' tensors. What it computes is differentiated by the program's own
    derivative."""

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
        outputs = tuple(program(*(in_front(tensor, dim, info.batch_size) for tensor, dim in zip(tensors, in_dims[1:]))))
        return outputs, tuple(0 for _ in outputs)


def _places(module: nn.Module, named: Iterable[tuple[str, Tensor]]) -> list[tuple[str, nn.Module, str]]:
    """Name, owner and name there of each of a module's tensors."""
    return [(name, module.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name, _ in named]


class _Slot(int):
    """Stands for a tensor of a taken-apart value: its place in the list of tensors."""


def _take_apart(value: Any, tensors: list[Tensor], structure: list[Any]) -> Any:
    """`value` with its tensors moved to `tensors` and replaced by slots; `structure` gets what else tells two values
    apart."""

    def slot(tensor: Tensor) -> _Slot:
        tensors.append(tensor)
        return _Slot(len(tensors) - 1)

    return _rebuilt(value, slot, structure.append)


def _put_together(value: Any, tensors: Any) -> Any:
    """The inverse of `_take_apart`, with other tensors."""
    return _rebuilt(value, lambda slot: tensors[slot], lambda _: None)


def _rebuilt(value: Any, leaf: Callable[[Any], Any], note: Callable[[Any], None]) -> Any:
    """`value` with `leaf(...)` in place of every tensor or slot in it, through mappings, sequences and attributes of
    objects. note: called with what tells two values apart: types, keys, lengths and plain values, in order.

    `torch.utils._pytree` stops at objects that nobody registered, such as `layers.edges.Edges`; this goes into them.
    """
    if isinstance(value, (Tensor, _Slot)):
        note("tensor")
        return leaf(value)
    note(type(value))
    if isinstance(value, Mapping):
        note(tuple(value))
        return {name: _rebuilt(part, leaf, note) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        note(len(value))
        parts = [_rebuilt(part, leaf, note) for part in value]
        return parts if isinstance(value, list) else type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if hasattr(value, "__dict__") and not isinstance(value, (type, nn.Module)) and not callable(value):
        shell = copy.copy(value)
        object.__setattr__(shell, "__dict__", _rebuilt(vars(value), leaf, note))
        return shell
    note(getattr(value, "__qualname__", None) or repr(value))
    return value
