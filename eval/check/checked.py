"""The encoder that is checked, made for the synthetic space, and what it answers and learns there."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from archrank.datasets.benchmark import Benchmark
from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.eval.engine.batching import Member
from archrank.eval.engine.network import Network
from archrank.eval.engine.recipes import COMMON
from archrank.eval.engine.training import Outcome
from archrank.eval.trials.job import Given, brief_pretraining, make_job
from archrank.eval.trials.specs import Spec

Verdict = Literal["pass", "fail", "info"]
"""An `info` describes the encoder, a `fail` must be mended."""


class CheckedEncoder:
    """An encoder made for the synthetic space, told nothing about which edges occur, so that nodes may be
    relabelled."""

    def __init__(self, spec: Spec, benchmark: Benchmark) -> None:
        self.spec, self.benchmark = spec, benchmark
        space = replace(benchmark.space, support=None, constant=None)
        self.graphs = benchmark.graphs.plain()
        self.job = make_job(brief_pretraining(spec), COMMON, space, self.graphs)

    def make(self, seed: int = 0) -> nn.Module:
        """The encoder, of weights drawn under a seed of torch's."""
        torch.manual_seed(seed)
        return self.job.build()

    def network(self, seed: int = 0) -> Network:
        """Encoder and head, likewise."""
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
        """What it answers in evaluation mode. ArchrankError where that is no tensor."""
        learned = self.spec.info.learned
        with torch.no_grad():
            out = self.model(graphs.plain()) if learned else self.job.encode(graphs.plain())
        if out is None or (learned and not isinstance(out, torch.Tensor)):
            raise ArchrankError(f"returned {'None' if out is None else f'a {type(out).__name__}'}; [B, dim] is needed")
        return out if learned else torch.as_tensor(out).double()


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference of b from a, as a share of the largest value of a."""
    return float((a - b).abs().max() / a.abs().max().clamp(min=1e-12))


def members_of(
    checked: CheckedEncoder, size: int, tests: int, seeds: int = 1, shuffled: bool = False
) -> tuple[list[Member], np.ndarray]:
    """Members of `size` labelled architectures each, tested on others (tests: how many; 0: on their own), and all
    scores.

    shuffled: their labels are.
    """
    scores = checked.benchmark.target()
    members = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(scores))
        seen = scores[rows[:size]]
        labels = checked.job.labels(rng.permutation(seen) if shuffled else seen)
        members.append(Member(seed, rows[:size], labels, rows[:size] if tests == 0 else rows[size : size + tests]))
    return members, scores
