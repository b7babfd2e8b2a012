"""Many networks of one shape as one: stacked parameters, one program for all members.

A member's scores, gradients and running statistics are those it would have alone. Networks that `vmap` cannot take (data-dependent
code, other libraries' message passing) run one after the other on the same stacked parameters; the reason is kept in `fallback`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from archrank.datasets.errors import one_line
from archrank.datasets.graphs import Graphs
from archrank.encoders.layers.noise import Counter, Vector, noise
from archrank.eval.compiled.parts import Parts
from archrank.eval.feed import View


class Ensemble:
    """M networks that differ only in their numbers. `parameters` and `buffers`: name -> tensor [M, ...]."""

    def __init__(self, networks: Sequence[nn.Module], device: torch.device | str = "cpu") -> None:
        self.size = len(networks)
        self.skeleton = networks[0].to(device)
        parameters, buffers = stack_module_state([network.to(device) for network in networks])
        self.parameters: dict[str, Tensor] = {k: v.detach().contiguous().requires_grad_(v.requires_grad) for k, v in parameters.items()}
        self.buffers: dict[str, Tensor] = {k: v.detach().clone() for k, v in buffers.items()}
        self.device = torch.device(device)
        self.fallback: str | None = None
        self.parts: Parts | None = None

    def train(self, mode: bool = True) -> Ensemble:
        """Training or evaluation mode, for dropout and normalisation."""
        self.skeleton.train(mode)
        return self

    def call(self, graphs: Graphs, task: str, drawn: Tensor | None = None, parameters: dict[str, Tensor] | None = None,
             buffers: dict[str, Tensor] | None = None) -> Any:
        """The network's `forward(graphs, task)` for every member: graphs with leading dimensions [M, B], results [M, ...].

        drawn: float [M, n], each member's random numbers for this call (see `count_noise`). parameters, buffers: in place of the ensemble's own.
        """
        stacked, buffers = self.parameters if parameters is None else parameters, self.buffers if buffers is None else buffers
        drawn = torch.empty(self.size, 0, device=self.device) if drawn is None else drawn
        training = self.skeleton.training
        tensors = graphs.tensors()

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], batch: dict[str, Tensor], numbers: Tensor) -> Any:
            with noise(Vector(numbers)):
                return functional_call(self.skeleton, (weights, buffers), (graphs.with_tensors(batch),), {"task": task})

        if self.fallback is None:
            with self.parts.running(training) if self.parts else nullcontext():
                return vmap(one, randomness="error")(stacked, buffers, tensors, drawn)
        found = []
        for m in range(self.size):
            def pick(named: dict[str, Tensor], m: int = m) -> dict[str, Tensor]:
                return {name: tensor[m] for name, tensor in named.items()}

            found.append(one(pick(stacked), pick(buffers), pick(tensors), drawn[m]))
        if isinstance(found[0], tuple):
            return tuple(torch.stack(part) for part in zip(*found))
        return torch.stack(found)

    def compare(self, first: Tensor, second: Tensor, parameters: dict[str, Tensor] | None = None) -> Tensor:
        """Log-odds [M, B, C] that embeddings first [M, B, dim] beat second [M, C, dim]."""
        stacked = self.parameters if parameters is None else parameters

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], a: Tensor, b: Tensor) -> Tensor:
            return functional_call(self.skeleton, (weights, buffers), (a,), {"task": "compare", "other": b})

        return vmap(one)(stacked, self.buffers, first, second)

    def count_noise(self, graphs: Graphs, task: str) -> int:
        """How many random numbers one member takes in one training call on graphs [B]; no state is touched."""
        counter = Counter()
        with torch.no_grad(), noise(counter):
            weights = {name: tensor[0] for name, tensor in self.parameters.items()}
            buffers = {name: tensor[0].clone() for name, tensor in self.buffers.items()}
            functional_call(self.skeleton, (weights, buffers), (graphs,), {"task": task})
        return counter.taken

    def compile(self, views: Sequence[View], task: str) -> str:
        """Run layers as compiled programs in training from now on, where that is possible; returns what became of it, in one line.

        views: one of every shape that training will have.
        """
        first = views[0].graphs[torch.tensor(0, device=self.device)]
        try:
            self.parts = Parts(self.skeleton, self.size, lambda: self.count_noise(first, task))
            for view in views:
                self.probe(view, task)
            if self.fallback:
                raise ValueError(self.fallback)
        except ValueError as error:
            if self.parts is not None:
                self.parts.dissolve()
            self.parts = self.fallback = None
            return f"not compiled: {error}"
        return f"compiled: {self.parts}"

    def probe(self, view: View, task: str) -> None:
        """Find out whether the members can run as one program: one forward and backward pass, nothing kept."""
        kept = {name: tensor.clone() for name, tensor in self.buffers.items()}
        try:
            out = self.call(view.graphs, task, view.drawn)
            (out[0] if isinstance(out, tuple) else out).sum().backward()
        except Exception as error:  # whatever vmap objects to
            self.fallback = one_line(error, 160)
        self.buffers = kept
        for parameter in self.parameters.values():
            parameter.grad = None
