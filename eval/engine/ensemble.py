"""Many networks of one shape as one: stacked parameters, one program for all members.

A member's scores, gradients and running statistics are those it would have alone. Networks that `vmap` cannot take (data-dependent
code, other libraries' message passing) run one after the other on the same stacked parameters, each call under a torch seed of
the member's own; the reason is kept in `fallback`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import stack_module_state, vmap

from archrank.datasets.errors import one_line
from archrank.datasets.graphs import Graphs
from archrank.encoders.ensembling.noise import Counter, Vector, noise
from archrank.eval.engine.batching import View, derive_seed
from archrank.eval.engine.compiled.parts import Parts
from archrank.eval.engine.network import stateless


class Ensemble:
    """M networks that differ only in their numbers. `parameters` and `buffers`: name -> tensor [M, ...]."""

    def __init__(self, networks: Sequence[nn.Module], device: torch.device | str = "cpu", seeds: Sequence[int] | None = None) -> None:
        """seeds: the members' own, for randomness that torch's generators give a loop (0, 1, ... where there are none)."""
        self.size = len(networks)
        self.skeleton = networks[0].to(device)
        parameters, buffers = stack_module_state([network.to(device) for network in networks])
        self.parameters: dict[str, Tensor] = {k: v.detach().contiguous().requires_grad_(v.requires_grad) for k, v in parameters.items()}
        self.buffers: dict[str, Tensor] = {k: v.detach().clone() for k, v in buffers.items()}
        self.device = torch.device(device)
        self.seeds = [np.random.SFC64(derive_seed(seed, "loop")) for seed in (range(self.size) if seeds is None else seeds)]
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

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], batch: dict[str, Tensor], numbers: Tensor) -> Any:
            with noise(Vector(numbers)):
                return stateless(self.skeleton, weights, buffers, graphs.with_tensors(batch), task=task)

        with self.parts.running(self.skeleton.training) if self.parts else nullcontext():
            result, after = self._each(one, stacked, buffers, graphs.tensors(), drawn)
        buffers.update((name, tensor.detach().contiguous()) for name, tensor in after.items())
        return result

    def compare(self, first: Tensor, second: Tensor, parameters: dict[str, Tensor] | None = None) -> Tensor:
        """Log-odds [M, B, C] that embeddings first [M, B, dim] beat second [M, C, dim]."""
        stacked = self.parameters if parameters is None else parameters

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], a: Tensor, b: Tensor) -> Any:
            return stateless(self.skeleton, weights, buffers, a, task="compare", other=b)[0]

        return self._each(one, stacked, self.buffers, first, second)

    def _each(self, one: Callable[..., Any], *stacked: Any) -> Any:
        """What `one` makes of every member's part of tensors, or dicts of them: [M, ...]."""
        if self.fallback is None:
            return vmap(one, randomness="error")(*stacked)
        found = []
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            for m, seeds in enumerate(self.seeds):
                torch.manual_seed(seeds.random_raw() >> 1)
                found.append(one(*({name: tensor[m] for name, tensor in part.items()} if isinstance(part, dict) else part[m] for part in stacked)))
        return _stack(found)

    def count_noise(self, graphs: Graphs, task: str) -> int:
        """How many random numbers one member takes in one training call on graphs [B]; no state is touched."""
        counter = Counter()
        with torch.no_grad(), noise(counter):
            weights = {name: tensor[0] for name, tensor in self.parameters.items()}
            buffers = {name: tensor[0].clone() for name, tensor in self.buffers.items()}
            stateless(self.skeleton, weights, buffers, graphs, task=task)
        return counter.taken

    def compile(self, views: Sequence[View], task: str) -> str:
        """Run layers as compiled programs in training from now on, where that is possible; returns what became of it, in one line.

        views: one of every shape that training will have.
        """
        first = views[0].graphs[torch.tensor(0, device=self.device)]
        try:
            self.parts = Parts(self.skeleton, self.size, lambda: self.count_noise(first, task))
            self.probe(views, task)
            if self.fallback:
                raise ValueError(self.fallback)
        except ValueError as error:
            if self.parts is not None:
                self.parts.dissolve()
            self.parts = self.fallback = None
            return f"not compiled: {error}"
        return f"compiled: {self.parts}"

    def probe(self, views: Sequence[View], task: str) -> None:
        """Find out whether the members can run as one program: a forward and backward pass for each view, nothing kept."""
        kept = {name: tensor.clone() for name, tensor in self.buffers.items()}
        try:
            for view in views:
                out = self.call(view.graphs, task, view.drawn)
                (out[0] if isinstance(out, tuple) else out).sum().backward()
        except Exception as error:  # whatever vmap objects to
            self.fallback = one_line(error, 160)
        self.buffers = kept
        for parameter in self.parameters.values():
            parameter.grad = None


def _stack(found: Sequence[Any]) -> Any:
    """The members' results, tensors or tuples and dicts of them, as one [M, ...]."""
    if isinstance(found[0], dict):
        return {name: _stack([one[name] for one in found]) for name in found[0]}
    return tuple(map(_stack, zip(*found))) if isinstance(found[0], tuple) else torch.stack(list(found))
