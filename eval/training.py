"""Training: all members of an ensemble in one loop, data resident on the device, each exactly as it would train alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.eval.ensemble import Ensemble
from archrank.eval.losses import relation, supervised
from archrank.eval.network import Network, parameters
from archrank.eval.recipes import Recipe

Progress = Callable[[float], None]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Member:
    """One predictor to be trained: its seed, training rows [n] with labels [n] (higher is better), rows to predict, and rows to encode."""

    seed: int
    train: Rows
    labels: NDArray[np.float64]
    test: Rows
    encode: Rows | None = None


@dataclass(eq=False)
class Outcome:
    """What came out of a member: predictions [tests], higher is better; seconds are its share of the ensemble's."""

    predictions: NDArray[np.float64]
    fit_s: float
    predict_s: float
    parameters: int
    dim: int
    encodings: NDArray[np.float32] | None = None
    notes: list[str] = field(default_factory=list)
    problem: str | None = None


def derive_seed(seed: int, purpose: str) -> int:
    """A seed of its own for every purpose (63 bits), the same on every machine."""
    entropy = [seed, *purpose.encode()]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def batches(size: int, recipe: Recipe, seed: int) -> Iterator[Rows]:
    """Positions 0..size-1 of each step's batch, in the member's own order.

    With `updates` every batch is full and epochs run into each other; with `epochs` each epoch ends in a partial batch (dropped if it is a
    single architecture).
    """
    rng = np.random.default_rng(derive_seed(seed, "order"))
    batch = min(recipe.batch, size)
    if recipe.updates is not None:
        ahead = np.empty(0, np.int64)
        for _ in range(recipe.updates):
            while len(ahead) < batch:
                ahead = np.concatenate([ahead, rng.permutation(size)])
            yield ahead[:batch]
            ahead = ahead[batch:]
        return
    assert recipe.epochs is not None
    for _ in range(recipe.epochs):
        order = rng.permutation(size)
        for start in range(0, size, batch):
            if size - start > 1 or size == 1:
                yield order[start : start + batch]


def steps_per_epoch(size: int, recipe: Recipe) -> int:
    """Batches in one epoch of `size` architectures."""
    batch = min(recipe.batch, size)
    return max(1, size // batch + (1 if size % batch > 1 else 0))


def learning_rate(recipe: Recipe, step: int, steps: int, per_epoch: int) -> float:
    """The factor on the learning rate at a step (0-based)."""
    if recipe.schedule_per == "epoch" and recipe.epochs is not None:
        at, total, warmup = step // per_epoch, recipe.epochs, recipe.warmup
    else:
        total, at = steps, step
        warmup = recipe.warmup * (steps if recipe.updates is not None or recipe.warmup < 1 else per_epoch)
    if at < warmup:
        return max(1e-6, at / warmup)
    share = (at - warmup) / max(total - warmup, 1)
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * share))
    return 1 - share if recipe.schedule == "linear" else 1.0


class Noise:
    """Every member's own stream of uniform numbers in [0, 1)."""

    def __init__(self, seeds: Sequence[int], device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.streams = [torch.Generator(device).manual_seed(derive_seed(seed, "noise")) for seed in seeds]
        self.words = [np.random.SFC64(derive_seed(seed, "coarse noise")) for seed in seeds] if self.device.type == "cpu" else []

    def fine(self, *shape: int) -> Tensor:
        """float [M, *shape], of single precision's 2^24 values."""
        return torch.stack([torch.rand(shape, generator=stream, device=self.device) for stream in self.streams])

    def coarse(self, count: int) -> Tensor:
        """float [M, count]: on a CPU multiples of 2^-16, four to a random word. Dropout takes so many that PyTorch's would be a tenth of a small network's time."""
        if not self.words:
            return self.fine(count)
        drawn = np.stack([words.random_raw(-(-count // 4)) for words in self.words]).view(np.int16)
        return torch.from_numpy(drawn)[:, :count].to(torch.get_default_dtype()).add_(2**15).mul_(2**-16)


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


def train(build: Callable[[Member, Graphs], nn.Module], graphs: Graphs, members: Sequence[Member], recipe: Recipe, *,
          device: torch.device | str = "cpu", twins: Graphs | None = None, pairs: bool = False,
          progress: Progress | None = None, one_program: bool = True, compiled: bool = False) -> list[Outcome]:
    """Train `build(member, probe)` for every member as one ensemble (see `fit`) and predict each member's test rows.

    A member whose loss stops being finite gets a `problem`; the others are not touched by it.
    """
    trained = fit(build, graphs, members, recipe, device=device, twins=twins, pairs=pairs, progress=progress, one_program=one_program,
                  compiled=compiled)
    ensemble = trained.ensemble
    start = time.perf_counter()
    predictions = predict(ensemble, trained.graphs, [member.test for member in members], pairs, trained.average)
    synchronize(device)
    predict_s = (time.perf_counter() - start) / len(members)
    network = ensemble.skeleton
    assert isinstance(network, Network)
    outcomes = []
    for m, member in enumerate(members):
        problem = None if bool(trained.finite[m]) else "the loss stopped being finite during training"
        outcome = Outcome(predictions[m], trained.seconds / len(members), predict_s, parameters(network), network.dim,
                          notes=list(trained.notes), problem=problem)
        if member.encode is not None and len(member.encode):
            outcome.encodings = encode(ensemble, trained.graphs, m, member.encode, trained.average)
        outcomes.append(outcome)
    return outcomes


def fit(build: Callable[[Member, Graphs], nn.Module], graphs: Graphs, members: Sequence[Member], recipe: Recipe, *,
        device: torch.device | str = "cpu", twins: Graphs | None = None, pairs: bool = False,
        progress: Progress | None = None, one_program: bool = True, compiled: bool = False) -> Trained:
    """Train `build(member, probe)` for every member as one ensemble.

    build: makes an encoder; called under the member's own seed. graphs: the whole space. All members must have batches of one shape (equal
    numbers of training rows, or a recipe in `updates` with at least a batch each).
    twins: for a recipe with a consistency loss, an equivalent of every architecture. pairs: train through the encoder's `compare`.
    one_program: False trains the members one after the other on the same stacked parameters (for measuring). compiled: see `eval.compiled`; what
    became of it is in the notes, and the time that building programs takes is not in `seconds`.
    """
    graphs = graphs.to(device)
    twins = twins.to(device) if twins is not None else None
    probe = graphs[torch.as_tensor(members[0].train[:2], device=device)]
    networks = []
    for member in members:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(member.seed, "weights"))
            networks.append(Network(build(member, probe).to(device), recipe.head, probe, pairs))
    graphs.prepare(probe)
    if twins is not None:
        twins.prepare(probe)
    ensemble = Ensemble(networks, device)
    task = "pairs" if pairs else "score"
    rows = [torch.as_tensor(member.train, device=device) for member in members]
    labels = [torch.as_tensor(member.labels, dtype=torch.get_default_dtype(), device=device) for member in members]
    noise = Noise([member.seed for member in members], device)
    size = len(members[0].train)
    first = min(recipe.batch, size)
    per_item = ensemble.train().count_noise(graphs[rows[0][:first]], task) / first
    if not one_program:
        ensemble.fallback = "asked for"
    else:
        trial = torch.stack([r[:first] for r in rows])
        ensemble.probe(graphs[trial], task, torch.rand(len(members), round(per_item * first), device=device))
    notes = [f"trained as a loop: {ensemble.fallback}"] if ensemble.fallback and one_program else []
    if compiled and ensemble.fallback is None:
        shapes = [first, size % first] if recipe.updates is None and size % first > 1 else [first]
        notes.append(ensemble.compile([(graphs[torch.stack([r[:count] for r in rows])], torch.rand(len(members), round(per_item * count), device=device))
                                       for count in shapes], task))

    weights = [p for p in ensemble.parameters.values() if p.requires_grad]
    average = {k: v.detach().clone() for k, v in ensemble.parameters.items()} if recipe.ema else None
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(weights, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, weight_decay=recipe.weight_decay, fused=True)
    per_epoch = steps_per_epoch(size, recipe)
    steps = recipe.updates if recipe.updates is not None else recipe.epochs * per_epoch  # type: ignore[operator]
    capped = recipe.pairs_per_item is not None or recipe.difference > 0
    finite = torch.ones(len(members), dtype=torch.bool, device=device)

    synchronize(device)
    start = time.perf_counter()
    for step, chosen in enumerate(zip(*(batches(len(member.train), recipe, member.seed) for member in members))):
        where = [torch.as_tensor(positions, device=device) for positions in chosen]
        index = torch.stack([r[w] for r, w in zip(rows, where)])
        y = torch.stack([label[w] for label, w in zip(labels, where)])
        count = index.shape[1]
        numbers = noise.coarse(round(per_item * count)) if per_item else None
        out, extra = ensemble.call(graphs[index], task, numbers)
        if pairs:
            loss = relation(out, y)
        else:
            loss = supervised(recipe, out, y, noise.fine(count, count) if capped else None)
            if recipe.consistency and twins is not None:
                twin, _ = ensemble.call(twins[index], task, noise.coarse(round(per_item * count)) if per_item else None)
                loss = (loss + supervised(recipe, twin, y, noise.fine(count, count) if capped else None)) / 2
                loss = loss + recipe.consistency * (out - twin).abs().mean(-1)
        loss = loss + extra
        finite &= loss.detach().isfinite()
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        if recipe.clip is not None:
            clip(weights, recipe.clip)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * learning_rate(recipe, step, steps, per_epoch)
        optimizer.step()
        if average is not None:
            with torch.no_grad():
                for name, value in average.items():
                    value.lerp_(ensemble.parameters[name], 1 - recipe.ema)
        if progress is not None and step % 10 == 0:
            progress(step / steps)
    synchronize(device)
    seconds = time.perf_counter() - start
    return Trained(ensemble.train(False), graphs, average, pairs, seconds, finite, notes)


def clip(weights: Sequence[Tensor], limit: float) -> None:
    """Scale every member's gradient to a norm of at most `limit`, each member by itself (as `clip_grad_norm_` does for one)."""
    gradients = [w.grad for w in weights if w.grad is not None]
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
    factor = (limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(factor.view(-1, *[1] * (g.dim() - 1)))


@torch.no_grad()
def predict(ensemble: Ensemble, graphs: Graphs, tests: Sequence[Rows], pairs: bool = False,
            weights: dict[str, Tensor] | None = None, chunk: int = 4096) -> list[NDArray[np.float64]]:
    """Scores of each member's own test rows (any numbers of rows), in few large batches; with `pairs` Borda counts over its test rows."""
    longest = max(len(test) for test in tests)
    index = torch.stack([torch.as_tensor(np.resize(test, longest), device=graphs.device) for test in tests])
    width = max(64, chunk // ensemble.size)
    parts = []
    for start in range(0, longest, width):
        out = ensemble.call(graphs[index[:, start : start + width]], "embed" if pairs else "score", parameters=weights)
        parts.append(out if pairs else out[0])
    scores = torch.cat(parts, 1)
    if pairs:
        scores = borda(ensemble, scores, [len(test) for test in tests], weights)
    return [scores[m, : len(test)].double().cpu().numpy() for m, test in enumerate(tests)]


def borda(ensemble: Ensemble, embeddings: Tensor, counts: Sequence[int], weights: dict[str, Tensor] | None, chunk: int = 256) -> Tensor:
    """Borda count [M, N] of embeddings [M, N, dim]: the expected number of the member's own test architectures each one beats."""
    real = torch.arange(embeddings.shape[1], device=embeddings.device) < torch.tensor(counts, device=embeddings.device)[:, None]
    parts = [(torch.sigmoid(ensemble.compare(embeddings[:, i : i + chunk], embeddings, weights)) * real.unsqueeze(1)).sum(-1)
             for i in range(0, embeddings.shape[1], chunk)]
    return torch.cat(parts, 1)


@torch.no_grad()
def encode(ensemble: Ensemble, graphs: Graphs, member: int, rows: Rows, weights: dict[str, Tensor] | None = None) -> NDArray[np.float32]:
    """Embeddings [n, dim] that one member gives some rows."""
    index = torch.as_tensor(rows, device=graphs.device).expand(ensemble.size, -1)
    return ensemble.call(graphs[index], "embed", parameters=weights)[member].float().cpu().numpy()


def synchronize(device: torch.device | str) -> None:
    """Wait for the device, so that a clock read means what it says."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
