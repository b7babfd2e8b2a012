"""What encoders that train on unlabelled graphs share: seeding, a plain training loop, encoding in chunks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs

log = logging.getLogger(__name__)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Everything random inside follows from `seed`; the caller's random state is put back. Gradients are on inside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.enable_grad():
        torch.manual_seed(seed)
        yield


def minibatches(count: int, size: int, device: torch.device) -> Iterator[Tensor]:
    """Endless minibatches of shuffled indices below `count`; a pass ends with a partial batch."""
    while True:
        order = torch.randperm(count, device="cpu").to(device)
        yield from torch.split(order, size)


def decayed(model: nn.Module, amount: float, *, norms: bool = False) -> list[dict[str, object]]:
    """AdamW groups: weight decay on matrices and embeddings, none on biases; on norm weights only if `norms`."""
    parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        parts[not name.endswith("bias") and (norms or parameter.dim() > 1)].append(parameter)
    return [{"params": parts[True], "weight_decay": amount}, {"params": parts[False], "weight_decay": 0.0}]


class Packed:
    """All parameters of a model as parts of one tensor, `row` [P], which an optimiser updates in one piece: with tens
    of small tensors, what it does around them takes longer than the update."""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = list(model.parameters())
        self.row = nn.Parameter(nn.utils.parameters_to_vector(self.parameters).detach())
        nn.utils.vector_to_parameters(self.row.detach(), self.parameters)

    def backward(self, loss: Tensor) -> None:
        """Give the row the gradient of a loss that depends on every parameter."""
        self.row.grad = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, self.parameters)])


def fit(
    loss: Callable[[Tensor], Tensor],
    count: int,
    optimizer: torch.optim.Optimizer,
    *,
    updates: int,
    batch: int,
    device: torch.device,
    warmup: int = 0,
    decay: bool = True,
    clip: float | None = None,
    name: str = "",
    backward: Callable[[Tensor], None] = torch.autograd.backward,
) -> list[float]:
    """Minimise `loss(indices)` over random minibatches of indices below `count`.

    warmup: steps of linearly rising learning rate; decay: then linearly falling to 0. backward: gives what the
    optimiser updates the gradient of a loss. Returns the loss of every update and reports every
    tenth part of the way to the log.
    """

    def rate(step: int) -> float:
        rising = (step + 1) / warmup if warmup else 1.0
        falling = (updates - step) / max(updates - warmup, 1) if decay else 1.0
        return max(0.0, min(rising, falling, 1.0))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate) if decay or warmup else None
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    losses: list[Tensor] = []
    for step, index in zip(range(updates), minibatches(count, batch, device)):
        optimizer.zero_grad()
        value = loss(index)
        backward(value)
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        losses.append(value.detach())
        if (step + 1) % max(updates // 10, 1) == 0:
            log.info("%s: update %d of %d, loss %.4f", name, step + 1, updates, losses[-1].item())
    return torch.stack(losses).tolist() if losses else []


def in_chunks(function: Callable[[Graphs], Tensor], graphs: Graphs, size: int) -> Tensor:
    """`function` of all graphs, `size` at a time, without gradients: [B, ...]."""
    chunks: Iterable[Graphs] = (graphs[start : start + size] for start in range(0, max(len(graphs), 1), size))
    with torch.no_grad():
        return torch.cat([function(chunk) for chunk in chunks])
