"""What tests of runs share: plans of small runs, and what a store holds that may not depend on the run."""

import hashlib
import json
from pathlib import Path

from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.trial import make_plan

PLUGIN = """
import torch
from torch import Tensor, nn
from archrank import encoder
@encoder("mine")
class Mine(nn.Module):
    \"\"\"Mine.\"\"\"
    def __init__(self, space, *, dim: int = 8):
        super().__init__()
        self.embed = nn.Embedding(len(space.ops), dim)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(dim, dim)
    def forward(self, graphs) -> Tensor:
        x = self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)
        return self.out(self.drop(torch.relu(graphs.adj.transpose(-1, -2).float() @ x + x))).sum(-2)
"""


def plan_of(cells, encoders, budgets=(12, 20), seeds=2, **more):
    return make_plan(parse_list(encoders), benchmarks=[cells], budgets=list(budgets), seeds=seeds, **more)


def content(folder: Path) -> dict:
    """Everything in a store that may not depend on when or how often it was run."""
    actual = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and path.parent.name != "ensembles":
            if path.suffix == ".json":
                record = json.loads(path.read_text())
                actual[path.name] = {
                    name: record[name] for name in ("trial", "label", "status", "metrics", "test", "model", "recipe")
                }
            else:
                actual[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return actual
