"""Many networks of one shape as one: stacked parameters, one program for all members.

A member's scores, gradients and running statistics are those it would have alone, to rounding. Networks that `vmap`
cannot take (data-dependent code, other libraries' message passing) and those that keep state where it cannot see it
(lists of tensors, generators, counters) train
sequentially: each member is a network of its own, whose parameters are parts of the stacked ones, called as PyTorch
calls any, under a torch seed of the member's own. The reason is kept in `fallback`.
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
from archrank.encoders.ensembling.noise import Counter, NoiseSource, Vector, noise
from archrank.eval.engine.batching import GraphView
from archrank.eval.engine.compiled.parts import Parts
from archrank.eval.engine.network import stateless
from archrank.eval.engine.random_numbers import derive_seed


class NotVmapped(RuntimeError):
    """A batch that `vmap` refuses though it took the probe's; the message is its reason."""


class Ensemble:
    """M networks that differ only in their numbers. `parameters` and `buffers`: name -> tensor [M, ...]."""

    def __init__(
        self, networks: Sequence[nn.Module], device: torch.device | str = "cpu", seeds: Sequence[int] | None = None
    ) -> None:
        """seeds: the members' own, for randomness that torch's generators give sequential members (0, 1, ... where
        there are none)."""
        self.size = len(networks)
        self.networks = [network.to(device) for network in networks]
        self.skeleton = self.networks[0]
        parameters, buffers = stack_module_state(self.networks)
        self.parameters: dict[str, Tensor] = {
            k: v.detach().contiguous().requires_grad_(v.requires_grad) for k, v in parameters.items()
        }
        self.buffers: dict[str, Tensor] = {k: v.detach().clone() for k, v in buffers.items()}
        self.device = torch.device(device)
        self.seeds = [
            np.random.SFC64(derive_seed(seed, "loop")) for seed in (range(self.size) if seeds is None else seeds)
        ]
        self.fallback: str | None = None
        self.parts: Parts | None = None

    def train(self, mode: bool = True) -> Ensemble:
        """Training or evaluation mode, for dropout and normalisation."""
        for network in self.networks:
            network.train(mode)
        return self

    def call(
        self,
        graphs: Graphs,
        task: str,
        numbers: Tensor | Sequence[NoiseSource] | None = None,
        parameters: dict[str, Tensor] | None = None,
        buffers: dict[str, Tensor] | None = None,
    ) -> Any:
        """The network's `forward(graphs, task)` for every member: graphs with leading dimensions [M, B], results [M,
        ...].

        numbers: each member's random numbers for this call, float [M, n] (see `count_noise`) or a source each.
        parameters, buffers: in place of the ensemble's own. NotVmapped if `vmap` refuses this batch in training; in
        evaluation mode the members are sequential from then on.
        """
        if self.fallback is None:
            try:
                return self._vmapped(graphs, task, numbers, parameters, buffers)
            except Exception as error:  # whatever vmap objects to
                if self.skeleton.training:
                    raise NotVmapped(one_line(error, 160)) from error
                self.separate(one_line(error, 160))
        sources: Sequence[NoiseSource | None] = (
            [None] * self.size
            if numbers is None
            else list(map(Vector, numbers))
            if isinstance(numbers, Tensor)
            else numbers
        )

        def called(network: nn.Module, m: int) -> Any:
            with noise(source) if (source := sources[m]) is not None else nullcontext():
                return network(
                    graphs.with_tensors({name: tensor[m] for name, tensor in graphs.tensors().items()}), task
                )

        result = self._each(called, parameters)
        self._collect_buffers()
        return result

    def compare(self, first: Tensor, second: Tensor, parameters: dict[str, Tensor] | None = None) -> Tensor:
        """Log-odds [M, B, C] that embeddings first [M, B, dim] beat second [M, C, dim]."""

        def called(weights: dict[str, Tensor], buffers: dict[str, Tensor], a: Tensor, b: Tensor) -> Any:
            return stateless(self.skeleton, weights, buffers, a, task="compare", other=b)[0]

        if self.fallback is None:
            compared: Tensor = vmap(called, randomness="error")(
                self.parameters if parameters is None else parameters, self.buffers, first, second
            )
            return compared
        return self._each(lambda network, m: network(first[m], task="compare", other=second[m]), parameters)

    def differentiate(self, loss: Tensor) -> None:
        """Give the parameters the gradients of the members' losses [M], and none to those that no loss depends on."""
        for parameter in self.parameters.values():
            parameter.grad = None
        loss.sum().backward()
        if self.fallback is None:
            return
        for name, *owned in _alike(network.named_parameters() for network in self.networks):
            if any(part.grad is not None for part in owned):
                self.parameters[name].grad = torch.stack(
                    [torch.zeros_like(part) if part.grad is None else part.grad for part in owned]
                )
            for part in owned:
                part.grad = None

    def separate(self, reason: str) -> None:
        """Call each member's own network from now on, one after the other: its parameters become parts of the stacked
        ones."""
        self.fallback = reason
        if self.parts is not None:
            self.parts.dissolve()
            self.parts = None
        self._lend(self.parameters)
        with torch.no_grad():
            for name, *owned in _alike(network.named_buffers() for network in self.networks):
                for m, buffer in enumerate(owned):
                    buffer.data = self.buffers[name][m].clone()

    def _vmapped(
        self,
        graphs: Graphs,
        task: str,
        numbers: Tensor | Sequence[NoiseSource] | None,
        parameters: dict[str, Tensor] | None,
        buffers: dict[str, Tensor] | None,
    ) -> Any:
        stacked, buffers = (
            self.parameters if parameters is None else parameters,
            self.buffers if buffers is None else buffers,
        )
        numbers = numbers if isinstance(numbers, Tensor) else torch.empty(self.size, 0, device=self.device)

        def called(
            weights: dict[str, Tensor], buffers: dict[str, Tensor], batch: dict[str, Tensor], own_numbers: Tensor
        ) -> Any:
            with noise(Vector(own_numbers)):
                return stateless(self.skeleton, weights, buffers, graphs.with_tensors(batch), task=task)

        with self.parts.running(self.skeleton.training) if self.parts else nullcontext():
            result, after = vmap(called, randomness="error")(stacked, buffers, graphs.tensors(), numbers)
        buffers.update((name, tensor.detach().contiguous()) for name, tensor in after.items())
        return result

    def _each(self, function: Callable[[nn.Module, int], Any], parameters: dict[str, Tensor] | None) -> Any:
        """What `function` makes of every member's network and number: [M, ...]."""
        if parameters is not None:
            self._lend(parameters)
        results = []
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            for m, (network, seeds) in enumerate(zip(self.networks, self.seeds)):
                torch.manual_seed(seeds.random_raw() >> 1)
                results.append(function(network, m))
        if parameters is not None:
            self._lend(self.parameters)
        return _stack(results)

    def _collect_buffers(self) -> None:
        """Stack the networks' buffers; what a network put in place of one no longer belongs to the step that computed
        it."""
        for network in self.networks:
            for part in network.modules():
                part._buffers.update(
                    {
                        name: buffer.detach()
                        for name, buffer in part._buffers.items()
                        if buffer is not None and buffer.requires_grad
                    }
                )
        self.buffers = {
            name: torch.stack(values) for name, *values in _alike(network.named_buffers() for network in self.networks)
        }

    def _lend(self, parameters: dict[str, Tensor]) -> None:
        """Let the networks' parameters be parts of these, without a gradient."""
        for name, *owned in _alike(network.named_parameters() for network in self.networks):
            for m, parameter in enumerate(owned):
                parameter.data, parameter.grad = parameters[name].detach()[m], None

    def count_noise(self, graphs: Graphs, task: str) -> int:
        """How many random numbers one member takes in one training call on graphs [B]; no state is touched."""
        counter = Counter()
        with torch.no_grad(), noise(counter):
            weights = {name: tensor[0] for name, tensor in self.parameters.items()}
            buffers = {name: tensor[0].clone() for name, tensor in self.buffers.items()}
            stateless(self.skeleton, weights, buffers, graphs, task=task)
        return counter.taken

    def compile(self, views: Sequence[GraphView], task: str) -> str:
        """Run layers as compiled programs in training from now on, where that is possible; returns what became of it,
        in one line.

        views: one of every shape that training will have.
        """
        first = views[0].graphs[torch.tensor(0, device=self.device)]
        try:
            self.parts = Parts(self.skeleton, self.size, lambda: self.count_noise(first, task))
            if (refused := self.refusal(views, task)) is not None:
                raise ValueError(refused)
        except ValueError as error:
            if self.parts is not None:
                self.parts.dissolve()
            self.parts = None
            return f"not compiled: {error}"
        return f"compiled: {self.parts}"

    def refusal(self, views: Sequence[GraphView], task: str) -> str | None:
        """Why `vmap` cannot take these views: a forward and backward pass for each in training mode, then a forward
        pass as predictions are made. None if it can; nothing is kept."""
        buffers = {name: tensor.clone() for name, tensor in self.buffers.items()}
        training = self.skeleton.training
        try:
            for view in views if training else ():
                out = self._vmapped(view.graphs, task, view.noise, None, None)
                (out[0] if isinstance(out, tuple) else out).sum().backward()
            self.train(False)
            with torch.no_grad():
                embedded = self._vmapped(views[0].graphs, "embed" if task == "pairs" else task, None, None, None)
                if task == "pairs":
                    self.compare(embedded, embedded)
        except Exception as error:  # whatever vmap objects to
            return one_line(error, 160)
        finally:
            self.train(training)
            self.buffers = buffers
            for parameter in self.parameters.values():
                parameter.grad = None
        return None


def _alike(named: Any) -> Any:
    """(name, tensor of member 0, tensor of member 1, ...) of the networks' named tensors."""
    for row in zip(*named):
        yield row[0][0], *(tensor for _, tensor in row)


def _stack(results: Sequence[Any]) -> Any:
    """The members' results, tensors or tuples and dicts of them, as one [M, ...]."""
    if isinstance(results[0], dict):
        return {name: _stack([result[name] for result in results]) for name in results[0]}
    return tuple(map(_stack, zip(*results))) if isinstance(results[0], tuple) else torch.stack(list(results))
