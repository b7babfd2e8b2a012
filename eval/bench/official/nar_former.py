"""NAR-Former's official code (yuny220/NAR-Former): its tokenizer, network and losses; the steps are those of its
`main.py`."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.encoders.layers.pretraining import minibatches
from archrank.eval.bench.official.checkout import arguments, enter
from archrank.eval.bench.prepared_case import PreparedCase

# experiment/Accuracy_Predict_NASBench201/train_5%_aug.sh
WORDS = "--do_train --dataset nasbench201 --model_ema --learning_rate 1e-4 --lambda_consistency 0.5 --use_extra_token"


def steps(prepared: PreparedCase, checkout: Path) -> Callable[[int], int]:
    """Steps on architectures and their augmented forms, by the published settings, with the case's batch.

    AdamW is PyTorch's own, which is faster than the one of the older `transformers` that the code asks for.
    """
    job, member = prepared.job, prepared.job.members[0]
    if job.twins is None or len(set(job.graphs.mask.sum(-1).tolist())) > 1:
        raise ArchrankError("the official nar_former is measured under paper, where all architectures are of one size")
    enter(checkout, absent=("timm", "transformers"), bare=("data_process",))
    with arguments(WORDS.split()):
        settings = import_module("config").argLoader()
    model = import_module("model.model")
    network = model.NetEncoder(settings).train()
    averaged = deepcopy(network).eval()
    decay = settings.model_ema_decay
    squares, distance = torch.nn.MSELoss(), torch.nn.L1Loss()
    difference = import_module("layers.loss").DiffLoss(settings.rankloss_type)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, eps=settings.adam_epsilon
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + 1e-4 * step))
    rows = torch.as_tensor(member.train)

    def tokens(graphs: Graphs) -> Tensor:
        """[n, V + 1, dim]."""
        chosen = graphs[rows]
        widths = settings.multires_x, settings.multires_r, settings.multires_p
        return torch.stack(
            [
                model.tokenizer(ops, adj, *widths, settings.embed_type)
                for ops, adj in zip(chosen.ops.tolist(), chosen.adj.int().tolist())
            ]
        )

    plain, augmented = tokens(job.graphs.plain()), tokens(job.twins.plain())
    labels = torch.as_tensor(member.labels, dtype=torch.float32).unsqueeze(-1)
    batches = minibatches(len(rows), job.recipe.batch, torch.device("cpu"))

    def advance(count: int) -> int:
        for _, index in zip(range(count), batches):
            optimizer.zero_grad()
            targets = torch.cat([labels[index], labels[index]])
            scores = network(None, None, torch.cat([plain[index], augmented[index]]), None)
            first, second = scores.split(len(index))
            loss = squares(scores, targets) * settings.lambda_mse + difference(scores, targets) * settings.lambda_diff
            loss = loss + distance(first, second) * settings.lambda_consistency
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                for mean, now in zip(averaged.state_dict().values(), network.state_dict().values()):
                    mean.copy_(mean * decay + (1.0 - decay) * now)
        return count

    return advance
