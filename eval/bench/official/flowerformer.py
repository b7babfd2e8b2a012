"""FlowerFormer's official code (y0ngjaenius/CVPR2024_FLOWERFormer): its network and its function that trains an
epoch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import yaml

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.eval.bench.official.checkout import enter
from archrank.eval.bench.prepared_case import PreparedCase

CONFIGURATIONS = {"nasbench101": "nb101", "nasbench201": "nb201"}


def steps(prepared: PreparedCase, checkout: Path) -> Callable[[int], int]:
    """Epochs of `train_utils.train_1cell` under the published configuration of the space, with the case's batch."""
    from torch_geometric.data import Data

    job, member = prepared.job, prepared.job.members[0]
    if job.space.name not in CONFIGURATIONS:
        raise ArchrankError(f"the official flowerformer has no configuration for space '{job.space.name}'")
    enter(checkout, absent=("performer_pytorch", "graphgps"))
    helpers, training = import_module("utils"), import_module("train_utils")
    text = (checkout / "cfgs" / CONFIGURATIONS[job.space.name] / "FLOWERFormer.yaml").read_text(encoding="utf-8")
    options = yaml.safe_load(text)
    options["dag"]["dim_in"] = len(job.space.ops)
    settings = helpers.Option(options)
    network = import_module("one_cell.flowerformer").FLOWERFormer(len(job.space.ops), 1, settings)
    graphs = job.graphs.plain()[torch.as_tensor(member.train)]
    architectures = [
        Data(y=torch.tensor([label], dtype=torch.float32), **inputs)
        for label, inputs in zip(member.labels, as_inputs(graphs, len(job.space.ops)))
    ]
    loader: Any = torch.utils.data.DataLoader(
        architectures,  # type: ignore[arg-type]
        batch_size=job.recipe.batch,
        collate_fn=helpers.collate_fn,
        shuffle=True,
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.optim.base_lr, weight_decay=settings.optim.weight_decay
    )
    schedule = helpers.cosine_with_warmup_scheduler(
        optimizer, settings.optim.num_warmup_epochs, settings.optim.max_epoch
    )

    def advance(count: int) -> int:
        done = 0
        while done < count:
            training.train_1cell(network, loader, optimizer, torch.device("cpu"), settings)
            schedule.step()
            done += len(loader)
        return done

    return advance


def as_inputs(graphs: Graphs, ops: int) -> list[dict[str, Any]]:
    """What the network reads of each architecture: one-hot operations float [n, ops], edges int64 [2, E], the edges
    into each generation of nodes bool [depth, E], each node's depth int64 [n], and the pairs on one path int64
    [2, P]."""
    inputs = []
    for b in range(len(graphs)):
        real = graphs.mask[b]
        depth, reach = graphs.depth[b][real], graphs.reach[b][real][:, real]
        edges = graphs.adj[b][real][:, real].nonzero().T.contiguous()
        generations = torch.arange(1, int(depth.max()) + 1)
        inputs.append(
            {
                "x": torch.nn.functional.one_hot(graphs.ops[b][real], ops).float(),
                "edge_index": edges,
                "edge_masks": depth[edges[1]] == generations.unsqueeze(-1),
                "abs_pe": depth,
                "dag_rr_edge_index": (reach | reach.T).nonzero().T.contiguous(),
            }
        )
    return inputs
