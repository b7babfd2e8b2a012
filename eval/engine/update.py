"""One update of all members of an ensemble: loss, gradient, clipping, optimiser, moving average; each member as it
would be alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from archrank.eval.engine.batching import Batch
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.recipes import Recipe
from archrank.eval.engine.supervised import compared, supervised


def losses(
    ensemble: Ensemble,
    recipe: Recipe,
    task: str,
    batch: Batch,
    weights: dict[str, Tensor] | None = None,
    buffers: dict[str, Tensor] | None = None,
) -> Tensor:
    """The loss [M] of every member. weights, buffers: in place of the ensemble's own; running statistics in the buffers
    move on."""
    results = [ensemble.call(view.graphs, task, view.noise, weights, buffers) for view in batch.views]
    out, extra = results[0]
    if task == "pairs":
        return compared(recipe, out, batch.labels) + extra
    loss = torch.stack(
        [supervised(recipe, scores, batch.labels, view.pairs) for (scores, _), view in zip(results, batch.views)]
    ).mean(0)
    for scores, _ in results[1:]:
        loss = loss + recipe.consistency * (out - scores).abs().mean(-1)
    return loss + extra


class Update:
    """Updates an ensemble step by step, operation after operation.

    weights: the tensors that learn. average: the moving average of the parameters, where the recipe keeps one.
    """

    def __init__(self, ensemble: Ensemble, recipe: Recipe, task: str) -> None:
        self.ensemble, self.recipe, self.task = ensemble, recipe, task
        self.weights = self._weights()
        self.average: dict[str, Tensor] | None = None
        if recipe.ema:
            self.average = {name: weight.detach().clone() for name, weight in ensemble.parameters.items()}
        kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = kind(
            self.weights,
            lr=recipe.lr,
            betas=recipe.betas,
            eps=recipe.eps,
            weight_decay=recipe.weight_decay,
            fused=True,
        )

    def __call__(self, batch: Batch, rate: float) -> Tensor:
        """The next step, at learning rate `rate`; returns the loss [M] that it started from."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return self.advance(batch)

    def advance(self, batch: Batch) -> Tensor:
        """The next step at the learning rate that is set; returns the loss [M] that it started from."""
        loss = self.differentiate(batch)
        if self.recipe.clip is not None:
            clip([weight.grad for weight in self.weights if weight.grad is not None], self.recipe.clip)
        self.optimizer.step()
        self._move_average()
        return loss

    @torch.no_grad()
    def _move_average(self) -> None:
        if self.average is not None:
            for name, value in self.average.items():
                value.lerp_(self.ensemble.parameters[name], 1 - self.recipe.ema)

    def _weights(self) -> list[Tensor]:
        return [weight for weight in self.ensemble.parameters.values() if weight.requires_grad]

    def gradients(self) -> dict[str, Tensor]:
        """The gradients [M, ...] of the last batch, by the parameters' names; none for those that no loss depends
        on."""
        return {name: weight.grad for name, weight in self.ensemble.parameters.items() if weight.grad is not None}

    def differentiate(self, batch: Batch) -> Tensor:
        """The loss [M]; the weights get their gradients."""
        loss = losses(self.ensemble, self.recipe, self.task, batch)
        self.ensemble.differentiate(loss)
        return loss.detach()


def clip(gradients: Sequence[Tensor], limit: float) -> None:
    """Scale every member's gradients [M, ...] to a norm of at most `limit`, each member by itself (as `clip_grad_norm_`
    does for one)."""
    squares = torch.stack([gradient.reshape(len(gradient), -1).square().sum(1) for gradient in gradients]).sum(0)
    factor = (limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))
