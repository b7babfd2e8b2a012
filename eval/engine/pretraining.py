"""Pre-training an encoder on unlabelled graphs, and weights of one space for an encoder of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import own_dropout
from archrank.encoders.layers.pretraining import fit, seeded
from archrank.encoders.pretexts import PRETEXTS, PretextTask
from archrank.eval.engine.network import own_tensors

Make = Callable[[SearchSpace], nn.Module]
Weights = dict[str, Tensor]
HIDDEN_OP = "hidden"
WEIGHT_DECAY = 1e-6  # FGP's
WARMUP = 0.05
COMPARED, CLOSE = 32, 1e-4


def pretrain(
    make: Make, task: PretextTask, graphs: Graphs, space: SearchSpace, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], list[float]]:
    """Train an encoder on a pretext: AdamW, a warm-up over 5 % of the updates, then linear decay, clipping at 1.

    Everything random follows from the pretext's option `seed`. Only graphs are read (and the column that a pretext with
    `proxy` asks for).

    Args:
        make: the encoder for a space, with weights drawn from torch's generator.
        task: the pretext and its options.
        graphs: [N] the unlabelled architectures.
        space: of these.
        device: where it trains.

    Returns:
        The encoder's weights and buffers by name, on the CPU, and the loss of every update.

    Raises:
        ArchrankError: no architectures, a loss that is not finite, or an encoder that cannot be cut back to its space
            after a pretext with hidden operations.
    """
    if len(graphs) < 2:
        raise ArchrankError(f"pretext {task.text}: {len(graphs)} unlabelled architectures; it needs at least 2")
    graphs, device, options = graphs.to(device), torch.device(device), task.training
    wide = with_ops(space, [HIDDEN_OP]) if task.needs("hidden_op") else space
    with seeded(options["seed"], device):
        encoder = prepared(make(wide)).to(device)
        objective = PRETEXTS[task.reference](encoder, graphs, wide, **task.own).to(device)
        probe = graphs[:2]
        with torch.no_grad():
            encoder.eval()(probe)
        graphs.prepare(probe)
        optimizer = torch.optim.AdamW(
            [*encoder.train().parameters(), *objective.parameters()], lr=options["lr"], weight_decay=WEIGHT_DECAY
        )
        steps = iter(range(options["updates"]))
        losses = fit(
            lambda index: objective(encoder, graphs[index], next(steps) / options["updates"]),
            len(graphs),
            optimizer,
            updates=options["updates"],
            batch=min(options["batch"], len(graphs)),
            device=device,
            warmup=round(WARMUP * options["updates"]),
            clip=1.0,
            name=task.text,
        )
        if not all(torch.tensor(losses).isfinite()):
            raise ArchrankError(f"pretext {task.text}: the loss stopped being finite; try a smaller lr")
        if wide is space:
            return {name: tensor.detach().cpu().clone() for name, tensor in encoder.state_dict().items()}, losses
        few = graphs[:COMPARED]
        return cut(encoder, prepared(make(space)).to(device), few.plain(), few.plain()), losses


def prepared(encoder: nn.Module) -> nn.Module:
    """An encoder as a `Network` holds it: with our dropout, its tensors as buffers. Weights are named by that form."""
    return own_tensors(own_dropout(encoder))


def load_weights(encoder: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """The encoder with weights that `pretrain` or `cut` gave for one like it."""
    encoder = prepared(encoder)
    encoder.load_state_dict(weights)
    return encoder


def with_ops(space: SearchSpace, more: list[str]) -> SearchSpace:
    """The space with further operations behind its own."""
    return replace(space, ops=(*space.ops, *more))


def cut(
    wide: nn.Module, narrow: nn.Module, padded: Graphs, graphs: Graphs, ops: Tensor | None = None
) -> dict[str, Tensor]:
    """Weights for `narrow` of an encoder of a space with further operations, positions or edges, all behind its own.

    Of every tensor the leading part is taken, or of its operations those that are asked for. That this is right is
    looked at: both must give the same embeddings.

    Args:
        wide: the trained encoder.
        narrow: the same encoder for the smaller space.
        padded: [B] some architectures of the smaller space as the larger one has them, with nothing derived on them.
        graphs: [B] the same in their own form.
        ops: int64 [O] the operations of the larger space that stand for the smaller one's; None: its first O.

    Returns:
        Weights and buffers by name, on the CPU.

    Raises:
        ArchrankError: the encoder's weights do not grow that way.
    """
    given, state = wide.state_dict(), narrow.state_dict()
    refused = ArchrankError(
        f"the weights of {type(narrow).__name__} cannot be carried over: they do not grow by parts of their own with "
        "the operations, positions and edges of a space"
    )
    if given.keys() != state.keys():
        raise refused
    weights = {}
    for name, tensor in state.items():
        large = given[name]
        if large.dim() != tensor.dim() or any(a < b for a, b in zip(large.shape, tensor.shape)):
            raise refused
        for dim, size in enumerate(tensor.shape):
            chosen = ops is not None and len(ops) == size < large.shape[dim]
            large = large.index_select(dim, ops.to(large.device)) if chosen else large.narrow(dim, 0, size)  # type: ignore[union-attr]
        weights[name] = large.detach().clone()
    narrow.load_state_dict(weights)
    with torch.no_grad():
        before, after = wide.eval()(padded), narrow.eval()(graphs)
    if before.shape != after.shape or float((before - after).abs().max()) > CLOSE * float(before.abs().max() + 1e-6):
        raise refused
    return {name: tensor.cpu() for name, tensor in weights.items()}
