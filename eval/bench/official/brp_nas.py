"""BRP-NAS's official code (SamsungLabs/eagle): its network, and the function that makes a step."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
import yaml

from archrank.datasets.errors import ArchrankError
from archrank.encoders.layers.pretraining import minibatches
from archrank.eval.bench.official.checkout import enter
from archrank.eval.bench.prepared_case import PreparedCase

CONFIGURATION = "configs/predictors/acc_gcn_nasbench201.yaml"


def steps(prepared: PreparedCase, checkout: Path) -> Callable[[int], int]:
    """Steps of `eagle.predictors.__main__._train` under the published configuration, with the case's batch."""
    job, member = prepared.job, prepared.job.members[0]
    if job.space.name != "nasbench201":
        raise ArchrankError("the official brp_nas is measured on nasbench201")
    enter(checkout)
    script, space = import_module("eagle.predictors.__main__"), import_module("eagle.models.nasbench201")
    options = yaml.safe_load((checkout / CONFIGURATION).read_text(encoding="utf-8"))
    network = import_module("eagle.predictors.gcn").get_predictor(options["predictor"])
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=float(options["training"]["learning_rate"]),
        weight_decay=float(options["training"]["weight_decay"]),
    )
    criterion = torch.nn.L1Loss(reduction="sum")
    numbers = [space.utils._opname_to_index.get(op, -1) for op in job.space.ops]
    inner = job.graphs.ops[torch.as_tensor(member.train)][:, 1:-1]
    points = [tuple(numbers[op] for op in row) for row in inner.tolist()]
    batches = minibatches(len(points), job.recipe.batch, torch.device("cpu"))

    def advance(count: int) -> int:
        for _, index in zip(range(count), batches):
            chosen = index.tolist()
            labels = [float(member.labels[i]) for i in chosen]
            script._train(space, network, [points[i] for i in chosen], labels, optimizer, criterion)
        return count

    return advance
