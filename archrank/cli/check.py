"""`archrank check` and `archrank new`."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from archrank.cli.console import echo, emit, is_terminal, only_json, overwritten

ENCODER = '''"""{title}: an encoder of your own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archrank import Graphs, SearchSpace, encoder


@encoder("{name}")
class {cls}(nn.Module):
    """Sums messages along and against the edges, a few times, and averages over nodes."""

    def __init__(self, space: SearchSpace, *, dim: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(space.ops), dim)
        self.along = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))
        self.against = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))

    def forward(self, graphs: Graphs) -> Tensor:
        """graphs.ops [B, V], graphs.adj [B, V, V] (edge u -> v at [u, v]), graphs.mask [B, V] -> [B, dim]."""
        real = graphs.mask.unsqueeze(-1)
        adj = graphs.adj.to(self.embed.weight.dtype)
        x = self.embed(graphs.ops) * real
        for along, against in zip(self.along, self.against):
            x = torch.relu(x + along(adj.transpose(-1, -2) @ x) + against(adj @ x)) * real
        return x.sum(-2) / real.sum(-2)
'''
TEST = """from pathlib import Path

from archrank.eval.check import check
from archrank.eval.trials.specs import parse

HERE = Path(__file__).parent


def test_{module}_is_fit_for_the_suite():
    failed = [finding for finding in check(parse(f"{{HERE / '{module}.py'}}:{cls}")[0]) if finding.verdict == "fail"]
    assert not failed
"""


def check(
    encoders: Annotated[list[str], typer.Argument(help="Names, globs or file.py:Class.")],
    as_json: Annotated[bool, typer.Option("--json", help="For a machine.")] = False,
) -> None:
    """Is an encoder fit for the suite? Needs no data and no GPU. Exit code 1 if a check fails."""
    from archrank.eval.trials.specs import parse_list

    specs = parse_list(",".join(encoders), "apart")
    import torch

    from archrank.eval.check import Finding, steps, steps_apart, summary

    torch.set_num_threads(1)
    failed, verdicts = 0, {}
    for spec in specs:
        if not as_json:
            echo(spec.label)
        findings = []
        with only_json(as_json):
            for step in steps(spec) if spec.info.origin == "built-in" else steps_apart(spec):
                if isinstance(step, Finding):
                    findings.append(step)
                    failed += step.verdict == "fail"
                    if not as_json:
                        echo(f"  {step.verdict:<4}  {step.name:<16}  {step.said}")
                elif is_terminal() and not as_json:
                    overwritten(f"  ...   {step}")  # the finding is written over it
        verdicts[spec.label] = summary(findings)
    if as_json:
        emit(verdicts)
    if failed:
        raise typer.Exit(1)


def new(
    name: Annotated[str, typer.Argument(help="Name of the encoder, e.g. my-encoder.")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="Where to put the two files.")] = Path(),
) -> None:
    """Write an encoder that runs as it is, and its test."""
    from archrank.datasets.errors import ArchrankError
    from archrank.encoders.catalog import known

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ArchrankError(f"encoder name '{name}': use letters, digits, - and _, a letter first")
    if name in known():
        raise ArchrankError(
            f"encoder name '{name}': there is one of that name already (`archrank list encoders`); choose another name"
        )
    module = name.replace("-", "_").lower()
    cls = "".join(part[:1].upper() + part[1:] for part in re.split("[-_]", name) if part)
    words = {"name": name, "module": module, "cls": cls, "title": name.replace("-", " ").replace("_", " ").capitalize()}
    files = {folder / f"{module}.py": ENCODER, folder / f"test_{module}.py": TEST}
    for path in files:
        if path.exists():
            raise ArchrankError(f"{path} exists; choose another name or remove it")
    if module in sys.stdlib_module_names or find_spec(module) is not None:
        raise ArchrankError(
            f"encoder name '{name}': a module {module} is installed, which {module}.py would hide from its neighbours; choose another"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path, template in files.items():
        path.write_text(template.format(**words), encoding="utf-8")
        echo(f"wrote {path}")
    echo(f"next: archrank check {folder / module}.py:{cls}")
    echo(f"      archrank run --encoders {folder / module}.py:{cls},gcn,path")
