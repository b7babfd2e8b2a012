"""Updates of weights that lie in one row per member: what follows the gradient is done to all of them at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from archrank.eval.engine.batching import Batch
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.recipes import Recipe
from archrank.eval.engine.update import Update, losses


class PackedUpdate(Update):
    """`Update` in few launches: the weights that learn are one row [M, P], of which the ensemble's parameters become
    views.

    Clipping adds a member's squares up in another order than `Update`, so that weights agree to rounding. Weights that
    no loss depends on decay here; no score depends on them.
    """

    def __init__(self, ensemble: Ensemble, recipe: Recipe, task: str) -> None:
        learnt = {name: weight for name, weight in ensemble.parameters.items() if weight.requires_grad}
        self.fixed = {name: weight for name, weight in ensemble.parameters.items() if name not in learnt}
        self.shapes = {name: weight.shape for name, weight in learnt.items()}
        self.row = self.joined(learnt).requires_grad_()
        super().__init__(ensemble, recipe, task)
        self.learnt = {name: part.requires_grad_() for name, part in self.parted(self.row.detach()).items()}
        ensemble.parameters |= self.learnt
        if self.average is not None:
            self.average_row = self.row.detach().clone()
            self.average = self.average | self.parted(self.average_row)

    def _weights(self) -> list[Tensor]:
        return [self.row]

    def gradients(self) -> dict[str, Tensor]:
        """See `Update`."""
        return {} if self.row.grad is None else self.parted(self.row.grad)

    def differentiate(self, batch: Batch) -> Tensor:
        """See `Update`."""
        loss = losses(self.ensemble, self.recipe, self.task, batch)
        gradients = torch.autograd.grad(
            loss, list(self.learnt.values()), torch.ones_like(loss), allow_unused=True, materialize_grads=True
        )
        self.row.grad = self.joined(dict(zip(self.learnt, gradients)))
        return loss.detach()

    @torch.no_grad()
    def _move_average(self) -> None:
        if self.average is not None:
            self.average_row.lerp_(self.row, 1 - self.recipe.ema)

    def joined(self, named: Mapping[str, Tensor]) -> Tensor:
        """Weights [M, ...] side by side: [M, P]."""
        return torch.cat([named[name].detach().flatten(1) for name in self.shapes], 1)

    def parted(self, row: Tensor) -> dict[str, Tensor]:
        """Weights [M, ...] as views of a row [M, P]."""
        parts = row.split([shape[1:].numel() for shape in self.shapes.values()], 1)
        return {name: part.view(shape) for part, (name, shape) in zip(parts, self.shapes.items())}
