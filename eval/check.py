"""Is an encoder fit for the suite? The checks behind `archrank check`, and the contract tests of every built-in
encoder.

They need no data and no GPU: architectures are random cells (`archrank.eval.synthetic`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from archrank.datasets.benchmark import Benchmark
from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.catalog import confirm, where
from archrank.encoders.catalog.apart import apart
from archrank.encoders.views import build as build_encoder
from archrank.eval.bench.clock import peak_memory
from archrank.eval.engine.batching import Member
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.network import Network, parameters
from archrank.eval.engine.pretraining import pretrain
from archrank.eval.engine.recipes import COMMON
from archrank.eval.engine.training import Outcome
from archrank.eval.engine.verify import refuse_hidden_weights, seeding
from archrank.eval.metrics import kendall
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.job import Given, brief_pretraining, make_job
from archrank.eval.trials.specs import Spec

Verdict = Literal["pass", "fail", "fact"]
CLOSE = 1e-4
# Seconds that one check of an encoder may take in a process of its own.
PATIENCE_S = 1800.0


@dataclass(frozen=True)
class Finding:
    """One line of `archrank check`: a `fact` describes the encoder, a `fail` must be mended."""

    name: str
    verdict: Verdict
    said: str


def check(spec: Spec) -> Iterator[Finding]:
    """Check one encoder, a finding at a time. A check that cannot run because an earlier one failed is left out."""
    return (step for step in steps(spec) if isinstance(step, Finding))


def steps(spec: Spec) -> Iterator[str | Finding]:
    """The name of each check before it runs, as slow encoders take minutes, and what it found."""
    if spec.info.portfolio:
        raise ArchrankError(f"{spec.info.name} is a portfolio; check one of its parts (archrank list encoders)")
    benchmark = synthetic()
    checks = _LEARNED if spec.info.learned else _FIXED
    if spec.additions.task is not None:
        checks = {**checks, "pretext": _pretext}
    subject: _Subject | None = None
    left_out: frozenset[str] = frozenset()
    for name, one_check in checks.items():
        if name in left_out:
            continue
        yield name
        try:
            subject = subject or _Subject(spec, benchmark)
            verdict, said = one_check(subject)
        except ArchrankError as error:
            verdict, said = "fail", str(error)
        except (Exception, SystemExit) as error:  # whatever a stranger's code raises is what this command is for
            verdict, said = "fail", f"{one_line(error)}{where(error, spec.info.path)}"
        yield Finding(name, verdict, said)
        if verdict == "fail":
            left_out |= NEEDS.get(name, frozenset())


def steps_apart(spec: Spec) -> Iterator[str | Finding]:
    """The same in a process of its own: code that crashes, hangs or ends its process fails the check it is in."""
    name = "loading"
    try:
        for step in apart().each(_plain_steps, spec, patience=PATIENCE_S):
            if step is None:
                return
            name = step[0]
            yield Finding(*step) if len(step) > 1 else name
    except ArchrankError as error:
        yield Finding(name, "fail", str(error))


def _plain_steps(spec: Spec) -> Iterator[list[str]]:
    torch.set_num_threads(1)
    if spec.info.origin != "built-in":
        confirm(spec.info)
    for step in steps(spec):
        yield [step.name, step.verdict, step.said] if isinstance(step, Finding) else [step]


class _Subject:
    """An encoder made for the synthetic space, told nothing about which edges occur, so that nodes may be
    relabelled."""

    def __init__(self, spec: Spec, benchmark: Benchmark) -> None:
        self.spec, self.benchmark = spec, benchmark
        space = replace(benchmark.space, support=None, constant=None)
        self.graphs = benchmark.graphs.plain()
        self.job = make_job(brief_pretraining(spec), COMMON, space, self.graphs)

    def make(self, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return self.job.build()

    def network(self, seed: int = 0) -> Network:
        torch.manual_seed(seed)
        return self.job.network(self.graphs[:4].plain())

    def trained(self, members: list[Member], verified: bool = True, **fields: Any) -> list[Outcome]:
        """What members give, trained by `common` with other fields; verified: see `TrainingJob`."""
        job = replace(self.job, graphs=self.graphs.plain(), members=tuple(members), verified=verified)
        job = job.with_given(Given())  # what it is given beside graphs is no part of these checks
        return job.with_recipe(**fields).train()

    @cached_property
    def model(self) -> nn.Module:
        """The one instance whose answers are compared."""
        return self.make().eval()

    def encode(self, graphs: Graphs) -> torch.Tensor:
        learned = self.spec.info.learned
        with torch.no_grad():
            out = self.model(graphs.plain()) if learned else self.job.encode(graphs.plain())
        if out is None or (learned and not isinstance(out, torch.Tensor)):
            raise ArchrankError(f"returned {'None' if out is None else f'a {type(out).__name__}'}; [B, dim] is needed")
        return out if learned else torch.as_tensor(out).double()


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / a.abs().max().clamp(min=1e-12))


def _output(s: _Subject) -> tuple[Verdict, str]:
    out = s.encode(s.graphs[:8])
    if out.dim() != 2 or len(out) != 8:
        return "fail", f"8 architectures gave {list(out.shape)}; [8, dim] is needed"
    return (
        "pass" if bool(out.isfinite().all()) else "fail"
    ), f"[B, {out.shape[1]}], finite: {bool(out.isfinite().all())}"


def _padding(s: _Subject) -> tuple[Verdict, str]:
    few = s.graphs[:8]
    wide = few.pad(few.nodes + 3)
    if s.spec.info.learned:
        apart = _apart(s.encode(few), s.encode(wide))
        if apart > CLOSE:
            return (
                "fail",
                f"three more padding nodes change the output by {apart:.1e} of its size; mask the padding (graphs.mask)",
            )
        return "pass", f"difference {apart:.0e}"
    narrow = s.encode(few)
    try:
        other = s.encode(wide)
    except Exception:
        return "fact", "takes graphs of the space's own size only"
    if narrow.shape != other.shape:
        return "fact", f"the code grows with padding: {narrow.shape[1]} to {other.shape[1]} features"
    return "fact", "invariant" if _apart(narrow, other) < CLOSE else "depends on the padding"


def _composition(s: _Subject) -> tuple[Verdict, str]:
    alone, together = s.encode(s.graphs[:4]), s.encode(s.graphs[:64])[:4]
    apart = _apart(alone, together)
    if apart > CLOSE:
        if s.spec.info.pretrained:
            return "fact", "learned from the architectures it is given, so it depends on them"
        return "fail", f"an architecture's output changes by {apart:.1e} with the others in its batch (evaluation mode)"
    return "pass", f"difference {apart:.0e}"


def _relabelling(s: _Subject) -> tuple[Verdict, str]:
    few = s.graphs[:64]
    order = torch.tensor([_other_order(adj.numpy(), mask.numpy()) for adj, mask in zip(few.adj, few.mask)])
    apart = _apart(s.encode(few), s.encode(few.relabel(order)))
    return (
        "fact",
        f"invariant (difference {apart:.0e})" if apart < CLOSE else f"sees the order of nodes (difference {apart:.1e})",
    )


def _other_order(adj: np.ndarray, mask: np.ndarray) -> list[int]:
    """Another topological order of a graph, as different as a greedy choice of the last ready node makes it; padding
    stays last."""
    real = [int(v) for v in np.flatnonzero(mask)]
    order: list[int] = []
    while len(order) < len(real):
        ready = [v for v in real if v not in order and all(u in order for u in np.flatnonzero(adj[:, v]))]
        order.append(ready[-1])
    return order + [v for v in range(len(mask)) if v not in real]


def _weights(s: _Subject) -> tuple[Verdict, str]:
    network = s.network()
    with torch.random.fork_rng():
        refuse_hidden_weights(network, s.graphs[:4].plain(), s.job.task)
    return "pass", f"{parameters(network):,} parameters, all of them trained"


def _same_seed(s: _Subject) -> tuple[Verdict, str]:
    fault = seeding(s.network) if s.spec.info.learned else None
    return (
        ("fail", fault)
        if fault
        else ("pass", "bit-equal; another seed gives other weights" if s.spec.info.learned else "bit-equal")
    )


def _asked_twice(s: _Subject) -> tuple[Verdict, str]:
    if torch.equal(s.encode(s.graphs[:16]), s.encode(s.graphs[:16])):
        return "pass", "bit-equal"
    return (
        "fail",
        "asked twice, it answers differently; use archrank.encoders.ensembling.noise.Dropout for randomness in training, and none in evaluation",
    )


def _gradient(s: _Subject) -> tuple[Verdict, str]:
    network = s.network().train()
    out, extra = network(s.graphs[:32].plain(), s.job.task)
    (out.pow(2).sum() + extra).backward()
    silent = [
        name.removeprefix("encoder.")
        for name, p in network.named_parameters()
        if p.requires_grad and (p.grad is None or not bool(p.grad.abs().max() > 1e-12))
    ]
    if not silent:
        return "pass", "reaches every parameter"
    return (
        "fact",
        f"does not reach {len(silent)} of {len(list(network.parameters()))} tensors: {', '.join(silent[:4])}{', ...' if len(silent) > 4 else ''}",
    )


def _ensemble(s: _Subject) -> tuple[Verdict, str]:
    members, _ = _members(s, 12, 8, seeds=3)
    try:
        # In double precision, so that a difference is a fault and not rounding that training has blown up.
        torch.set_default_dtype(torch.float64)
        (together, alone), allowed = _together_and_alone(s, members), 1e-5
    except RuntimeError:  # an encoder that insists on single precision
        torch.set_default_dtype(torch.float32)
        (together, alone), allowed = _together_and_alone(s, members), 1e-2
    finally:
        torch.set_default_dtype(torch.float32)
    apart = float(np.abs(together[1].predictions - alone.predictions).max() / np.abs(alone.predictions).max())
    if apart > allowed:
        return (
            "fail",
            f"trained with others a member predicts differently than alone (by {apart:.1e}); it must not depend on global state",
        )
    if together[0].notes:
        return "fact", f"works, {'; '.join(together[0].notes)}"
    return "pass", f"one program for all members; equals a member alone to {apart:.0e}"


def _together_and_alone(s: _Subject, members: list[Member]) -> tuple[list[Outcome], Outcome]:
    together = s.trained(members, verified=False, updates=4, batch=8)
    return together, s.trained(members[1:2], verified=False, updates=4, batch=8)[0]


def _pretext(s: _Subject) -> tuple[Verdict, str]:
    """Twenty updates on the pretext, twice: they must repeat to the bit, with a finite loss, and reach the encoder."""
    task = s.spec.additions.task
    assert task is not None
    task = replace(task, options={**task.options, "updates": 20, "batch": 32})
    graphs = s.graphs.plain()
    graphs = graphs.with_columns({"proxy": torch.from_numpy(s.benchmark.target("cost").copy())})

    def make(space: SearchSpace) -> nn.Module:
        return build_encoder(s.job.encoder, space, s.job.config)

    (first, losses), (again, _) = (pretrain(make, task, graphs, s.job.space) for _ in range(2))
    if not all(torch.equal(weight, again[name]) for name, weight in first.items()):
        return "fail", f"pre-training on {task.reference} twice gives other weights; draw from torch's generator alone"
    untouched, _ = pretrain(make, replace(task, options={**task.options, "updates": 1, "lr": 0.0}), graphs, s.job.space)
    names = [name for name, _ in s.model.named_parameters() if name in first]
    if all(torch.equal(first[name], untouched[name]) for name in names):
        return "fail", f"the loss of {task.reference} does not reach the encoder"
    return (
        "pass",
        f"repeats to the bit; the loss goes from {losses[0]:.3g} to {losses[-1]:.3g} in {len(losses)} updates",
    )


def _members(
    s: _Subject, size: int, tests: int, seeds: int = 1, shuffled: bool = False
) -> tuple[list[Member], np.ndarray]:
    scores = s.benchmark.target()
    members = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(scores))
        seen = scores[rows[:size]]
        labels = s.job.labels(rng.permutation(seen) if shuffled else seen)
        members.append(Member(seed, rows[:size], labels, rows[:size] if tests == 0 else rows[size : size + tests]))
    return members, scores


def _overfits(s: _Subject) -> tuple[Verdict, str]:
    members, scores = _members(s, 8, 0)
    tau, steps = 0.0, 0
    for steps in (60, 240):
        outcome = s.trained(members, updates=steps, batch=8, warmup=0.05, weight_decay=0.0, margin=1.0)[0]
        tau = kendall(scores[members[0].test], outcome.predictions)
        if tau > 1 - 1e-9:
            return "pass", f"tau 1 on 8 architectures after {steps} steps"
    return (
        "fail",
        f"tau {tau:.2f} on the 8 architectures it was trained on after {steps} steps; does every part of the graph reach the output?",
    )


def _shuffled(s: _Subject) -> tuple[Verdict, str]:
    members, scores = _members(s, 60, 300, seeds=4, shuffled=True)
    outcomes = s.trained(members, updates=40)
    tau = float(np.mean([kendall(scores[m.test], o.predictions) for m, o in zip(members, outcomes)]))
    return (
        "pass" if abs(tau) < 0.35 else "fail"
    ), f"mean tau {tau:+.2f} on unseen architectures when the labels are shuffled"


def _cost(s: _Subject) -> tuple[Verdict, str]:
    network = s.network()
    ensemble = Ensemble([network]).train(False)
    graphs = s.graphs.plain()
    probe = graphs[:2]
    with torch.no_grad():
        network.eval()(probe, "embed")
    graphs.prepare(probe)
    start = time.perf_counter()
    with torch.no_grad():
        ensemble.call(graphs[torch.arange(len(graphs))[None]], "embed")
    rate = len(graphs) / (time.perf_counter() - start)
    peak = peak_memory() / 2**20
    return (
        "fact",
        f"{parameters(network):,} parameters, {rate:,.0f} architectures/s, peak memory of this process {peak:,.0f} MiB",
    )


def _fixed_cost(s: _Subject) -> tuple[Verdict, str]:
    start = time.perf_counter()
    out = s.encode(s.graphs)
    return "fact", f"{out.shape[1]} features, {len(s.graphs) / (time.perf_counter() - start):,.0f} architectures/s"


def _tells_apart(s: _Subject) -> tuple[Verdict, str]:
    out = s.encode(s.graphs)
    different = len(torch.unique(out, dim=0))
    if different == 1:
        return "fail", "all architectures have one code"
    return "fact", f"{different} codes for {len(out)} different cells"


_Step = Callable[[_Subject], tuple[Verdict, str]]
_LEARNED: dict[str, _Step] = {
    "output": _output,
    "weights": _weights,
    "same seed": _same_seed,
    "asked twice": _asked_twice,
    "padding": _padding,
    "batch composition": _composition,
    "node order": _relabelling,
    "gradient": _gradient,
    "ensemble": _ensemble,
    "overfits": _overfits,
    "shuffled labels": _shuffled,
    "cost": _cost,
}
_FIXED: dict[str, _Step] = {
    "output": _output,
    "asked twice": _asked_twice,
    "padding": _padding,
    "batch composition": _composition,
    "node order": _relabelling,
    "tells apart": _tells_apart,
    "cost": _fixed_cost,
}
# What says nothing once a check has failed: after `output` everything.
NEEDS = {
    "output": frozenset([*_LEARNED, *_FIXED]),
    "weights": frozenset(["gradient", "ensemble", "overfits", "shuffled labels"]),
    "same seed": frozenset(["ensemble"]),
    "asked twice": frozenset(["padding", "batch composition", "node order", "ensemble"]),
}


def summary(findings: list[Finding]) -> dict[str, Any]:
    """The findings as plain data."""
    return {finding.name: {"verdict": finding.verdict, "said": finding.said} for finding in findings}
