"""Training: all members of an ensemble in one loop, data resident on the device, each as it would train alone, to
rounding."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.eval.engine.batching import BatchSampler, Member, positions, sizes, steps, steps_per_epoch
from archrank.eval.engine.captured import CapturedSteps, PlainSteps, captures
from archrank.eval.engine.compiled.step import compiled_update
from archrank.eval.engine.ensemble import Ensemble, NotVmapped
from archrank.eval.engine.network import Network, parameters
from archrank.eval.engine.packed import PackedUpdate
from archrank.eval.engine.predicting import encode, predict, predict_once
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.engine.recipes import Recipe
from archrank.eval.engine.update import Update
from archrank.eval.engine.verify import compiled_differs, verify

Progress = Callable[[float], None]
Build = Callable[[Member, Graphs], nn.Module]
ASKED = "asked for"


@dataclass(eq=False)
class Outcome:
    """What came out of a member: predictions [tests], higher is better; seconds are its share of the ensemble's.

    half_width: [tests] half the width of intervals around predictions that should hold 90 % of labels; None where a
        member does not know how far it may be off.
    """

    predictions: NDArray[np.float64]
    fit_s: float
    predict_s: float
    parameters: int
    dim: int
    encodings: NDArray[np.float32] | None = None
    notes: list[str] = field(default_factory=list)
    problem: str | None = None
    half_width: NDArray[np.float64] | None = None


def learning_rate(recipe: Recipe, step: int, steps: int, per_epoch: int) -> float:
    """The factor on the learning rate at a step (0-based)."""
    if recipe.schedule_per == "epoch" and recipe.epochs is not None:
        at, total, warmup = step // per_epoch, recipe.epochs, recipe.warmup
    else:
        total, at = steps, step
        warmup = recipe.warmup * (steps if recipe.updates is not None else per_epoch)
    if at < warmup:
        return max(1e-6, at / warmup)
    share = (at - warmup) / max(total - warmup, 1)
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * share))
    return 1 - share if recipe.schedule == "linear" else 1.0


@dataclass(eq=False)
class Trained:
    """A trained ensemble in evaluation mode. average: the moving average of the weights, where the recipe keeps one."""

    ensemble: Ensemble
    graphs: Graphs
    average: dict[str, Tensor] | None
    pairs: bool
    seconds: float
    finite: Tensor
    notes: list[str]


def train(
    build: Build,
    graphs: Graphs,
    members: Sequence[Member],
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    twins: Graphs | None = None,
    pairs: bool = False,
    progress: Progress | None = None,
    one_program: bool = True,
    compiled: bool = False,
    verified: bool = True,
    head: Mapping[str, Tensor] | None = None,
) -> list[Outcome]:
    """Train `build(member, probe)` for every member as one ensemble (see `fit`) and predict each member's test rows.

    A member whose loss stops being finite gets a `problem`; the others are not touched by it.
    """
    trained = fit(
        build,
        graphs,
        members,
        recipe,
        device=device,
        twins=twins,
        pairs=pairs,
        progress=progress,
        one_program=one_program,
        compiled=compiled,
        verified=verified,
        head=head,
    )
    ensemble = trained.ensemble
    vmapped = ensemble.fallback is None
    network = ensemble.skeleton
    assert isinstance(network, Network)
    start = time.perf_counter()
    tests = [member.test for member in members]
    if getattr(network.encoder, "invariant", False) and not pairs:
        predictions = predict_once(ensemble, trained.graphs, tests, trained.average)
    else:
        predictions = predict(ensemble, trained.graphs, tests, pairs, trained.average)
    synchronize(device)
    predict_s = (time.perf_counter() - start) / len(members)
    notes = [
        *trained.notes,
        *([f"predicted sequentially: {ensemble.fallback}"] if vmapped and ensemble.fallback else []),
    ]
    outcomes = []
    for m, member in enumerate(members):
        problem = None if bool(trained.finite[m]) else "the loss stopped being finite during training"
        outcome = Outcome(
            predictions[m],
            trained.seconds / len(members),
            predict_s,
            parameters(network),
            network.dim,
            notes=[*notes],
            problem=problem,
        )
        if member.encode is not None and len(member.encode):
            outcome.encodings = encode(ensemble, trained.graphs, m, member.encode, trained.average)
        outcomes.append(outcome)
    return outcomes


def fit(
    build: Build,
    graphs: Graphs,
    members: Sequence[Member],
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    twins: Graphs | None = None,
    pairs: bool = False,
    progress: Progress | None = None,
    one_program: bool = True,
    compiled: bool = False,
    verified: bool = True,
    head: Mapping[str, Tensor] | None = None,
) -> Trained:
    """Train `build(member, probe)` for every member as one ensemble.

    build: makes an encoder; called under the member's own seed. graphs: the whole space. All members must have batches
    of one shape (equal numbers of training rows, or a recipe in `updates` with at least a batch each).
    twins: for a recipe with a consistency loss, an equivalent of every architecture. pairs: train through the encoder's
    `compare`.
    one_program: False trains the members one after the other on the same stacked parameters (for measuring). compiled:
    see `eval.compiled`; what became of it is in the notes, and the time that building programs takes is not in
    `seconds`.
    verified: False for an encoder that is not known to be fit for an ensemble: it is looked at first (see `verify`),
    and trains sequentially if it is not. ArchrankError for an encoder with weights that nothing trains.
    head: weights that every member's head starts from; None: fresh ones.
    """
    graphs = graphs.to(device)
    spaces = [graphs, twins.to(device)] if recipe.consistency and twins is not None else [graphs]
    probe = graphs[torch.as_tensor(members[0].train[:2], device=device)]
    task = "pairs" if pairs else "score"

    def make(member: Member) -> Network:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(member.seed, "weights"))
            network = Network(build(member, probe).to(device), recipe.head, probe, pairs)
            if head is not None and network.head is not None:
                network.head.load_state_dict(head)
            return network

    def prepared() -> Ensemble:
        networks = [make(member) for member in members]
        for space in spaces:
            space.prepare(probe)
        return Ensemble(networks, device, [member.seed for member in members]).train()

    ensemble = prepared()
    sequential, notes = (None if one_program else ASKED), []
    if not verified:
        findings = verify(lambda seed: make(replace(members[0], seed=seed)), spaces, members[0], recipe, task)
        sequential, notes = sequential or findings.sequential, findings.notes
    counts = sizes(len(members[0].train), recipe)
    numbers = None
    if sequential is None:
        numbers = {
            count: ensemble.count_noise(graphs[torch.as_tensor(members[0].train[:count], device=device)], task)
            for count in counts
        }
        sampler = BatchSampler(members, spaces, recipe, numbers)
        samples = [sampler.sample(count) for count in counts]
        sequential = ensemble.refusal([sample.views[0] for sample in samples], task)
        if compiled and not verified and sequential is None:
            update, _ = compiled_update(prepared(), recipe, task, samples)
            if (fault := compiled_differs(Update(ensemble, recipe, task), update, samples)) is not None:
                compiled, notes = False, [*notes, f"not compiled: {fault}"]
    if not verified:  # what looking at it has changed in its Python attributes is forgotten
        ensemble = prepared()
    try:
        return _fitted(ensemble, spaces, members, recipe, task, numbers, sequential, notes, progress, compiled)
    except NotVmapped as error:  # a batch unlike those it was tried on
        return _fitted(prepared(), spaces, members, recipe, task, numbers, str(error), notes, progress, compiled)


def _fitted(
    ensemble: Ensemble,
    spaces: Sequence[Graphs],
    members: Sequence[Member],
    recipe: Recipe,
    task: str,
    numbers: Mapping[int, int] | None,
    sequential: str | None,
    notes: Sequence[str],
    progress: Progress | None,
    compiled: bool,
) -> Trained:
    """The ensemble trained: vmapped with so many random `numbers` for each size of batch, or for a reason
    `sequential`."""
    size, device, notes = len(members[0].train), ensemble.device, [*notes]
    sampler = BatchSampler(members, spaces, recipe, None if sequential else numbers)
    if sequential:
        ensemble.separate(sequential)
        notes += [f"trained sequentially: {sequential}"] if sequential != ASKED else []
    if compiled and not sequential:
        update, note = compiled_update(ensemble, recipe, task, [sampler.sample(count) for count in sizes(size, recipe)])
        notes.append(note)
    elif device.type == "cpu" or sequential:
        update = Update(ensemble, recipe, task)
    else:
        update = PackedUpdate(ensemble, recipe, task)
    total, per_epoch = steps(size, recipe), steps_per_epoch(size, recipe)
    finite = torch.ones(len(members), dtype=torch.bool, device=device)
    advance: CapturedSteps | PlainSteps = PlainSteps(update, sampler, finite)
    if type(update) is PackedUpdate and captures(device):
        advance = CapturedSteps(update, sampler, finite)
    synchronize(device)
    start = time.perf_counter()
    for step, chosen in enumerate(positions(members, recipe, device)):
        advance(chosen, recipe.lr * learning_rate(recipe, step, total, per_epoch))
        if progress is not None and step % 10 == 0:
            progress(step / total)
    synchronize(device)
    seconds = time.perf_counter() - start
    notes += advance.notes
    return Trained(ensemble.train(False), spaces[0], update.average, task == "pairs", seconds, finite, notes)


def synchronize(device: torch.device | str) -> None:
    """Wait for the device, so that a clock read means what it says."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
