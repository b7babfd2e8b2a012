"""NASLib's GCN (automl/NASLib): `GCNPredictor.fit`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from archrank.datasets.errors import ArchrankError
from archrank.eval.bench.official.checkout import enter
from archrank.eval.bench.prepared_case import PreparedCase

UNUSED = (
    "torchvision",
    "fvcore",
    "pytorch_msssim",
    "termcolor",
    "skimage",
    "transforms3d",
    "ngboost",
    "xgboost",
    "lightgbm",
)


class Encoded:
    """An architecture as NASLib asks for it."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        self.inputs = inputs

    def encode(self, encoding_type: str = "gcn") -> dict[str, Any]:
        """What its network reads, to which the caller adds the label."""
        return dict(self.inputs)


def steps(prepared: PreparedCase, checkout: Path) -> Callable[[int], int]:
    """Trainings of so many epochs, with the case's batch; the prediction at a training's end is left out."""
    job, member = prepared.job, prepared.job.members[0]
    per_epoch = len(member.train) // job.recipe.batch
    if job.space.name != "nasbench201" or not per_epoch:
        raise ArchrankError("the official gcn is measured on nasbench201 with at least a batch of labels")
    enter(checkout, absent=UNUSED, bare=("naslib.predictors",))
    predictor = import_module("naslib.predictors.gcn").GCNPredictor(ss_type=job.space.name)
    predictor.hyperparams = predictor.default_hyperparams | {"batch_size": job.recipe.batch}
    predictor.query = lambda architectures: member.labels
    graphs = job.graphs.plain()[torch.as_tensor(member.train)]
    onehot = torch.nn.functional.one_hot(graphs.ops, len(job.space.ops)).float().numpy()
    architectures = [
        Encoded({"num_vertices": graphs.nodes, "adjacency": adjacency, "operations": operations})
        for adjacency, operations in zip(graphs.adj.float().numpy(), onehot)
    ]

    def advance(count: int) -> int:
        epochs = -(-count // per_epoch)
        predictor.fit(architectures, member.labels, epochs=epochs)
        return epochs * per_epoch

    return advance
