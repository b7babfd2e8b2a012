"""The least that the work can take on this machine: its arithmetic at the measured matrix rate, its bytes at the
measured bandwidth."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from archrank.eval.bench.prepared_case import PreparedCase
from archrank.eval.engine.training import synchronize

TRIES, TRY_S = 5, 0.05
COPIED = 64 * 2**20


@dataclass(frozen=True)
class Roofline:
    """Counts for one member, and this machine's rates.

    step_flops: of one mean training step, forward and backward; step_bytes: its weights and the activations kept for
    the backward pass, once each.
    score_flops, score_bytes: of predicting one architecture (its own tensors; the weights are read once for many).
    flops_s: float32 operations a second in matrix products of these shapes; bytes_s: bytes read plus bytes written a
    second in a large copy.
    """

    step_flops: float
    step_bytes: float
    score_flops: float
    score_bytes: float
    flops_s: float
    bytes_s: float
    batch: float

    def as_dict(self) -> dict[str, float]:
        """For a file."""
        return asdict(self)


def roofline(prepared: PreparedCase) -> Roofline:
    """Count one member's work with PyTorch's `FlopCounterMode` and measure the machine."""
    job, member = prepared.job, prepared.job.members[0]
    size, recipe = len(member.train), job.recipe
    first = min(recipe.batch, size)
    mean = first if recipe.updates is not None else (size - (size % recipe.batch == 1)) / prepared.job.steps_per_epoch
    graphs = job.graphs[torch.as_tensor(member.train[:first])]
    network = job.network(graphs[:2], member).train()
    network(graphs[:2], "embed")
    # Structure of the graphs is derived once for a space, so it is no part of a step.
    with torch.no_grad():
        network(graphs, job.task)
    activation_bytes: dict[int, int] = {}
    alive: list[Tensor] = []
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            activation_bytes[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with FlopCounterMode(display=False) as both, saved_tensors_hooks(note, lambda tensor: tensor):
        out, extra = network(graphs, job.task)
        (out.sum() + extra).backward()
    # Not `no_grad`, under which the counter trips over views of weights; and weights that ask for a gradient it looks
    # for in vain.
    network.requires_grad_(False)
    with torch.inference_mode(), FlopCounterMode(display=False) as once:
        network.eval()(graphs, "embed" if job.pairs else "score")
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    tensors = sum(t.numel() * t.element_size() for t in graphs.tensors().values())
    share = mean / first * (2 if recipe.consistency else 1)
    device = prepared.case.device
    return Roofline(
        both.get_total_flops() * share,
        weights + sum(activation_bytes.values()) * share,
        once.get_total_flops() / first,
        tensors / first,
        matrix_rate(len(job.members), first * graphs.nodes, prepared.dim, device),
        copy_rate(device),
        mean,
    )


def matrix_rate(members: int, rows: int, dim: int, device: str = "cpu") -> float:
    """Float32 operations a second of the stacked product [members, rows, dim] x [members, dim, 2 dim]: the best of a
    few short tries."""
    x, w = torch.rand(members, rows, dim, device=device), torch.rand(members, dim, 2 * dim, device=device)
    return 2 * members * rows * dim * 2 * dim / _best(lambda: torch.bmm(x, w), device)


def copy_rate(device: str = "cpu") -> float:
    """Bytes read plus bytes written a second in a copy larger than the caches."""
    source = torch.zeros(COPIED // 4, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED / _best(lambda: target.copy_(source), device)


def _best(call: Any, device: str) -> float:
    """Seconds a call in the quickest of a few tries; of CPU time on a CPU, which waiting for a busy core does not
    lengthen."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    call()
    seconds = []
    for _ in range(TRIES):
        synchronize(device)
        start, count = clock(), 0
        while clock() - start < TRY_S:
            call()
            count += 1
            synchronize(device)
        seconds.append((clock() - start) / count)
    return min(seconds)
