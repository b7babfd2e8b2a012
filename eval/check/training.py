"""Checks of how an encoder trains: its weights and seeds, alone and in an ensemble, and what it learns."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from archrank.datasets.space import SearchSpace
from archrank.encoders.views import build as build_encoder
from archrank.eval.bench.clock import peak_memory
from archrank.eval.check.checked import CheckedEncoder, Verdict, members_of
from archrank.eval.engine.batching import Member
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.network import parameters
from archrank.eval.engine.pretraining import pretrain
from archrank.eval.engine.training import Outcome
from archrank.eval.engine.verify import refuse_hidden_weights, seeding
from archrank.eval.metrics import kendall


def weights(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """All parameters are where training finds them."""
    network = checked.network()
    with torch.random.fork_rng():
        refuse_hidden_weights(network, checked.graphs[:4].plain(), checked.job.task)
    return "pass", f"{parameters(network):,} parameters, all of them trained"


def same_seed(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """Initial weights follow torch's seed."""
    fault = seeding(checked.network) if checked.spec.info.learned else None
    return (
        ("fail", fault)
        if fault
        else ("pass", "bit-equal; another seed gives other weights" if checked.spec.info.learned else "bit-equal")
    )


def gradient(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """Which parameters the gradient reaches."""
    network = checked.network().train()
    out, extra = network(checked.graphs[:32].plain(), checked.job.task)
    (out.pow(2).sum() + extra).backward()
    silent = [
        name.removeprefix("encoder.")
        for name, p in network.named_parameters()
        if p.requires_grad and (p.grad is None or not bool(p.grad.abs().max() > 1e-12))
    ]
    if not silent:
        return "pass", "reaches every parameter"
    return (
        "info",
        f"does not reach {len(silent)} of {len(list(network.parameters()))} tensors: {', '.join(silent[:4])}{', ...' if len(silent) > 4 else ''}",
    )


def ensemble(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """A member trains in an ensemble as it trains alone."""
    members, _ = members_of(checked, 12, 8, seeds=3)
    try:
        # In double precision, so that a difference is a fault and not rounding that training has blown up.
        torch.set_default_dtype(torch.float64)
        (together, alone), allowed = _together_and_alone(checked, members), 1e-5
    except RuntimeError:  # an encoder that insists on single precision
        torch.set_default_dtype(torch.float32)
        (together, alone), allowed = _together_and_alone(checked, members), 1e-2
    finally:
        torch.set_default_dtype(torch.float32)
    apart = float(np.abs(together[1].predictions - alone.predictions).max() / np.abs(alone.predictions).max())
    if apart > allowed:
        return (
            "fail",
            f"trained with others a member predicts differently than alone (by {apart:.1e}); it must not depend on global state",
        )
    if together[0].notes:
        return "info", f"works, {'; '.join(together[0].notes)}"
    return "pass", f"one program for all members; equals a member alone to {apart:.0e}"


def _together_and_alone(checked: CheckedEncoder, members: list[Member]) -> tuple[list[Outcome], Outcome]:
    together = checked.trained(members, verified=False, updates=4, batch=8)
    return together, checked.trained(members[1:2], verified=False, updates=4, batch=8)[0]


def pretext(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """Twenty updates on the pretext, twice: they must repeat to the bit, with a finite loss, and reach the encoder."""
    task = checked.spec.additions.task
    assert task is not None
    task = replace(task, options={**task.options, "updates": 20, "batch": 32})
    graphs = checked.graphs.plain()
    graphs = graphs.with_columns({"proxy": torch.from_numpy(checked.benchmark.target("cost").copy())})

    def make(space: SearchSpace) -> nn.Module:
        return build_encoder(checked.job.encoder, space, checked.job.config)

    (first, losses), (again, _) = (pretrain(make, task, graphs, checked.job.space) for _ in range(2))
    if not all(torch.equal(weight, again[name]) for name, weight in first.items()):
        return "fail", f"pre-training on {task.reference} twice gives other weights; draw from torch's generator alone"
    untouched, _ = pretrain(
        make, replace(task, options={**task.options, "updates": 1, "lr": 0.0}), graphs, checked.job.space
    )
    names = [name for name, _ in checked.model.named_parameters() if name in first]
    if all(torch.equal(first[name], untouched[name]) for name in names):
        return "fail", f"the loss of {task.reference} does not reach the encoder"
    return (
        "pass",
        f"repeats to the bit; the loss goes from {losses[0]:.3g} to {losses[-1]:.3g} in {len(losses)} updates",
    )


def overfits(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """Eight architectures are learned by heart."""
    members, scores = members_of(checked, 8, 0)
    tau, steps = 0.0, 0
    for steps in (60, 240):
        outcome = checked.trained(members, updates=steps, batch=8, warmup=0.05, weight_decay=0.0, margin=1.0)[0]
        tau = kendall(scores[members[0].test], outcome.predictions)
        if tau > 1 - 1e-9:
            return "pass", f"tau 1 on 8 architectures after {steps} steps"
    return (
        "fail",
        f"tau {tau:.2f} on the 8 architectures it was trained on after {steps} steps; does every part of the graph reach the output?",
    )


def shuffled_labels(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """From shuffled labels nothing is learned."""
    members, scores = members_of(checked, 60, 300, seeds=4, shuffled=True)
    outcomes = checked.trained(members, updates=40)
    tau = float(np.mean([kendall(scores[m.test], o.predictions) for m, o in zip(members, outcomes)]))
    return (
        "pass" if abs(tau) < 0.35 else "fail"
    ), f"mean tau {tau:+.2f} on unseen architectures when the labels are shuffled"


def cost_of_network(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """How many parameters, how fast, how much memory."""
    network = checked.network()
    ensemble = Ensemble([network]).train(False)
    graphs = checked.graphs.plain()
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
        "info",
        f"{parameters(network):,} parameters, {rate:,.0f} architectures/s, peak memory of this process {peak:,.0f} MiB",
    )
