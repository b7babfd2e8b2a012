"""The loss and the gradient of all members of an ensemble as one program.

The members' losses are independent: the gradient of their sum with respect to member m's weights is the gradient of
loss m. So one backward pass of `sum(losses)` over the stacked weights gives every member its own, and all of it, from a
batch's tensors to the row of gradients, is one function of tensors that the compiler takes. The plain form of the same
is `Update.differentiate`; the tests train by both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value

from archrank.datasets.errors import one_line
from archrank.eval.engine.batching import Batch
from archrank.eval.engine.compiled.build import build, operations, signature
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.packed import PackedUpdate
from archrank.eval.engine.recipes import Recipe
from archrank.eval.engine.update import Update, losses

# Operations in a forward pass. Compiling takes about 0.05 s each, so of what is larger only the layers are compiled.
MOST_OPERATIONS = 600
_programs: dict[Any, Callable[..., tuple[Tensor, ...]]] = {}


def compiled_update(ensemble: Ensemble, recipe: Recipe, task: str, samples: Sequence[Batch]) -> tuple[Update, str]:
    """Updates by compiled programs where that is possible, else plain ones, and what became of it in one line.

    samples: a batch of every shape that training will have.
    """
    views = [sample.views[0] for sample in samples]
    first = views[0].graphs[torch.tensor(0, device=ensemble.device)]
    if operations(lambda: ensemble.count_noise(first, task), [ensemble.skeleton])[ensemble.skeleton] > MOST_OPERATIONS:
        return Update(ensemble, recipe, task), ensemble.compile(views, task)
    parameters = dict(ensemble.parameters)
    try:
        start = time.perf_counter()
        update = CompiledUpdate(ensemble, recipe, task, samples)
    except Exception as error:  # whatever the compiler objects to
        ensemble.parameters |= parameters
        return Update(ensemble, recipe, task), f"not compiled: {one_line(error, 160)}"
    return update, f"compiled: whole steps, {time.perf_counter() - start:.0f} s to build, not counted in training"


class CompiledUpdate(PackedUpdate):
    """Loss and gradient by one program per shape of batch, of which `samples` holds one each."""

    def __init__(self, ensemble: Ensemble, recipe: Recipe, task: str, samples: Sequence[Batch]) -> None:
        super().__init__(ensemble, recipe, task)
        self.programs = {sample.labels.shape: self._program(sample) for sample in samples}

    def differentiate(self, batch: Batch) -> Tensor:
        """See `Update`."""
        with torch.no_grad():
            loss, self.row.grad = self.programs[batch.labels.shape](*self._state(), *batch.tensors())
        return loss

    def _state(self) -> list[Tensor]:
        return [self.row.detach(), *self.fixed.values(), *self.ensemble.buffers.values()]

    def _program(self, sample: Batch) -> Callable[..., tuple[Tensor, ...]]:
        tensors = [*self._state(), *sample.tensors()]
        key = (
            signature(self.ensemble.skeleton),
            self.task,
            self.recipe.model_dump_json(exclude={"name", "lr", "epochs", "updates"}),
            torch.get_num_threads(),
            tuple(self.fixed),
            tuple(tuple(view.graphs.tensors()) for view in sample.views),
            tuple((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors),
        )
        if key not in _programs:
            program = build(self._gradient(sample))
            with torch.no_grad():
                program(*(tensor.clone() for tensor in tensors))  # the first call builds
            _programs[key] = program
        return _programs[key]

    def _gradient(self, sample: Batch) -> Callable[..., tuple[Tensor, ...]]:
        """Loss [M] and gradient [M, P] as a function of the state's and a batch's tensors; moves running statistics
        on."""
        ensemble, recipe, task, fixed, buffers = (
            self.ensemble,
            self.recipe,
            self.task,
            list(self.fixed),
            list(self.ensemble.buffers),
        )

        def gradient(row: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
            rest = iter(tensors)
            constant, running = {name: next(rest) for name in fixed}, {name: next(rest) for name in buffers}
            batch = sample.with_tensors(list(rest))

            def objective(weights: dict[str, Tensor]) -> tuple[Tensor, Any]:
                moved = {name: buffer.clone() for name, buffer in running.items()}
                loss = losses(ensemble, recipe, task, batch, constant | weights, moved)
                return loss.sum(), (loss, moved)

            gradients, (_, (loss, moved)) = grad_and_value(objective, has_aux=True)(self.parted(row))
            for name, buffer in running.items():
                buffer.copy_(moved[name])
            return loss, self.joined(gradients)

        return gradient
