"""Whether somebody's encoder may share one program with other members: what an ensemble takes for granted, looked at
once before training.

An ensemble stacks parameters and buffers. Whatever else a network holds (lists of tensors, floats drawn in its
constructor, generators, counters) is the first member's for all, and a compiled program keeps it as it was. So one step
of two members as an ensemble is compared with the same step of each network called by itself, and that with itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.eval.engine.batching import Batch, BatchSampler, Member, sizes
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.engine.recipes import Recipe
from archrank.eval.engine.update import Update, losses

# Differences as shares of the largest value: of one program from another (single precision), and of a network from
# itself.
ROUNDING, REPEATED = 1e-3, 1e-6
Make = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Findings:
    """What is wrong with an encoder in an ensemble. sequential: why its members must train one after the other (None:
    they need not).

    notes: what a reader of its results should know.
    """

    sequential: str | None
    notes: list[str]


def verify(make: Make, spaces: list[Graphs], member: Member, recipe: Recipe, task: str) -> Findings:
    """Look at an encoder before it trains.

    make: a new predictor (encoder and head) by its seed. spaces: as `BatchSampler` takes them, with what the encoder
    derives.
    task: `score` or `pairs`. ArchrankError if it has weights that nothing trains.
    """
    with torch.random.fork_rng(devices=[]):
        refuse_hidden_weights(
            make(member.seed), spaces[0][torch.as_tensor(member.train[:2], device=spaces[0].device)], task
        )
        notes = [fault for fault in (seeding(make, member.seed),) if fault]
        foreign = _foreign_generators()
        sequential = _sequential(make, spaces, member, recipe, task)
        if drawn := [name for name, state in _foreign_generators().items() if state != foreign[name]]:
            notes.append(
                f"draws from {' and '.join(drawn)}, which does not follow the seed: a repeated run gives other results"
            )
    return Findings(sequential, notes)


def seeding(make: Make, seed: int = 0) -> str | None:
    """What is wrong with a predictor's initial weights, in one line: they must follow torch's seed, and differ from
    seed to seed."""
    before = _foreign_generators()
    first, again, other = make(seed), make(seed), make(seed + 1)
    state, after = first.state_dict(), _foreign_generators()
    if not _equal(state, again.state_dict()):
        drawn = [name for name in before if before[name] != after[name]] or ["a generator of its own"]
        return f"initial weights do not follow torch's seed, they come from {' and '.join(drawn)}: a repeated run gives other results"
    encoder = first.get_submodule("encoder")
    weights = {f"encoder.{name}" for name, _ in encoder.named_parameters()}
    if weights and _equal({name: state[name] for name in weights}, other.state_dict()):
        return "every seed starts from the same weights (does the constructor seed torch?): the spread over seeds is too small"
    return None


def refuse_hidden_weights(network: nn.Module, graphs: Graphs, task: str = "score") -> None:
    """ArchrankError naming weights that a forward pass uses though they are no parameters of the network (layers in a
    plain list, say)."""
    out = network.train()(graphs, task)
    out = out[0] if isinstance(out, tuple) else out
    known = {id(parameter) for parameter in network.parameters()}
    hidden = next((leaf for leaf in _leaves(out.grad_fn) if id(leaf) not in known), None)
    if hidden is not None:
        raise ArchrankError(
            f"{_place(network, hidden)} holds weights that PyTorch does not see: they are never trained, and all seeds share them; "
            "use nn.ModuleList, nn.ModuleDict or nn.ParameterList, or name each layer as self.layer = ..."
        )


def compiled_differs(plain: Update, compiled: Update, samples: list[Batch]) -> str | None:
    """How two steps of a compiled update differ from the plain form, in one line; None if they do not. Both are of new
    ensembles of the same members.

    samples: a batch of every shape that training will have.
    """
    for batch in (samples * 2)[:2]:
        ordinary = [plain.differentiate(batch), *plain.gradients().values()]
        results = [compiled.differentiate(batch), *(compiled.gradients()[name] for name in plain.gradients())]
        if (apart := _apart(results, ordinary)) > ROUNDING:
            return f"a compiled step differs from the plain one by {apart:.0e}"
    return None


def _sequential(make: Make, spaces: list[Graphs], member: Member, recipe: Recipe, task: str) -> str | None:
    pair = [member, replace(member, seed=derive_seed(member.seed, "another"))]
    ensemble = Ensemble([make(each.seed) for each in pair], spaces[0].device).train()
    count = sizes(len(member.train), recipe)[0]
    numbers = ensemble.count_noise(spaces[0][torch.as_tensor(member.train[:count], device=spaces[0].device)], task)
    sampler = BatchSampler(pair, spaces, recipe, {count: numbers})
    if (refused := ensemble.refusal([sampler.sample(count).views[0]], task)) is not None:
        return refused
    start = {name: tensor.clone() for name, tensor in ensemble.buffers.items()}
    together = _step(ensemble, recipe, task, sampler.sample(count))
    held = []
    alone = []
    for _ in range(2):
        ensemble.buffers = {name: tensor.clone() for name, tensor in start.items()}
        ensemble.separate("compared")
        alone.append(_step(ensemble, recipe, task, sampler.sample(count)))
        held.append(dict(_plain_values(ensemble.skeleton)))
    changed = [name for name, value in held[0].items() if held[1].get(name) != value]
    if changed or _apart(*alone) > REPEATED:
        what = f"it keeps {changed[0]}" if changed else "it keeps state in Python"
        return f"{what}, which changes from call to call"
    if _apart(together, alone[0]) > ROUNDING:
        return "a member would differ from itself alone: it keeps numbers of its own outside its parameters and buffers"
    return None


def _step(ensemble: Ensemble, recipe: Recipe, task: str, batch: Batch) -> list[Tensor]:
    """What a step of training sees, and what a prediction does: losses, gradients, running statistics, scores or
    embeddings."""
    loss = losses(ensemble.train(), recipe, task, batch)
    ensemble.differentiate(loss)
    gradients = [
        torch.zeros_like(weight) if weight.grad is None else weight.grad
        for weight in ensemble.parameters.values()
        if weight.requires_grad
    ]
    with torch.no_grad():
        embedded = ensemble.train(False).call(batch.views[0].graphs, "embed")
    ensemble.train()
    return [loss.detach(), *gradients, *(buffer.clone() for buffer in ensemble.buffers.values()), embedded]


def _apart(first: list[Tensor], second: list[Tensor]) -> float:
    """The largest difference of tensors, relative to the largest value of their kind: of the loss, of all gradients and
    statistics, of the scores."""

    def largest(tensors: list[Tensor]) -> float:
        return max((float(tensor.double().abs().max()) for tensor in tensors if tensor.numel()), default=0.0)

    kinds = [slice(0, 1), slice(1, -1), slice(-1, None)]
    return max(
        largest([a.double() - b.double() for a, b in zip(first[kind], second[kind])])
        / max(largest(second[kind]), 1e-12)
        for kind in kinds
    )


def _equal(some: dict[str, Any], others: dict[str, Any]) -> bool:
    return all(torch.equal(value, others[name]) for name, value in some.items() if isinstance(value, Tensor))


def _foreign_generators() -> dict[str, int]:
    """The state of the generators that torch's seed does not reach, as a number each."""
    drawn: Any = np.random.get_state()
    return {
        "numpy's generator": hash((drawn[1].tobytes(), drawn[2:])),
        "Python's random module": hash(random.getstate()),
    }


def _leaves(node: Any) -> Iterator[Tensor]:
    """Tensors at which the gradient that starts at a node ends."""
    seen, open_nodes = set(), [node]
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        open_nodes += [following for following, _ in node.next_functions]


def _place(network: nn.Module, weight: Tensor) -> str:
    """The attribute through which a weight is reached, as its author wrote it."""
    for module in network.modules():
        for name, value in vars(module).items():
            if name not in ("_parameters", "_buffers", "_modules") and any(
                weight_held is weight for weight_held in _held(value)
            ):
                return f"self.{name} of {type(module).__name__}, a {type(value).__name__},"
    return f"the encoder's forward pass (with a tensor {list(weight.shape)} from outside the module)"


def _held(value: Any, depth: int = 4) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.parameters()
    elif depth:
        inside = (
            value.values()
            if isinstance(value, dict)
            else value
            if isinstance(value, (list, tuple, set, frozenset))
            else vars(value).values()
            if hasattr(value, "__dict__") and not isinstance(value, type)
            else ()
        )
        for part in [*inside]:
            yield from _held(part, depth - 1)


def _plain_values(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Numbers and words that modules hold as attributes, by name."""
    for place, module in network.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, (bool, int, float, str, complex)) and name != "training":
                yield f"self.{name} ({place})", value
