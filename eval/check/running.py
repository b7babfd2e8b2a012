"""The checks of an encoder, one after the other, here or in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from archrank.datasets.errors import ArchrankError, one_line
from archrank.encoders.catalog import confirm, where
from archrank.encoders.catalog.apart import apart
from archrank.eval.check import answers, training
from archrank.eval.check.checked import CheckedEncoder, Verdict
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.specs import Spec

# Seconds that one check of an encoder may take in a process of its own.
PATIENCE_S = 1800.0
Check = Callable[[CheckedEncoder], tuple[Verdict, str]]
LEARNED: dict[str, Check] = {
    "output": answers.output,
    "weights": training.weights,
    "same seed": training.same_seed,
    "asked twice": answers.asked_twice,
    "padding": answers.padding,
    "batch composition": answers.batch_composition,
    "node order": answers.node_order,
    "gradient": training.gradient,
    "ensemble": training.ensemble,
    "overfits": training.overfits,
    "shuffled labels": training.shuffled_labels,
    "cost": training.cost_of_network,
}
FIXED: dict[str, Check] = {
    "output": answers.output,
    "asked twice": answers.asked_twice,
    "padding": answers.padding,
    "batch composition": answers.batch_composition,
    "node order": answers.node_order,
    "tells apart": answers.tells_apart,
    "cost": answers.cost_of_encoding,
}
# What says nothing once a check has failed: after `output` everything.
NEEDS = {
    "output": frozenset([*LEARNED, *FIXED]),
    "weights": frozenset(["gradient", "ensemble", "overfits", "shuffled labels"]),
    "same seed": frozenset(["ensemble"]),
    "asked twice": frozenset(["padding", "batch composition", "node order", "ensemble"]),
}


@dataclass(frozen=True)
class Finding:
    """One line of `archrank check`: an `info` describes the encoder, a `fail` must be mended."""

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
    checks = LEARNED if spec.info.learned else FIXED
    if spec.additions.task is not None:
        checks = {**checks, "pretext": training.pretext}
    checked: CheckedEncoder | None = None
    left_out: frozenset[str] = frozenset()
    for name, run_check in checks.items():
        if name in left_out:
            continue
        yield name
        try:
            checked = checked or CheckedEncoder(spec, benchmark)
            verdict, said = run_check(checked)
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


def summary(findings: list[Finding]) -> dict[str, Any]:
    """The findings as plain data."""
    return {finding.name: {"verdict": finding.verdict, "said": finding.said} for finding in findings}
